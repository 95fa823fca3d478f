"""``Cross``: the columns' moments of x and of y, and the rectangular scatter between them, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from covdist.numerics.accumulator import COLUMN_BYTES, COLUMN_FLOPS, Accumulator, Cost, Counted, Options
from covdist.numerics.blas import add_product
from covdist.numerics.columns import Columns, combine
from covdist.numerics.mixed_precision import MixedPrecision
from covdist.numerics.segments import Product, Segments
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns

_LEAST_ROWS = 256  # fewer make the inner dimension of gemm too short


class Cross(NamedTuple):
    """Sum over the rows of (x - mean x)(y - mean y)ᵀ, times 2**-(exponent x[i] + exponent y[j])."""

    columns: Columns
    columns_y: Columns
    rectangle: np.ndarray  # float64 (columns of x, columns of y)

    @classmethod
    def empty(cls, width: int, width_y: int) -> Cross:
        return cls(Columns.empty(width), Columns.empty(width_y), np.zeros((width, width_y)))

    @classmethod
    def accumulator(cls, width: int, width_y: int, options: Options = Options()) -> Accumulator:
        widths = [width, width_y]
        return Accumulator(
            widths, _LEAST_ROWS, [(slice(None), cls.segments(width, width_y, options))], _finish, options
        )

    @classmethod
    def segments(cls, width: int, width_y: int, options: Options) -> Segments:
        widths = [width, width_y]
        return Segments(widths, _PRODUCTS[options.precision](*widths), cls.empty(*widths))

    @classmethod
    def cost(cls, width: int, width_y: int) -> Cost:
        columns, entries = width + width_y, width * width_y
        return Cost(8 * entries + COLUMN_BYTES * columns, 2 * entries + COLUMN_FLOPS * columns, _LEAST_ROWS, columns)

    def merge(self, other: Cross) -> Cross:
        x, link = combine(self.columns, other.columns)
        y, link_y = combine(self.columns_y, other.columns_y)
        if link is None or link_y is None:
            return Cross(x, y, (other if self.columns.weight == 0 else self).rectangle)
        merged = _rescaled(self.rectangle, link.shift_a, link_y.shift_a) + _rescaled(
            other.rectangle, link.shift_b, link_y.shift_b
        )
        add_product(link.delta[None], link_y.delta[None], merged, link.factor)
        return Cross(x, y, merged)


def _rescaled(rectangle: np.ndarray, shift: np.ndarray, shift_y: np.ndarray) -> np.ndarray:
    if not (shift.any() or shift_y.any()):
        return rectangle
    return np.ldexp(np.ldexp(rectangle, shift[:, None]), shift_y)


def _finish(counted: Counted, states: list[Cross]) -> Cross:
    (state,) = states
    return state._replace(
        columns=state.columns._replace(**counted.fields(0)),
        columns_y=state.columns_y._replace(**counted.fields(1)),
    )


class _Rectangle:
    def __init__(self, *widths: int):
        self._widths = widths
        self._clear()

    def _clear(self) -> None:
        self._rectangle = np.zeros(self._widths)

    def add(self, sides: Sequence[Deviations]) -> None:
        add_product(sides[0].rows, sides[1].rows, self._rectangle)

    def close(self, centres: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Cross:
        x, y = centres
        rectangle = self._rectangle
        add_product(x.sums[None], y.sums[None], rectangle, -1 / x.weight)
        self._clear()
        return Cross(columns[0], columns[1], rectangle)


class _FastRectangle:
    def __init__(self, *widths: int):
        self._widths = widths
        self._single = np.zeros(widths, np.float32)
        self._rounding = MixedPrecision(self._high, self._fast, self._drain)
        self._clear()

    def _clear(self) -> None:
        self._rectangle = np.zeros(self._widths)

    def _high(self, left: np.ndarray, right: np.ndarray) -> None:
        add_product(left, right, self._rectangle)

    def _fast(self, left: np.ndarray, right: np.ndarray) -> None:
        add_product(left, right, self._single)

    def _drain(self) -> None:
        self._rectangle += self._single
        self._single[:] = 0

    def add(self, sides: Sequence[Deviations]) -> None:
        self._rounding.add(sides)

    def close(self, centres: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Cross:
        x, y = centres
        rectangle = _rescaled(self._rectangle, *self._rounding.close())
        add_product(x.sums[None], y.sums[None], rectangle, -1 / x.weight)
        self._clear()
        return Cross(columns[0], columns[1], rectangle)


_PRODUCTS: dict[str, Callable[..., Product]] = {"high": _Rectangle, "fast": _FastRectangle}
