"""covdist as it comes: float64 throughout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.data import NODE, OTHER, VARIABLE
from benchmarks.peers import Peer


def _cov(log: Path) -> np.ndarray:
    import covdist

    return covdist.cov(covdist.open_log(log)[NODE][VARIABLE], dim="sample").compute().values


def _cross(log: Path) -> np.ndarray:
    import covdist

    node = covdist.open_log(log)[NODE]
    return covdist.cov(node[VARIABLE], node[OTHER], dim="sample").compute().values


def _var(log: Path) -> np.ndarray:
    import covdist

    return covdist.var(covdist.open_log(log)[NODE][VARIABLE], dim="sample").compute().values


PEER = Peer("covdist", {"cov": _cov, "cross": _cross, "var": _var})
