"""covdist with float32 products, added up in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.data import NODE, VARIABLE
from benchmarks.peers import FLOAT32, Peer


def _cov(log: Path) -> np.ndarray:
    import covdist

    x = covdist.open_log(log)[NODE][VARIABLE]
    return covdist.moments(x, dim="sample", precision="fast").cov().compute().values


PEER = Peer("covdist fast", {"cov": _cov}, tolerance=FLOAT32)
