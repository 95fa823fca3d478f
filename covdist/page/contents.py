"""What a page is about: states by array, and what is known beside them."""

from __future__ import annotations

from dataclasses import dataclass, field

import xarray as xr

from covdist.jobs.job import JobStatus
from covdist.results.moments import Moments


@dataclass(frozen=True)
class Contents:
    """States by the paths of their arrays, such as "fc1/activation", and where they come from.

    ``similarity`` is a sentence where there is none to show; ``costs`` are what was planned and what was measured;
    ``origin`` are facts by their names.
    """

    source: str
    states: dict[str, Moments]
    variables: tuple[str, str] = ("gradient", "activation")
    similarity: xr.DataArray | str = ""
    progress: JobStatus | None = None
    costs: list[tuple[str, str, str]] = field(default_factory=list)
    origin: list[tuple[str, str]] = field(default_factory=list)
