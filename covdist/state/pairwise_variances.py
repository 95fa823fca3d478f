"""Moments of columns of which each has rows of its own, because missing values are left out one by one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covdist.numerics.accumulator import Accumulator, Cost, Counted, Options
from covdist.numerics.columns import Columns, concatenate
from covdist.numerics.masked import MaskedSegments, Side
from covdist.numerics.present import ObservedCounts, combine
from covdist.state.variances import Variances, tiles


class PairwiseVariances(NamedTuple):
    """The state behind ``var`` under ``missing="pairwise"``; ``columns.weight`` is that of all rows, holes or not."""

    columns: Columns
    seen: ObservedCounts

    @classmethod
    def empty(cls, width: int) -> PairwiseVariances:
        return cls(Columns.empty(width), ObservedCounts.empty(width))

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> Accumulator:
        masked = [
            (tile, MaskedSegments(segments, _lifted, _observed, cls.empty(tile.stop - tile.start), options))
            for tile, segments in tiles(width)
        ]
        return Accumulator([width], cls.cost(width).least_rows, masked, _finish, options)

    @classmethod
    def cost(cls, width: int) -> Cost:
        cost = Variances.cost(width)
        return cost._replace(state_bytes=cost.state_bytes + 16 * width)

    def merge(self, other: PairwiseVariances) -> PairwiseVariances:
        columns, seen, _ = combine(self, other)
        return PairwiseVariances(columns, seen)


def _lifted(clean: Variances, rows: int) -> PairwiseVariances:
    columns = clean.columns
    return PairwiseVariances(columns, ObservedCounts.all(columns.width, rows, columns.weight))


def _observed(sides: list[Side]) -> PairwiseVariances:
    return PairwiseVariances(sides[0].columns, sides[0].seen)


def _finish(counted: Counted, parts: list[PairwiseVariances]) -> PairwiseVariances:
    columns = concatenate([part.columns for part in parts])._replace(**counted.fields(0))
    rows, weights = zip(*(part.seen for part in parts), strict=True)
    return PairwiseVariances(columns, ObservedCounts(np.concatenate(rows), np.concatenate(weights)))
