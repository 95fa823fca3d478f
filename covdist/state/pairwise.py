"""``Pairwise`` and ``PairwiseCross``: scatters of which every entry has the rows that hold both of its columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covdist.numerics import packed as triangle
from covdist.numerics.accumulator import COLUMN_BYTES, COLUMN_FLOPS, Accumulator, Cost, Counted, Options
from covdist.numerics.columns import Columns
from covdist.numerics.masked import MaskedSegments, Side
from covdist.numerics.pairs import PairMarginals, Pairs, SideMerge, marginals_of, merge, pairs_of
from covdist.numerics.present import ObservedCounts, combine
from covdist.state.cross import Cross
from covdist.state.scatter import Scatter

_LEAST_ROWS = 1024  # fewer would merge matrices more often than the products of their rows are worth


class Pairwise(NamedTuple):
    """Of x's columns with each other; ``columns.weight`` is that of all rows, holes or not."""

    columns: Columns
    seen: ObservedCounts
    pairs: Pairs
    half: PairMarginals

    @classmethod
    def empty(cls, width: int) -> Pairwise:
        pairs, half = Pairs.empty(width, width), PairMarginals.all(np.zeros(width), width)
        return cls(Columns.empty(width), ObservedCounts.empty(width), pairs, half)

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> Accumulator:
        segments = MaskedSegments(Scatter.segments(width, options), _lifted, _folded, cls.empty(width), options)
        return Accumulator([width], _LEAST_ROWS, [(slice(None), segments)], _finish, options)

    @classmethod
    def cost(cls, width: int) -> Cost:
        return _cost(5 * width * width, width, 6.0 * width * width)

    def merge(self, other: Pairwise) -> Pairwise:
        columns, seen, shifts = combine((self.columns, self.seen), (other.columns, other.seen))
        if shifts is None:
            kept, rest = (other, self) if self.columns.weight == 0 else (self, other)
            return kept._replace(columns=columns, seen=seen, pairs=_counted(kept.pairs, rest.pairs))
        pairs, (half,) = merge(self.pairs, other.pairs, SideMerge(self.half, other.half, shifts))
        return Pairwise(columns, seen, pairs, half)


class PairwiseCross(NamedTuple):
    """Of x's columns with y's."""

    columns: Columns
    columns_y: Columns
    seen: ObservedCounts
    seen_y: ObservedCounts
    pairs: Pairs
    half: PairMarginals
    half_y: PairMarginals

    @classmethod
    def empty(cls, width: int, width_y: int) -> PairwiseCross:
        marginals = PairMarginals.all(np.zeros(width), width_y)
        return cls(
            Columns.empty(width), Columns.empty(width_y), ObservedCounts.empty(width), ObservedCounts.empty(width_y),
            Pairs.empty(width, width_y), marginals, marginals,
        )  # fmt: skip

    @classmethod
    def accumulator(cls, width: int, width_y: int, options: Options = Options()) -> Accumulator:
        widths = [width, width_y]
        clean = Cross.segments(width, width_y, options)
        segments = MaskedSegments(clean, _lifted_cross, _folded_cross, cls.empty(*widths), options)
        return Accumulator(widths, _LEAST_ROWS, [(slice(None), segments)], _finish_cross, options)

    @classmethod
    def cost(cls, width: int, width_y: int) -> Cost:
        return _cost(7 * width * width_y, width + width_y, 12.0 * width * width_y)

    def merge(self, other: PairwiseCross) -> PairwiseCross:
        x, seen, shifts = combine((self.columns, self.seen), (other.columns, other.seen))
        y, seen_y, shifts_y = combine((self.columns_y, self.seen_y), (other.columns_y, other.seen_y))
        if shifts is None or shifts_y is None:
            kept, rest = (other, self) if self.columns.weight == 0 else (self, other)
            pairs = _counted(kept.pairs, rest.pairs)
            return kept._replace(columns=x, columns_y=y, seen=seen, seen_y=seen_y, pairs=pairs)
        sides = SideMerge(self.half, other.half, shifts), SideMerge(self.half_y, other.half_y, shifts_y)
        pairs, (half, half_y) = merge(self.pairs, other.pairs, *sides)
        return PairwiseCross(x, y, seen, seen_y, pairs, half, half_y)


def _cost(entries: int, columns: int, flops: float) -> Cost:
    """A block with holes is a state of its own, and merging it makes another."""
    held = 8 * entries
    return Cost(
        held + (COLUMN_BYTES + 16) * columns, flops + COLUMN_FLOPS * columns, _LEAST_ROWS, 3 * columns, 2 * held
    )


def _counted(kept: Pairs, rest: Pairs) -> Pairs:
    return kept._replace(rows=kept.rows + rest.rows)


def _lifted(clean: Scatter, rows: int) -> Pairwise:
    columns, width = clean.columns, clean.columns.width
    pairs = Pairs.all(rows, columns.weight, triangle.unpack(clean.triangle, width))
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


def _finish(counted: Counted, states: list[Pairwise]) -> Pairwise:
    (state,) = states
    return state._replace(columns=state.columns._replace(**counted.fields(0)))


def _finish_cross(counted: Counted, states: list[PairwiseCross]) -> PairwiseCross:
    (state,) = states
    return state._replace(
        columns=state.columns._replace(**counted.fields(0)),
        columns_y=state.columns_y._replace(**counted.fields(1)),
    )
