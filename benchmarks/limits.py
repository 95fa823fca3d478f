"""What the machine can do at most: as many single-threaded products, or readers, as there are workers.

``dsfrk`` (LAPACK's packed ``dsyrk``) does half of its work in ``gemm`` and can pass ``dsyrk``: both
are shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from distributed import Client
from scipy.linalg.blas import dgemm, dsyrk
from scipy.linalg.lapack import dsfrk

from benchmarks.data import NODE, Log

Limit = Callable[[Client, Log, Path], float]  # the seconds below which no contender can come
_SHORTEST = 0.2


def _product_seconds(client: Client, rows: int, columns: int, rate: Callable[[int], float]) -> float:
    rates = client.run(rate, columns)
    return rows * columns**2 / sum(rates.values())


def _rate(columns: int, product: Callable[[np.ndarray], object]) -> float:
    # Small columns need tall blocks, or the call would cost more than the product.
    rows = np.random.default_rng(0).random((max(1024, 2**17 // columns), columns))
    product(rows)
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < _SHORTEST:
        product(rows)
        calls += 1
    return calls * rows.size * columns / elapsed


def _dsyrk_rate(columns: int) -> float:
    out = np.zeros((columns, columns), order="F")
    return _rate(columns, lambda rows: dsyrk(1.0, rows.T, beta=1.0, c=out, overwrite_c=1))


def _dsfrk_rate(columns: int) -> float:
    out = np.zeros(columns * (columns + 1) // 2)
    return _rate(columns, lambda rows: dsfrk(columns, len(rows), 1.0, rows.T, 1.0, out, uplo="L", overwrite_c=1))


def _dgemm_rate(columns: int) -> float:
    out = np.zeros((columns, columns), order="F")
    return _rate(columns, lambda rows: dgemm(1.0, rows.T, rows.T, beta=1.0, c=out, trans_b=1, overwrite_c=1))


def _read_seconds(client: Client, log: Log, path: Path) -> float:
    files = sorted(str(file) for file in (path / NODE).glob("*/c/**/*") if file.is_file())
    workers = list(client.scheduler_info(n_workers=-1)["workers"])
    shares = [files[i :: len(workers)] for i in range(len(workers))]
    futures = [
        client.submit(_read, share, workers=[worker], pure=False) for worker, share in zip(workers, shares, strict=True)
    ]
    return max(client.gather(futures))


def _read(files: list[str]) -> float:
    buffer = bytearray(max((Path(file).stat().st_size for file in files), default=0))
    view = memoryview(buffer)
    start = time.perf_counter()
    for file in files:
        with open(file, "rb", buffering=0) as stream:
            stream.readinto(view)
    return time.perf_counter() - start


_READ: dict[str, Limit] = {"limit: read": _read_seconds}
_PRODUCTS: dict[str, Limit] = {
    "limit: dsyrk": lambda client, log, path: _product_seconds(client, log.rows, log.columns, _dsyrk_rate),
    "limit: dsfrk": lambda client, log, path: _product_seconds(client, log.rows, log.columns, _dsfrk_rate),
}
_OF_HALVES: dict[str, Limit] = {
    "limit: dgemm": lambda client, log, path: _product_seconds(client, log.rows, log.columns // 2, _dgemm_rate),
}
LIMITS: dict[str, dict[str, Limit]] = {"cov": _READ | _PRODUCTS, "cross": _READ | _OF_HALVES, "var": _READ}
