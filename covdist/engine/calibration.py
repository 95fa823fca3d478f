"""How fast one core of this machine computes and moves bytes, for the times that plans tell; never for how they cut."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from covdist.numerics.blas import add_gram, single_thread
from covdist.numerics.packed import size

_COLUMNS, _ROWS = 512, 1024  # 0.27e9 operations, 4 MiB: some ten milliseconds
_COPIED = 1 << 25
_TRIES = 3


class Rates(NamedTuple):
    """Of one core, per second."""

    flops: float
    bytes: float


@cache
def rates() -> Rates:
    """Measure for a tenth of a second: float64 products of a covariance, and copies of memory out of the cache."""
    rows, triangle = np.ones((_ROWS, _COLUMNS)), np.zeros(size(_COLUMNS))
    source, target = np.ones(_COPIED, np.uint8), np.empty(_COPIED, np.uint8)
    with single_thread():
        product = _least_seconds(lambda: add_gram(rows, triangle))
    copy = _least_seconds(lambda: np.copyto(target, source))
    return Rates(_ROWS * _COLUMNS**2 / product, _COPIED / copy)


def _least_seconds(run: Callable[[], None]) -> float:
    found = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)
