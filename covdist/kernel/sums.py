"""Sums over rows, in an order that rows alone fix: the same bits on every processor, and in the compiled kernel."""

from __future__ import annotations

import numpy as np

_BLOCK = 256  # rows whose sum starts from zero: an entry of n rows is off by at most (256 + n / 256) roundings
_NARROW = 32  # columns; of fewer, many blocks are summed side by side: NumPy's loops run along a row


def column_sums(rows: np.ndarray, factors: np.ndarray | None = None) -> np.ndarray:
    """Return the sum of each column of ``rows``, float64 (rows, columns), or of ``rows * factors``."""
    total, start = np.zeros(rows.shape[1]), 0
    if rows.shape[1] < _NARROW and len(rows) >= 2 * _BLOCK:
        start = len(rows) // _BLOCK * _BLOCK
        products = rows[:start] if factors is None else rows[:start] * factors[:start]
        blocks = np.ascontiguousarray(products.reshape(-1, _BLOCK, rows.shape[1]).swapaxes(0, 1)).reshape(_BLOCK, -1)
        total += np.add.accumulate(np.add.reduce(blocks, axis=0).reshape(-1, rows.shape[1]), axis=0)[-1]
    for first in range(start, len(rows), _BLOCK):
        part = rows[first : first + _BLOCK]
        total += _in_order(part if factors is None else part * factors[first : first + _BLOCK])
    return total


def _in_order(rows: np.ndarray) -> np.ndarray:
    # A column by itself numpy would add up in pairs.
    return np.add.accumulate(rows, axis=0)[-1] if rows.shape[1] == 1 else np.add.reduce(rows, axis=0)


def sum_in_order(vector: np.ndarray) -> float:
    """Return the sum of a vector, one number after the other."""
    return float(np.add.accumulate(vector)[-1])
