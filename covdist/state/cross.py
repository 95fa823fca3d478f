"""``Cross``: the columns' moments of x and of y, and the rectangular scatter between them."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from covdist.numerics.accumulator import COLUMN_BYTES, COLUMN_FLOPS, Cost, Options, RowsAccumulator
from covdist.numerics.columns import Columns, combine, divisor
from covdist.numerics.correlation import correlation_of, covariance_of
from covdist.numerics.matrices.second_moment import MeanColumns, second_moment
from covdist.numerics.products import Rectangle, add_product, product, rescaled
from covdist.numerics.segments import Product
from covdist.state.base import Field, Fields, column_fields, fold_whole, segments
from covdist.state.variances import LEAST_ROWS, Variances


class _CrossFields(NamedTuple):
    columns: Columns
    columns_y: Columns
    rectangle: np.ndarray  # float64 (columns of x, columns of y)


class Cross(_CrossFields):
    """Sum over the rows of (x - mean x)(y - mean y)ᵀ, times 2**-(exponent x[i] + exponent y[j])."""

    __slots__ = ()
    name = "cross"
    sides = 2
    ordered = False
    FIELDS: ClassVar[Fields] = {**column_fields(2), "scatter": Field("rectangle", (0, 1), extensive=1)}

    @classmethod
    def empty(cls, width: int, width_y: int) -> Cross:
        return cls(Columns.empty(width), Columns.empty(width_y), np.zeros((width, width_y)))

    @classmethod
    def accumulator(cls, width: int, width_y: int, options: Options = Options()) -> RowsAccumulator:
        return fold_whole(segments(cls, width, width_y, options=options), [width, width_y], LEAST_ROWS, options)

    @classmethod
    def product(cls, width: int, width_y: int, options: Options) -> Product:
        return product(Rectangle(width, width_y), Cross, options.precision)

    @classmethod
    def cost(cls, width: int, width_y: int) -> Cost:
        columns, entries = width + width_y, width * width_y
        return Cost(8 * entries + COLUMN_BYTES * columns, 2 * entries + COLUMN_FLOPS * columns, LEAST_ROWS, columns)

    def merge(self, other: Cross) -> Cross:
        x, link = combine(self.columns, other.columns)
        y, link_y = combine(self.columns_y, other.columns_y)
        if link is None or link_y is None:
            return Cross(x, y, (other if self.columns.weight == 0 else self).rectangle)
        merged = rescaled(self.rectangle, link.shift_a, link_y.shift_a)
        merged = merged + rescaled(other.rectangle, link.shift_b, link_y.shift_b)
        add_product(link.delta[None], link_y.delta[None], merged, link.factor)
        return Cross(x, y, merged)

    def side(self, number: int) -> Variances:
        return Variances(self.columns_y if number else self.columns)

    def covariance(self, rows: slice, ddof: float) -> np.ndarray:
        exponent, exponent_y = self.columns.exponent[rows], self.columns_y.exponent
        return covariance_of(self.rectangle[rows].copy(), divisor(self.columns, ddof), exponent, exponent_y)

    def correlation(self, rows: slice) -> np.ndarray:
        roots, roots_y = np.sqrt(self.columns.squares[rows]), np.sqrt(self.columns_y.squares)
        return correlation_of(self.rectangle[rows].copy(), roots, roots_y)

    def second_moment(self, rows: slice, divide: bool, append_one: bool) -> np.ndarray:
        x, y = (MeanColumns.of(columns, append_one) for columns in (self.columns, self.columns_y))
        return second_moment(self.rectangle[rows], self.columns, x.part(rows), y, divide)


class FittedCross(Cross):
    """An estimated scatter of x with y; a sum of it with another is a plain one."""

    record: dict[str, Any]
