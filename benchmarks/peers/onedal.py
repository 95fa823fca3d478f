"""oneDAL through scikit-learn-intelex: one partial fit per chunk, in the data's own float32, all cores."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import zarr

from benchmarks.data import Log, array_path
from benchmarks.peers import FLOAT32, Peer


def fit(log: Path, dtype: str) -> np.ndarray:
    from sklearnex.covariance import IncrementalEmpiricalCovariance

    array = zarr.open_array(array_path(log), mode="r")
    estimator = IncrementalEmpiricalCovariance()
    for start in range(0, array.shape[0], array.chunks[0]):
        estimator.partial_fit(np.asarray(array[start : start + array.chunks[0]], dtype=dtype))
    return np.asarray(estimator.covariance_, dtype="f8")


def _cov(log: Path) -> np.ndarray:
    return fit(log, "f4")


def prepare() -> None:
    import sklearnex.covariance  # noqa: F401


def refuses(log: Log) -> str | None:
    return None if find_spec("sklearnex") else "scikit-learn-intelex (sklearnex) is not installed"


PEER = Peer("oneDAL float32", {"cov": _cov}, alone=True, prepare=prepare, tolerance=FLOAT32, refuses=refuses)
