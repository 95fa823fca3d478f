"""xarray.cov, which has no matrix form: all pairs by broadcasting, rows * columns**2 elements."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr

from benchmarks.data import Log, array_path
from benchmarks.peers import Peer

_MOST = 2**27


def _cov(log: Path) -> np.ndarray:
    x = xr.DataArray(da.from_zarr(array_path(log)), dims=("sample", "unit")).astype("f8")
    return xr.cov(x, x.rename(unit="unit_2"), dim="sample", ddof=0).compute().values


def _refuses(log: Log) -> str | None:
    elements = log.rows * log.columns**2
    return None if elements <= _MOST else f"elementwise: it would make {elements:.1e} products"


PEER = Peer("xarray.cov", {"cov": _cov}, refuses=_refuses)
