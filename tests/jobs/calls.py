"""What a job is to equal: every selected array folded by a plain call."""

from __future__ import annotations

import xarray as xr

from covdist.folding.selection import Selection, foldings
from covdist.results.moments import Moments


def log_moments(log: xr.DataTree, selection: Selection) -> dict[str, Moments]:
    """Fold every selected array, lazily."""
    return {path: folding.moments() for path, folding in foldings(log, selection).items()}
