"""dask.array.cov."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np

from benchmarks.data import array_path
from benchmarks.peers import Peer


def _cov(log: Path) -> np.ndarray:
    return da.cov(da.from_zarr(array_path(log)), rowvar=False, ddof=0).compute()


PEER = Peer("dask.array.cov", {"cov": _cov})
