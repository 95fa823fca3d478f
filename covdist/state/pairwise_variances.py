"""``PairwiseVariances``: moments of columns each of which has rows of its own, as missing values are left out."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from covdist.numerics import columns as moments
from covdist.numerics.accumulator import Cost, Counted, Options, RowsAccumulator
from covdist.numerics.columns import Columns, ObservedCounts, combine_observed, concatenate, own_divisors
from covdist.numerics.masked import MaskedSegments, Side
from covdist.state.base import Field, Fields, column_fields
from covdist.state.variances import Variances, tiles


def observed_fields(sides: int = 1) -> Fields:
    """Return the fields of ``columns`` and ``seen``, and with two sides of ``columns_y`` and ``seen_y``."""
    fields = dict(column_fields(sides, count="rows"))
    for side, suffix in enumerate(("", "_y")[:sides]):
        fields[f"column_count{suffix}"] = Field(f"seen{suffix}.rows", (side,), np.int64)
        fields[f"column_weight{suffix}"] = Field(f"seen{suffix}.weight", (side,), extensive=1)
    return fields


class _PairwiseVariancesFields(NamedTuple):
    columns: Columns
    seen: ObservedCounts


class PairwiseVariances(_PairwiseVariancesFields):
    """The state behind ``var`` where values are left out one by one; ``columns.weight`` is that of all rows."""

    __slots__ = ()
    name = "pairwise variances"
    sides = 1
    ordered = False
    COUNT = "column_count"
    FIELDS: ClassVar[Fields] = observed_fields()

    @classmethod
    def empty(cls, width: int) -> PairwiseVariances:
        return cls(Columns.empty(width), ObservedCounts.empty(width))

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> RowsAccumulator:
        masked = [
            (tile, MaskedSegments(segments, _lifted, _observed, cls.empty(tile.stop - tile.start), options))
            for tile, segments in tiles(width)
        ]
        return RowsAccumulator([width], cls.cost(width).least_rows, masked, _finish, options)

    @classmethod
    def cost(cls, width: int) -> Cost:
        cost = Variances.cost(width)
        return cost._replace(state_bytes=cost.state_bytes + 16 * width)

    def merge(self, other: PairwiseVariances) -> PairwiseVariances:
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

    def variance(self, ddof: float) -> np.ndarray:
        return moments.variance(self.columns, own_divisors(self.columns, self.seen.weight, ddof))

    def deviation(self, ddof: float) -> np.ndarray:
        return moments.deviation(self.columns, own_divisors(self.columns, self.seen.weight, ddof))


def _lifted(clean: Variances, rows: int) -> PairwiseVariances:
    columns = clean.columns
    return PairwiseVariances(columns, ObservedCounts.all(columns.width, rows, columns.weight))


def _observed(sides: list[Side]) -> PairwiseVariances:
    return PairwiseVariances(sides[0].columns, sides[0].seen)


def _finish(counted: Counted, parts: list[PairwiseVariances]) -> PairwiseVariances:
    rows, weights = zip(*(part.seen for part in parts), strict=True)
    columns = counted.into(concatenate([part.columns for part in parts]))
    return PairwiseVariances(columns, ObservedCounts(np.concatenate(rows), np.concatenate(weights)))
