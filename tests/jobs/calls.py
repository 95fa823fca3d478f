"""What a job is to equal: every selected array folded by a plain call."""

from __future__ import annotations

import os

from covdist.folding.fold import fold_request
from covdist.folding.selection import Selection, requests
from covdist.logs.opening import log_nodes
from covdist.results.moments import Moments


def log_moments(log: str | os.PathLike[str], selection: Selection) -> dict[str, Moments]:
    """Fold every selected array, lazily."""
    return {path: fold_request(request) for path, request in requests(log_nodes(log), selection).items()}
