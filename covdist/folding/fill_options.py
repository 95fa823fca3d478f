"""``FillOptions``: how :func:`covdist.fill` fills an array; each policy takes what concerns it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class FillOptions(NamedTuple):
    """As for :func:`covdist.fill`."""

    kind: str = "linear"
    along: str | None = None
    max_gap: float | np.timedelta64 | None = None
    ends: str = "keep"
    inf: str = "raise"
    tolerance: float = 1e-10
    max_iterations: int = 100
    ridge: float = 1e-8
