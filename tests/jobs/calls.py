"""What a job is to equal: every selected array folded by a plain call."""

from __future__ import annotations

import xarray as xr

from covdist.readings.result import Moments
from covdist.readings.whole_log import Selection, foldings


def log_moments(log: xr.DataTree, selection: Selection) -> dict[str, Moments]:
    """Fold every selected array, lazily."""
    return {path: folding.moments() for path, folding in foldings(log, selection).items()}
