"""Measures one core of this machine, for the times that plans show; never for how they cut."""

from __future__ import annotations

import timeit
from functools import cache

import numpy as np

from covdist.numerics.blas import add_gram, single_thread
from covdist.numerics.packed import size

_COLUMNS, _ROWS = 512, 1024  # 0.27e9 operations, 4 MiB: some ten milliseconds
_COPIED = 1 << 25
_TRIES = 3


@cache
def rates() -> tuple[float, float]:
    """Return the floating-point operations and the bytes that one core does per second.

    Measured for a tenth of a second: float64 products as for a covariance, and copies of memory beyond the cache.
    """
    rows, triangle = np.ones((_ROWS, _COLUMNS)), np.zeros(size(_COLUMNS))
    source, target = np.ones(_COPIED, np.uint8), np.empty(_COPIED, np.uint8)
    with single_thread():
        product = min(timeit.repeat(lambda: add_gram(rows, triangle), number=1, repeat=_TRIES))
    copy = min(timeit.repeat(lambda: np.copyto(target, source), number=1, repeat=_TRIES))
    return _ROWS * _COLUMNS**2 / product, _COPIED / copy
