"""States that were estimated, and a record of how."""

from __future__ import annotations

from typing import Any

from covdist.state.cross import Cross
from covdist.state.scatter import Scatter


class Fitted(Scatter):
    """A scatter that was estimated; a sum of it with another is a plain one."""

    record: dict[str, Any]


class FittedCross(Cross):
    """An estimated scatter of x with y."""

    record: dict[str, Any]
