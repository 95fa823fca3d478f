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


def _dot(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(p * q for p, q in zip(a, b, strict=True))


def power(exponent: int) -> Fraction:
    """Return ``2**exponent``; float64 itself could not hold it."""
    return Fraction(2) ** int(exponent)
