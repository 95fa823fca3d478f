"""Scatters of which every entry has the rows that hold both of its columns, and moments of columns with such rows."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from covdist.numerics import columns as moments
from covdist.numerics import packed
from covdist.numerics.accumulator import COLUMN_BYTES, COLUMN_FLOPS, Cost, Counted, Options, RowsAccumulator
from covdist.numerics.columns import Columns, ObservedCounts, combine_observed, concatenate, own_divisors
from covdist.numerics.correlation import covariance_of, pair_correlation
from covdist.numerics.eigen import nearest, smallest_of
from covdist.numerics.masked import MaskedSegments, Side
from covdist.numerics.pairs import PairMarginals, Pairs, SideMerge, merge, pairs_of
from covdist.state.base import WEIGHTS, Field, Fields, column_fields, fold_whole, in_one_unit, segments
from covdist.state.cross import Cross
from covdist.state.scatter import Scatter
from covdist.state.variances import Variances, tiles

_LEAST_ROWS = 1024  # fewer would merge matrices more often than the products of their rows are worth


def _observed_fields(sides: int = 1) -> Fields:
    """Return the fields of ``columns`` and ``seen``, and with two sides of ``columns_y`` and ``seen_y``."""
    fields = dict(column_fields(sides, count="rows"))
    for side, suffix in enumerate(("", "_y")[:sides]):
        fields[f"column_count{suffix}"] = Field(f"seen{suffix}.rows", (side,), np.int64, least=0)
        fields[f"column_weight{suffix}"] = Field(f"seen{suffix}.weight", (side,), extensive=1, **WEIGHTS)
    return fields


def _pair_fields(sides: int) -> Fields:
    fields = {
        **_observed_fields(sides),
        "count": Field("pairs.rows", (0, 1), np.int64, least=0),
        "pair_weight": Field("pairs.weight", (0, 1), extensive=1, **WEIGHTS),
        "scatter": Field("pairs.scatter", (0, 1), extensive=1),
    }
    for suffix in ("", "_y")[:sides]:
        fields[f"offset{suffix}"] = Field(f"half{suffix}.offset", (0, 1))
        fields[f"pair_squares{suffix}"] = Field(f"half{suffix}.squares", (0, 1), extensive=1)
    return fields


class _PairwiseFields(NamedTuple):
    columns: Columns
    seen: ObservedCounts
    pairs: Pairs
    half: PairMarginals


class Pairwise(_PairwiseFields):
    """Of x's columns with each other; ``columns.weight`` is that of all rows, whatever they hold."""

    __slots__ = ()
    name = "pairwise"
    BY_OPTION = True
    sides = 1
    ordered = False
    FIELDS: ClassVar[Fields] = _pair_fields(1)

    @classmethod
    def empty(cls, width: int) -> Pairwise:
        pairs, half = Pairs.empty(width, width), PairMarginals.all(np.zeros(width), width)
        return cls(Columns.empty(width), ObservedCounts.empty(width), pairs, half)

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> RowsAccumulator:
        clean, empty = segments(Scatter, width, options=options), cls.empty(width)
        return fold_whole(MaskedSegments(clean, _lifted, _folded, empty, options), [width], _LEAST_ROWS, options)

    @classmethod
    def cost(cls, width: int) -> Cost:
        return _cost(5 * width * width, width, 6.0 * width * width)

    def merge(self, other: Pairwise) -> Pairwise:
        self, other = in_one_unit(self, other)
        columns, seen, shifts = combine_observed((self.columns, self.seen), (other.columns, other.seen))
        if shifts is None:
            kept = other if self.columns.weight == 0 else self
            pairs = kept.pairs._replace(rows=self.pairs.rows + other.pairs.rows)
            return kept._replace(columns=columns, seen=seen, pairs=pairs)
        pairs, (half,) = merge(self.pairs, other.pairs, SideMerge(self.half, other.half, shifts))
        return Pairwise(columns, seen, pairs, half)

    def side(self, number: int) -> PairwiseVariances:
        return PairwiseVariances(self.columns, self.seen)

    def pair_covariance(self, ddof: float, min_periods: int) -> np.ndarray:
        return _covariance(self.pairs, self.columns, self.columns, ddof, min_periods)

    def nearest_covariance(self, ddof: float, min_periods: int) -> np.ndarray:
        """Return the positive semidefinite matrix that lies nearest."""
        return nearest(self.pair_covariance(ddof, min_periods))

    def smallest_eigenvalue(self, ddof: float, min_periods: int) -> float:
        return smallest_of(self.pair_covariance(ddof, min_periods))

    def pair_correlation(self, min_periods: int) -> np.ndarray:
        """Return the correlation matrix; the spreads are those of a pair's rows, the diagonal is 1."""
        matrix = pair_correlation(self.pairs.scatter, self.half.squares, self.half.turned.squares)
        matrix[self.pairs.rows < min_periods] = np.nan
        np.fill_diagonal(matrix, np.where(np.isnan(np.diagonal(matrix)), np.nan, 1.0))
        return matrix


class _PairwiseCrossFields(NamedTuple):
    columns: Columns
    columns_y: Columns
    seen: ObservedCounts
    seen_y: ObservedCounts
    pairs: Pairs
    half: PairMarginals
    half_y: PairMarginals


class PairwiseCross(_PairwiseCrossFields):
    """Of x's columns with y's."""

    __slots__ = ()
    name = "pairwise cross"
    BY_OPTION = True
    sides = 2
    ordered = False
    FIELDS: ClassVar[Fields] = _pair_fields(2)

    @classmethod
    def empty(cls, width: int, width_y: int) -> PairwiseCross:
        x, y = PairwiseVariances.empty(width), PairwiseVariances.empty(width_y)
        half = PairMarginals.all(np.zeros(width), width_y)
        return cls(x.columns, y.columns, x.seen, y.seen, Pairs.empty(width, width_y), half, half)

    @classmethod
    def accumulator(cls, width: int, width_y: int, options: Options = Options()) -> RowsAccumulator:
        clean, empty = segments(Cross, width, width_y, options=options), cls.empty(width, width_y)
        masked = MaskedSegments(clean, _lifted_cross, _folded_cross, empty, options)
        return fold_whole(masked, [width, width_y], _LEAST_ROWS, options)

    @classmethod
    def cost(cls, width: int, width_y: int) -> Cost:
        return _cost(7 * width * width_y, width + width_y, 12.0 * width * width_y)

    def merge(self, other: PairwiseCross) -> PairwiseCross:
        self, other = in_one_unit(self, other)
        x, seen, shifts = combine_observed(self.side(0), other.side(0))
        y, seen_y, shifts_y = combine_observed(self.side(1), other.side(1))
        if shifts is None or shifts_y is None:
            kept = other if self.columns.weight == 0 else self
            pairs = kept.pairs._replace(rows=self.pairs.rows + other.pairs.rows)
            return kept._replace(columns=x, columns_y=y, seen=seen, seen_y=seen_y, pairs=pairs)
        sides = SideMerge(self.half, other.half, shifts), SideMerge(self.half_y, other.half_y, shifts_y)
        pairs, (half, half_y) = merge(self.pairs, other.pairs, *sides)
        return PairwiseCross(x, y, seen, seen_y, pairs, half, half_y)

    def side(self, number: int) -> PairwiseVariances:
        return PairwiseVariances(*((self.columns_y, self.seen_y) if number else (self.columns, self.seen)))

    def pair_covariance(self, ddof: float, min_periods: int) -> np.ndarray:
        return _covariance(self.pairs, self.columns, self.columns_y, ddof, min_periods)

    def pair_correlation(self, min_periods: int) -> np.ndarray:
        """Return the correlation matrix; the spreads are those of a pair's rows."""
        matrix = pair_correlation(self.pairs.scatter, self.half.squares, self.half_y.squares)
        return np.where(self.pairs.rows < min_periods, np.nan, matrix)


class _PairwiseVariancesFields(NamedTuple):
    columns: Columns
    seen: ObservedCounts


class PairwiseVariances(_PairwiseVariancesFields):
    """The state behind ``var`` where values are left out one by one; ``columns.weight`` is that of all rows."""

    __slots__ = ()
    name = "pairwise variances"
    BY_OPTION = True
    sides = 1
    ordered = False
    COUNT = "column_count"
    FIELDS: ClassVar[Fields] = _observed_fields()

    @classmethod
    def empty(cls, width: int) -> PairwiseVariances:
        return cls(Columns.empty(width), ObservedCounts.empty(width))

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> RowsAccumulator:
        masked = [
            (tile, MaskedSegments(clean, _lifted_variances, _observed, cls.empty(tile.stop - tile.start), options))
            for tile, clean in tiles(width)
        ]
        return RowsAccumulator([width], cls.cost(width).least_rows, masked, _finish, options)

    @classmethod
    def cost(cls, width: int) -> Cost:
        cost = Variances.cost(width)
        return cost._replace(state_bytes=cost.state_bytes + 16 * width)

    def merge(self, other: PairwiseVariances) -> PairwiseVariances:
        self, other = in_one_unit(self, other)
        columns, seen, _ = combine_observed(self, other)
        return PairwiseVariances(columns, seen)

    def side(self, number: int) -> PairwiseVariances:
        return self

    def rows(self) -> np.ndarray:
        return self.seen.rows

    def zeros(self) -> np.ndarray:
        return self.columns.census.zeros

    def mean(self) -> np.ndarray:
        return moments.mean(self.columns, self.seen.weight)

    def mean_low(self) -> np.ndarray:
        return moments.mean_low(self.columns)

    def variance(self, ddof: float) -> np.ndarray:
        return moments.variance(self.columns, own_divisors(self.columns, self.seen.weight, ddof))

    def deviation(self, ddof: float) -> np.ndarray:
        return moments.deviation(self.columns, own_divisors(self.columns, self.seen.weight, ddof))


def _cost(entries: int, columns: int, flops: float) -> Cost:
    """A block with missing values is a state of its own, and merging it makes another."""
    state_bytes = 8 * entries + (COLUMN_BYTES + 16) * columns
    return Cost(state_bytes, flops + COLUMN_FLOPS * columns, _LEAST_ROWS, 3 * columns, 2 * 8 * entries)


def _lifted_variances(clean: Variances, rows: int) -> PairwiseVariances:
    columns = clean.columns
    return PairwiseVariances(columns, ObservedCounts.all(columns.width, rows, columns.weight))


def _observed(sides: list[Side]) -> PairwiseVariances:
    return PairwiseVariances(sides[0].columns, sides[0].seen)


def _finish(counted: Counted, parts: list[PairwiseVariances]) -> PairwiseVariances:
    seen = ObservedCounts(*map(np.concatenate, zip(*(part.seen for part in parts), strict=True)))
    return PairwiseVariances(counted.into(concatenate([part.columns for part in parts])), seen)


def _lifted(clean: Scatter, rows: int) -> Pairwise:
    columns, seen = _lifted_variances(clean.side(0), rows)
    pairs = Pairs.all(rows, columns.weight, packed.unpack(clean.triangle, columns.width))
    return Pairwise(columns, seen, pairs, PairMarginals.all(columns.squares, columns.width))


def _lifted_cross(clean: Cross, rows: int) -> PairwiseCross:
    (x, seen), (y, seen_y) = (_lifted_variances(clean.side(number), rows) for number in (0, 1))
    half, half_y = PairMarginals.all(x.squares, y.width), PairMarginals.all(y.squares, x.width).turned
    return PairwiseCross(x, y, seen, seen_y, Pairs.all(rows, x.weight, clean.rectangle), half, half_y)


def _folded(sides: list[Side]) -> Pairwise:
    pairs, half, _ = pairs_of(sides[0], sides[0])
    return Pairwise(*_observed(sides), pairs, half)


def _folded_cross(sides: list[Side]) -> PairwiseCross:
    x, y = sides
    pairs, half, half_y = pairs_of(x, y)
    return PairwiseCross(x.columns, y.columns, x.seen, y.seen, pairs, half, half_y)


def _covariance(pairs: Pairs, x: Columns, y: Columns, ddof: float, min_periods: int) -> np.ndarray:
    """NaN where fewer rows hold both columns."""
    divided_by = np.where(pairs.rows >= min_periods, own_divisors(x, pairs.weight, ddof), np.nan)
    return covariance_of(pairs.scatter.copy(), divided_by, x.exponent, y.exponent)
