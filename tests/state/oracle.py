"""The slow, obvious and exact reference: rational arithmetic on the joined rows."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import numpy as np

BOUND = Fraction(1, 10**12)


def exact(values: np.ndarray) -> tuple[list[int], int]:
    """Return numerators and their common denominator, a power of two."""
    wide = values if values.dtype.kind in "iub" else values.astype(np.float64)
    ratios = [(int(v), 1) if wide.dtype.kind in "iub" else v.as_integer_ratio() for v in wide.tolist()]
    common = max((below for _, below in ratios), default=1)
    return [above * (common // below) for above, below in ratios], common


class Exact:
    """Weighted sums of exact rows; ``side`` is a block (rows, columns)."""

    def __init__(self, *sides: np.ndarray, weights: np.ndarray | None = None):
        self.columns = [[exact(column) for column in side.T] for side in sides]
        ones = np.ones(len(sides[0]), np.int64)
        self.weights, self._unit = exact(ones if weights is None else weights)
        self.mean, self.cov = cache(self._mean), cache(self._cov)
        self.spread2, self.allowed2 = cache(self._spread2), cache(self._allowed2)

    @property
    def weight(self) -> Fraction:
        return Fraction(sum(self.weights), self._unit)

    def _mean(self, side: int, column: int) -> Fraction:
        values, unit = self.columns[side][column]
        return Fraction(_dot(self.weights, values), sum(self.weights) * unit)

    def _cov(self, side: int, column: int, side_y: int, column_y: int) -> Fraction:
        (x, unit_x), (y, unit_y) = self.columns[side][column], self.columns[side_y][column_y]
        total = sum(self.weights)
        products = sum(w * a * b for w, a, b in zip(self.weights, x, y, strict=True))
        centred = total * products - _dot(self.weights, x) * _dot(self.weights, y)
        return Fraction(centred, total**2 * unit_x * unit_y)

    def _spread2(self, side: int, column: int) -> Fraction:
        """Return the variance, raised where the mean falls between subnormal numbers: they end its digits."""
        variance = self.cov(side, column, side, column)
        return variance and variance + (power(-1071) / BOUND) ** 2

    def _allowed2(self, side: int, column: int, side_y: int, column_y: int) -> Fraction:
        """Return the square of the error that a covariance may have."""
        return BOUND**2 * self.spread2(side, column) * self.spread2(side_y, column_y)


_KNOWN: dict[object, Exact] = {}
_MOST_KNOWN = 512


def known(*sides: np.ndarray, weights: np.ndarray | None = None) -> Exact:
    """Return the exact sums of rows, which many kinds of states and ways of cutting are held against."""
    arrays = [*sides] if weights is None else [*sides, weights]
    key = weights is None, *((array.dtype.name, array.shape, array.tobytes()) for array in arrays)
    if key not in _KNOWN:
        if len(_KNOWN) == _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[key] = Exact(*sides, weights=weights)
    return _KNOWN[key]


def _dot(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(p * q for p, q in zip(a, b, strict=True))


def power(exponent: int) -> Fraction:
    """Return ``2**exponent``; float64 itself could not hold it."""
    return Fraction(2) ** int(exponent)
