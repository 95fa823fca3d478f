"""``HigherMoments``: third and fourth central moments of each column, beside count, mean and variance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from covdist.kernel.sums import column_sums
from covdist.numerics.accumulator import COLUMN_BYTES, COLUMN_FLOPS, Cost, Options, RowsAccumulator
from covdist.numerics.columns import NO_EXPONENT, Columns, combine
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns
from covdist.state.base import UNITS, Field, Fields, column_fields, fold_whole, in_one_unit, segments
from covdist.state.variances import LEAST_ROWS, Variances


class _Powers(NamedTuple):
    """Weight, and sums of powers of deviations from the mean, the k-th times ``2**(-k * unit)``; arrays (columns,)."""

    weight: float
    squares: np.ndarray
    cubes: np.ndarray
    fourths: np.ndarray
    unit: np.ndarray  # int64

    @classmethod
    def empty(cls, width: int) -> _Powers:
        zeros = np.zeros(width)
        return cls(0.0, zeros, zeros, zeros, np.full(width, NO_EXPONENT))

    def within(self, unit: np.ndarray) -> _Powers:
        """Return the same in a larger unit."""
        shift = np.maximum(self.unit - unit, -2000)  # 2**-2000 is 0
        squares, cubes = np.ldexp(self.squares, 2 * shift), np.ldexp(self.cubes, 3 * shift)
        return _Powers(self.weight, squares, cubes, np.ldexp(self.fourths, 4 * shift), unit)

    def merge(self, other: _Powers, delta: np.ndarray, exponent: np.ndarray) -> _Powers:
        """Merge (Pébay 2008, equations 1.5 and 1.6); the means differ by ``delta * 2**exponent``."""
        if self.weight == 0 or other.weight == 0:
            return other if self.weight == 0 else self
        unit = np.maximum(np.maximum(self.unit, other.unit), _binary_exponent(delta, exponent))
        a, b, d = self.within(unit), other.within(unit), np.ldexp(delta, exponent - unit)
        n = a.weight + b.weight
        p, q = a.weight / n, b.weight / n
        squares = a.squares + b.squares + a.weight * q * d**2
        cubes = a.cubes + b.cubes + a.weight * q * (p - q) * d**3 + 3 * d * (p * b.squares - q * a.squares)
        fourths = a.fourths + b.fourths + a.weight * q * (p * p - p * q + q * q) * d**4
        fourths += 6 * d**2 * (p * p * b.squares + q * q * a.squares)
        fourths += 4 * d * (p * b.cubes - q * a.cubes)
        return _Powers(n, squares, cubes, fourths, unit)


class _HigherFields(NamedTuple):
    columns: Columns
    cubes: np.ndarray  # float64 (columns,), times 2**(-3 * unit)
    fourths: np.ndarray  # float64 (columns,), times 2**(-4 * unit)
    unit: np.ndarray  # int64 (columns,): near the binary exponent of the largest deviation


class HigherMoments(_HigherFields):
    """The state behind ``skewness`` and ``kurtosis``."""

    __slots__ = ()
    name = "higher"
    sides = 1
    ordered = False
    FIELDS: ClassVar[Fields] = {
        **column_fields(),
        "cubes": Field("cubes", (0,), extensive=1),
        "fourths": Field("fourths", (0,), extensive=1),
        "power_exponent": Field("unit", (0,), np.int64, **UNITS),
    }

    @classmethod
    def empty(cls, width: int) -> HigherMoments:
        return cls._of(Columns.empty(width), _Powers.empty(width))

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> RowsAccumulator:
        return fold_whole(segments(cls, width, options=options), [width], LEAST_ROWS, options)

    @classmethod
    def product(cls, width: int, options: Options) -> _Blocks:
        return _Blocks(width)

    @classmethod
    def cost(cls, width: int) -> Cost:
        return Cost((COLUMN_BYTES + 24) * width, 3 * COLUMN_FLOPS * width, LEAST_ROWS, 3 * width)

    @classmethod
    def _of(cls, columns: Columns, powers: _Powers) -> HigherMoments:
        return cls(columns, powers.cubes, powers.fourths, powers.unit)

    def _powers(self) -> _Powers:
        columns = self.columns
        squares = np.ldexp(columns.squares, 2 * np.maximum(columns.exponent - self.unit, -2000))
        return _Powers(columns.weight, squares, self.cubes, self.fourths, self.unit)

    def merge(self, other: HigherMoments) -> HigherMoments:
        self, other = in_one_unit(self, other)
        columns, link = combine(self.columns, other.columns)
        if link is None:
            return self._of(columns, (other if self.columns.weight == 0 else self)._powers())
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity that were let through
            return self._of(columns, self._powers().merge(other._powers(), link.delta, columns.exponent))

    def side(self, number: int) -> Variances:
        return Variances(self.columns)

    def skewness(self) -> np.ndarray:
        """Return m₃ / m₂^1.5 of each column, NaN where it is constant."""
        powers = self._powers()
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(powers.weight) * powers.cubes / powers.squares**1.5

    def kurtosis(self) -> np.ndarray:
        """Return m₄ / m₂² - 3 of each column, NaN where it is constant."""
        powers = self._powers()
        with np.errstate(invalid="ignore", divide="ignore"):
            return powers.weight * powers.fourths / powers.squares**2 - 3


def _binary_exponent(values: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    found = np.frexp(np.abs(values))[1].astype(np.int64) + exponent
    return np.where((values != 0) & np.isfinite(values), found, NO_EXPONENT)


class _Blocks:
    """Sums of powers within a segment, each block's about its own mean, merged."""

    def __init__(self, width: int):
        self._empty = _Powers.empty(width), np.zeros(width)
        self._powers, self._mean = self._empty

    def add(self, sides: Sequence[Deviations]) -> None:
        (block,) = sides
        mean = block.sums / block.weight
        deviations = block.rows / block.roots[:, None] - mean
        unit = _binary_exponent(np.abs(deviations).max(axis=0), block.exponent)
        deviations = np.ldexp(deviations, np.maximum(block.exponent - unit, -2000))
        weights = (block.roots * block.roots)[:, None]
        squared = deviations * deviations
        squares, cubes, fourths = (column_sums(squared, each * weights) for each in (1, deviations, squared))
        powers = _Powers(block.weight, squares, cubes, fourths, unit)
        share, delta = block.weight / (self._powers.weight + block.weight), mean - self._mean
        self._powers = self._powers.merge(powers, delta, block.exponent)
        self._mean = self._mean + delta * share

    def close(self, shifted: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> HigherMoments:
        state = HigherMoments._of(columns[0], self._powers)
        self._powers, self._mean = self._empty
        return state
