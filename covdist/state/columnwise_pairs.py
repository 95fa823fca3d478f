"""``ColumnwisePairs``: as ``Columnwise``, but each pair of columns has the rows that hold both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from covdist.kernel.sums import column_sums
from covdist.kernel.workspace import Workspace
from covdist.numerics.accumulator import Cost, Counted, Options, RowsAccumulator
from covdist.numerics.columns import Columns, ObservedCounts, combine_observed, own_divisors
from covdist.numerics.correlation import pair_correlation
from covdist.numerics.masked import MaskedSegments, Side
from covdist.numerics.nonfinite import all_finite, holes
from covdist.numerics.products import Diagonal
from covdist.numerics.segments import Blocks, OpenSegment
from covdist.numerics.weights import Vector
from covdist.state.base import WEIGHTS, Field, Fields, column_fields, in_one_unit, segments
from covdist.state.columnwise import PRODUCTS, Columnwise, side_by_side, tiles
from covdist.state.pairwise import PairwiseVariances


class _ColumnwisePairsFields(NamedTuple):
    columns: Columns
    columns_y: Columns
    seen: ObservedCounts  # of the rows that hold both
    products: np.ndarray


class ColumnwisePairs(_ColumnwisePairsFields):
    """Moments and scatter of a column of x and that of y, over the rows that hold both."""

    __slots__ = ()
    name = "columnwise pairs"
    BY_OPTION = True
    sides = 2
    ordered = False
    PAIRED = True
    COUNT = "column_count"
    FIELDS: ClassVar[Fields] = {
        **column_fields(2, count="rows"),
        "column_count": Field("seen.rows", (0,), np.int64, least=0),
        "column_weight": Field("seen.weight", (0,), extensive=1, **WEIGHTS),
        **PRODUCTS,
    }

    @classmethod
    def empty(cls, width: int, width_y: int) -> ColumnwisePairs:
        return _lifted(Columnwise.empty(width, width_y), 0)

    @classmethod
    def accumulator(cls, width: int, width_y: int, options: Options = Options()) -> RowsAccumulator:
        folds = [(tile, _HoldingBoth(_masked(size, options), options.inf)) for tile, size in tiles(width)]
        return RowsAccumulator([width, width_y], cls.cost(width, width_y).least_rows, folds, _finish, options)

    @classmethod
    def cost(cls, width: int, width_y: int) -> Cost:
        cost = Columnwise.cost(width, width_y)
        return cost._replace(state_bytes=cost.state_bytes + 16 * width)

    def merge(self, other: ColumnwisePairs) -> ColumnwisePairs:
        self, other = in_one_unit(self, other)
        x, seen, shifts = combine_observed((self.columns, self.seen), (other.columns, other.seen))
        y, _, shifts_y = combine_observed((self.columns_y, self.seen), (other.columns_y, other.seen))
        if shifts is None or shifts_y is None:
            return ColumnwisePairs(x, y, seen, (other if self.columns.weight == 0 else self).products)
        form = Diagonal(x.width)
        products = form.rescaled(self.products, (shifts.shift_a, shifts_y.shift_a))
        products = products + form.rescaled(other.products, (shifts.shift_b, shifts_y.shift_b))
        for weight, step, step_y in (
            (self.seen.weight, shifts.step_a, shifts_y.step_a),
            (other.seen.weight, shifts.step_b, shifts_y.step_b),
        ):
            form.add(((weight * step)[None], step_y[None]), products)
        return ColumnwisePairs(x, y, seen, products)

    def side(self, number: int) -> PairwiseVariances:
        return PairwiseVariances(self.columns_y if number else self.columns, self.seen)

    def column_pair_covariance(self, ddof: float, min_periods: int) -> np.ndarray:
        """Return covariances, NaN where fewer rows hold both columns."""
        divided_by = own_divisors(self.columns, self.seen.weight, ddof)
        found = np.ldexp(self.products / divided_by, self.columns.exponent + self.columns_y.exponent)
        return np.where(self.seen.rows < min_periods, np.nan, found)

    def column_pair_correlation(self, min_periods: int) -> np.ndarray:
        found = pair_correlation(self.products, self.columns.squares, self.columns_y.squares)
        return np.where(self.seen.rows < min_periods, np.nan, found)


class _HoldingBoth:
    """Takes out of each block what the other lacks."""

    def __init__(self, inner: MaskedSegments, inf: str):
        self._inner, self._inf = inner, inf

    def add(self, blocks: Blocks, weights: Vector, extreme: Sequence[bool], workspace: Workspace) -> None:
        if not all(map(all_finite, blocks)):
            x, y = blocks
            missing = holes(x, self._inf) | holes(y, self._inf)
            blocks = [np.where(missing, np.nan, x), np.where(missing, np.nan, y)]
        self._inner.add(blocks, weights, extreme, workspace)

    def opened(self, blocks: Blocks, weights: Vector) -> OpenSegment | None:
        return self._inner.opened(blocks, weights)

    def folded(self, rows: int) -> None:
        self._inner.folded(rows)

    def state(self) -> ColumnwisePairs:
        state: ColumnwisePairs = self._inner.state()
        return state


def _masked(width: int, options: Options) -> MaskedSegments:
    clean = segments(Columnwise, width, width, options=options)
    return MaskedSegments(clean, _lifted, _folded, ColumnwisePairs.empty(width, width), options)


def _lifted(clean: Columnwise, rows: int) -> ColumnwisePairs:
    seen = ObservedCounts.all(len(clean.products), rows, clean.columns.weight)
    return ColumnwisePairs(clean.columns, clean.columns_y, seen, clean.products)


def _folded(sides: list[Side]) -> ColumnwisePairs:
    x, y = sides
    products = column_sums(x.rows, y.rows) - x.seen.weight * x.centre * y.centre
    return ColumnwisePairs(x.columns, y.columns, x.seen, products)


def _finish(counted: Counted, states: list[ColumnwisePairs]) -> ColumnwisePairs:
    x, y, products = side_by_side(states, counted)
    seen = ObservedCounts(*map(np.concatenate, zip(*(state.seen for state in states), strict=True)))
    return ColumnwisePairs(x, y, seen, products)
