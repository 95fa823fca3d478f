"""Sums of products in dask, as usually written by hand. Loses all digits where the mean is large."""

from __future__ import annotations

from pathlib import Path

import dask
import dask.array as da
import numpy as np

from benchmarks.data import OTHER, VARIABLE, array_path
from benchmarks.peers import Peer


def _cov(log: Path) -> np.ndarray:
    x = da.from_zarr(array_path(log)).astype("f8")
    products, sums = dask.compute(x.T @ x, x.sum(axis=0))
    mean = sums / x.shape[0]
    return products / x.shape[0] - np.outer(mean, mean)


def _cross(log: Path) -> np.ndarray:
    x, y = (da.from_zarr(array_path(log, name)).astype("f8") for name in (VARIABLE, OTHER))
    products, *sums = dask.compute(x.T @ y, x.sum(axis=0), y.sum(axis=0))
    return products / x.shape[0] - np.outer(*sums) / x.shape[0] ** 2


PEER = Peer("dask x.T @ x", {"cov": _cov, "cross": _cross})
