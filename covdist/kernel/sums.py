"""Sums over rows, in an order that rows alone fix: the same bits on every processor, and in the compiled kernel."""

from __future__ import annotations

import numpy as np

_BLOCK = 256  # rows whose sum starts from zero: an entry of n rows is off by at most (256 + n / 256) roundings


def column_sums(rows: np.ndarray, factors: np.ndarray | None = None) -> np.ndarray:
    """Return the sum of each column of ``rows``, float64 (rows, columns), or of ``rows * factors``."""
    total = np.zeros(rows.shape[1])
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        total += _in_order(part if factors is None else part * factors[start : start + _BLOCK])
    return total


def _in_order(rows: np.ndarray) -> np.ndarray:
    # A column by itself numpy would add up in pairs.
    return np.add.accumulate(rows, axis=0)[-1] if rows.shape[1] == 1 else np.add.reduce(rows, axis=0)


def sum_in_order(vector: np.ndarray) -> float:
    """Return the sum of a vector, one number after the other."""
    return float(np.add.accumulate(vector)[-1])
