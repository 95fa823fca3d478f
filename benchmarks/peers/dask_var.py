"""dask.array.var."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np

from benchmarks.data import array_path
from benchmarks.peers import Peer


def _var(log: Path) -> np.ndarray:
    # Without dtype the moments of float32 are float32.
    return da.var(da.from_zarr(array_path(log)), axis=0, dtype="f8").compute()


PEER = Peer("dask.array.var", {"var": _var})
