"""From a centred scatter and both parts of the means to uncentred products, to float64's last digit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covdist.numerics.columns import NO_EXPONENT, Columns, divisor, share, two_sum
from covdist.numerics.products import rescaled

_SPLIT = 2.0**27 + 1


class MeanColumns(NamedTuple):
    """Columns of one side, maybe with a last one of ones; arrays (columns,), means times ``2**-unit``."""

    mean: np.ndarray
    mean_low: np.ndarray
    exponent: np.ndarray  # of the scatter
    unit: np.ndarray  # a power of two that no column's mean or deviation exceeds by much

    @classmethod
    def of(cls, columns: Columns, append_one: bool) -> MeanColumns:
        spread = np.sqrt(share(columns.squares, np.full(columns.width, columns.weight)))
        unit = np.maximum(_power(columns.mean), np.where(spread > 0, _power(spread) + columns.exponent, NO_EXPONENT))
        unit = np.where(unit > NO_EXPONENT, unit, 0)
        means = np.ldexp(columns.mean, -unit), np.ldexp(columns.mean_low, -unit)
        if not append_one:
            return cls(*means, columns.exponent, unit)
        ends = (1.0, 0.0, 0, 0)
        return cls(*(np.append(each, end) for each, end in zip((*means, columns.exponent, unit), ends, strict=True)))

    def part(self, rows: slice) -> MeanColumns:
        return MeanColumns(*(each[rows] for each in self))


def second_moment(
    scatter: np.ndarray, columns: Columns, x: MeanColumns, y: MeanColumns, divide: bool, unit: int | np.ndarray = 0
) -> np.ndarray:
    """Return the sum, or mean, of x yᵀ, times ``4**-unit``, whose centred scatter is the first rows and columns.

    Of x with itself there may be a unit for each column.
    """
    by = divisor(columns, 0) if divide else 1.0
    matrix = np.zeros((len(x.mean), len(y.mean)))
    matrix[: len(scatter), : scatter.shape[1]] = scatter / by
    matrix = rescaled(matrix, x.exponent - x.unit, y.exponent - y.unit)
    with np.errstate(invalid="ignore"):  # NaN and infinity that were let through
        product, rest = _times(x.mean[:, None], y.mean)
        rest += x.mean[:, None] * y.mean_low + x.mean_low[:, None] * y.mean
        if not divide:
            product, error = _times(product, np.array(columns.weight))
            rest = rest * columns.weight + error
    total, error = two_sum(product, matrix)
    found = rescaled(total + (error + rest), x.unit - unit, y.unit - unit)
    return found if divide else np.ldexp(found, columns.weight_unit)


def _times(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``a * b`` rounded, and the rounding error, exactly (Dekker 1971)."""
    product = a * b
    (a, a_low), (b, b_low) = _halves(a), _halves(b)
    return product, ((a * b - product) + (a * b_low + a_low * b)) + a_low * b_low


def _halves(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    large = values * _SPLIT
    high = large - (large - values)
    return high, values - high


def _power(values: np.ndarray) -> np.ndarray:
    return np.where(values != 0, np.frexp(values)[1].astype(np.int64), NO_EXPONENT)
