"""``Pairwise`` and ``PairwiseCross``: scatters of which every entry has the rows that hold both of its columns."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from covdist.numerics import packed
from covdist.numerics.accumulator import (
    COLUMN_BYTES,
    COLUMN_FLOPS,
    Cost,
    Options,
    RowsAccumulator,
    finish_one,
    finish_two,
)
from covdist.numerics.columns import Columns, ObservedCounts, combine_observed, own_divisors
from covdist.numerics.correlation import covariance_of, pair_correlation
from covdist.numerics.eigen import nearest, smallest_of
from covdist.numerics.masked import MaskedSegments, Side
from covdist.numerics.pairs import PairMarginals, Pairs, SideMerge, marginals_of, merge, pairs_of
from covdist.state.base import Field, Fields
from covdist.state.cross import Cross
from covdist.state.pairwise_variances import PairwiseVariances, observed_fields
from covdist.state.scatter import Scatter

_LEAST_ROWS = 1024  # fewer would merge matrices more often than the products of their rows are worth


def _pair_fields(sides: int) -> Fields:
    marginals = {
        f"{name}{suffix}": Field(f"half{suffix}.{path}", (0, 1), extensive=extensive)
        for suffix in ("", "_y")[:sides]
        for name, path, extensive in (("offset", "offset", 0), ("pair_squares", "squares", 1))
    }
    return {
        **observed_fields(sides),
        "count": Field("pairs.rows", (0, 1), np.int64),
        "pair_weight": Field("pairs.weight", (0, 1), extensive=1),
        "scatter": Field("pairs.scatter", (0, 1), extensive=1),
        **marginals,
    }


class _PairwiseFields(NamedTuple):
    columns: Columns
    seen: ObservedCounts
    pairs: Pairs
    half: PairMarginals


class Pairwise(_PairwiseFields):
    """Of x's columns with each other; ``columns.weight`` is that of all rows, whatever they hold."""

    __slots__ = ()
    name = "pairwise"
    sides = 1
    ordered = False
    FIELDS: ClassVar[Fields] = _pair_fields(1)

    @classmethod
    def empty(cls, width: int) -> Pairwise:
        pairs, half = Pairs.empty(width, width), PairMarginals.all(np.zeros(width), width)
        return cls(Columns.empty(width), ObservedCounts.empty(width), pairs, half)

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> RowsAccumulator:
        segments = MaskedSegments(Scatter.segments(width, options), _lifted, _folded, cls.empty(width), options)
        return RowsAccumulator([width], _LEAST_ROWS, [(slice(None), segments)], finish_one, options)

    @classmethod
    def cost(cls, width: int) -> Cost:
        return _cost(5 * width * width, width, 6.0 * width * width)

    def merge(self, other: Pairwise) -> Pairwise:
        columns, seen, shifts = combine_observed((self.columns, self.seen), (other.columns, other.seen))
        if shifts is None:
            kept, rest = (other, self) if self.columns.weight == 0 else (self, other)
            return kept._replace(columns=columns, seen=seen, pairs=_counted(kept.pairs, rest.pairs))
        pairs, (half,) = merge(self.pairs, other.pairs, SideMerge(self.half, other.half, shifts))
        return Pairwise(columns, seen, pairs, half)

    def side(self, number: int) -> PairwiseVariances:
        return PairwiseVariances(self.columns, self.seen)

    def pair_covariance(self, ddof: float, min_periods: int) -> np.ndarray:
        """Return the covariance matrix; NaN where fewer rows hold both columns."""
        return _covariance(self.pairs, self.columns, self.columns, ddof, min_periods)

    def nearest_covariance(self, ddof: float, min_periods: int) -> np.ndarray:
        """Return the positive semidefinite matrix that lies nearest."""
        return nearest(self.pair_covariance(ddof, min_periods))

    def smallest_eigenvalue(self, ddof: float, min_periods: int) -> float:
        """Return the smallest eigenvalue of the covariance."""
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
    sides = 2
    ordered = False
    FIELDS: ClassVar[Fields] = _pair_fields(2)

    @classmethod
    def empty(cls, width: int, width_y: int) -> PairwiseCross:
        marginals = PairMarginals.all(np.zeros(width), width_y)
        return cls(
            Columns.empty(width), Columns.empty(width_y), ObservedCounts.empty(width), ObservedCounts.empty(width_y),
            Pairs.empty(width, width_y), marginals, marginals,
        )  # fmt: skip

    @classmethod
    def accumulator(cls, width: int, width_y: int, options: Options = Options()) -> RowsAccumulator:
        widths = [width, width_y]
        clean = Cross.segments(width, width_y, options)
        segments = MaskedSegments(clean, _lifted_cross, _folded_cross, cls.empty(*widths), options)
        return RowsAccumulator(widths, _LEAST_ROWS, [(slice(None), segments)], finish_two, options)

    @classmethod
    def cost(cls, width: int, width_y: int) -> Cost:
        return _cost(7 * width * width_y, width + width_y, 12.0 * width * width_y)

    def merge(self, other: PairwiseCross) -> PairwiseCross:
        x, seen, shifts = combine_observed(self.side(0), other.side(0))
        y, seen_y, shifts_y = combine_observed(self.side(1), other.side(1))
        if shifts is None or shifts_y is None:
            kept, rest = (other, self) if self.columns.weight == 0 else (self, other)
            pairs = _counted(kept.pairs, rest.pairs)
            return kept._replace(columns=x, columns_y=y, seen=seen, seen_y=seen_y, pairs=pairs)
        sides = SideMerge(self.half, other.half, shifts), SideMerge(self.half_y, other.half_y, shifts_y)
        pairs, (half, half_y) = merge(self.pairs, other.pairs, *sides)
        return PairwiseCross(x, y, seen, seen_y, pairs, half, half_y)

    def side(self, number: int) -> PairwiseVariances:
        given = (self.columns_y, self.seen_y) if number else (self.columns, self.seen)
        return PairwiseVariances(*given)

    def pair_covariance(self, ddof: float, min_periods: int) -> np.ndarray:
        """Return the covariance matrix; NaN where fewer rows hold both columns."""
        return _covariance(self.pairs, self.columns, self.columns_y, ddof, min_periods)

    def pair_correlation(self, min_periods: int) -> np.ndarray:
        """Return the correlation matrix; the spreads are those of a pair's rows."""
        matrix = pair_correlation(self.pairs.scatter, self.half.squares, self.half_y.squares)
        return np.where(self.pairs.rows < min_periods, np.nan, matrix)


def _cost(entries: int, columns: int, flops: float) -> Cost:
    """A block with missing values is a state of its own, and merging it makes another."""
    held = 8 * entries
    return Cost(
        held + (COLUMN_BYTES + 16) * columns, flops + COLUMN_FLOPS * columns, _LEAST_ROWS, 3 * columns, 2 * held
    )


def _counted(kept: Pairs, rest: Pairs) -> Pairs:
    return kept._replace(rows=kept.rows + rest.rows)


def _lifted(clean: Scatter, rows: int) -> Pairwise:
    columns, width = clean.columns, clean.columns.width
    pairs = Pairs.all(rows, columns.weight, packed.unpack(clean.triangle, width))
    half = PairMarginals.all(columns.squares, width)
    return Pairwise(columns, ObservedCounts.all(width, rows, columns.weight), pairs, half)


def _lifted_cross(clean: Cross, rows: int) -> PairwiseCross:
    x, y = clean.columns, clean.columns_y
    half, half_y = PairMarginals.all(x.squares, y.width), PairMarginals.all(y.squares, x.width).turned
    return PairwiseCross(
        x, y, ObservedCounts.all(x.width, rows, x.weight), ObservedCounts.all(y.width, rows, y.weight),
        Pairs.all(rows, x.weight, clean.rectangle), half, half_y,
    )  # fmt: skip


def _folded(sides: list[Side]) -> Pairwise:
    (x,) = sides
    return Pairwise(x.columns, x.seen, *pairs_of(x, x))


def _folded_cross(sides: list[Side]) -> PairwiseCross:
    x, y = sides
    pairs, half = pairs_of(x, y)
    half_y = marginals_of(y, x, pairs.weight.T).turned
    return PairwiseCross(x.columns, y.columns, x.seen, y.seen, pairs, half, half_y)


def _covariance(pairs: Pairs, x: Columns, y: Columns, ddof: float, min_periods: int) -> np.ndarray:
    divided_by = np.where(pairs.rows >= min_periods, own_divisors(x, pairs.weight, ddof), np.nan)
    return covariance_of(pairs.scatter.copy(), divided_by, x.exponent, y.exponent)
