"""numpy on the whole array, all cores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import zarr

from benchmarks.data import Log, array_path
from benchmarks.peers import Peer

_COPIES = 3  # the float32 array and its float64 copy, in units of the former


def _load(log: Path) -> np.ndarray:
    return np.asarray(zarr.open_array(array_path(log), mode="r")[:])


def _cov(log: Path) -> np.ndarray:
    return np.cov(_load(log), rowvar=False, ddof=0)


def _var(log: Path) -> np.ndarray:
    return np.var(_load(log), axis=0, dtype="f8")


def _refuses(log: Log) -> str | None:
    free = psutil.virtual_memory().available
    if _COPIES * log.bytes < 0.8 * free:
        return None
    return f"needs about {_COPIES * log.bytes / 1e9:.0f} GB of memory, {free / 1e9:.0f} GB are free"


PEER = Peer("numpy", {"cov": _cov, "var": _var}, alone=True, refuses=_refuses)
