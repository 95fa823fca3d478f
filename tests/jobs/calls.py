"""What a job is to equal: every selected array folded by a plain call."""

from __future__ import annotations

import xarray as xr

from covdist.folding.fold import fold_request
from covdist.folding.selection import Selection, requests
from covdist.results.moments import Moments


def log_moments(log: xr.DataTree, selection: Selection) -> dict[str, Moments]:
    """Fold every selected array, lazily."""
    return {path: fold_request(request) for path, request in requests(log, selection).items()}
