"""oneDAL again, each chunk converted to float64 first: as exact as the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.peers import Peer
from benchmarks.peers.onedal import fit, prepare, refuses


def _cov(log: Path) -> np.ndarray:
    return fit(log, "f8")


PEER = Peer("oneDAL float64", {"cov": _cov}, alone=True, prepare=prepare, refuses=refuses)
