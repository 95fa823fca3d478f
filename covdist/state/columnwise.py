"""``Columnwise``: the scatter of each column of x with the same column of y, never anything columns × columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from covdist.numerics.accumulator import Cost, Counted, Options, RowsAccumulator
from covdist.numerics.columns import Columns, combine, concatenate, divisor
from covdist.numerics.correlation import pair_correlation
from covdist.numerics.products import Diagonal, product
from covdist.numerics.screening import TILE_COLUMNS
from covdist.numerics.segments import Product
from covdist.state.base import Field, Fields, column_fields, segments
from covdist.state.variances import Variances

PRODUCTS: Fields = {"products": Field("products", (0,), extensive=1)}


class _ColumnwiseFields(NamedTuple):
    columns: Columns
    columns_y: Columns
    products: np.ndarray  # float64 (columns,)


class Columnwise(_ColumnwiseFields):
    """Sum over the rows of (x - mean x)(y - mean y), column by column, times 2**-(exponent x + exponent y)."""

    __slots__ = ()
    name = "columnwise"
    sides = 2
    ordered = False
    PAIRED = True
    FIELDS: ClassVar[Fields] = {**column_fields(2), **PRODUCTS}

    @classmethod
    def empty(cls, width: int, width_y: int) -> Columnwise:
        return cls(Columns.empty(width), Columns.empty(width_y), np.zeros(width))

    @classmethod
    def accumulator(cls, width: int, width_y: int, options: Options = Options()) -> RowsAccumulator:
        folds = [(tile, segments(cls, size, size, options=options)) for tile, size in tiles(width)]
        return RowsAccumulator([width, width_y], cls.cost(width, width_y).least_rows, folds, _finish, options)

    @classmethod
    def product(cls, width: int, width_y: int, options: Options) -> Product:
        return product(Diagonal(width), Columnwise, options.precision)

    @classmethod
    def cost(cls, width: int, width_y: int) -> Cost:
        x, y = Variances.cost(width), Variances.cost(width_y)
        state_bytes, flops = x.state_bytes + y.state_bytes + 8 * width, x.row_flops + y.row_flops + 2 * width
        return Cost(state_bytes, flops, x.least_rows, x.tile_columns + y.tile_columns)

    def merge(self, other: Columnwise) -> Columnwise:
        x, link = combine(self.columns, other.columns)
        y, link_y = combine(self.columns_y, other.columns_y)
        if link is None or link_y is None:
            return Columnwise(x, y, (other if self.columns.weight == 0 else self).products)
        form = Diagonal(x.width)
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity that were let through
            merged = form.rescaled(self.products, (link.shift_a, link_y.shift_a))
            merged = merged + form.rescaled(other.products, (link.shift_b, link_y.shift_b))
            form.add((link.delta[None], link_y.delta[None]), merged, link.factor)
        return Columnwise(x, y, merged)

    def side(self, number: int) -> Variances:
        return Variances(self.columns_y if number else self.columns)

    def column_covariance(self, ddof: float) -> np.ndarray:
        exponent = self.columns.exponent + self.columns_y.exponent
        return np.ldexp(self.products / divisor(self.columns, ddof), exponent)

    def column_correlation(self) -> np.ndarray:
        """Return correlations within [-1, 1], NaN where a column is constant."""
        return pair_correlation(self.products, self.columns.squares, self.columns_y.squares)


def tiles(width: int) -> list[tuple[slice, int]]:
    """Return ranges of columns that are folded together, and how many these are."""
    starts = range(0, max(width, 1), TILE_COLUMNS)
    return [(slice(start, start + TILE_COLUMNS), min(TILE_COLUMNS, width - start)) for start in starts]


def side_by_side(states: Sequence[Any], counted: Counted) -> tuple[Columns, Columns, np.ndarray]:
    """Return the moments of x and y and the products of all tiles."""
    x, y, products = zip(*((each.columns, each.columns_y, each.products) for each in states), strict=True)
    return counted.into(concatenate([*x])), counted.into(concatenate([*y]), 1), np.concatenate(products)


def _finish(counted: Counted, states: list[Columnwise]) -> Columnwise:
    return Columnwise(*side_by_side(states, counted))
