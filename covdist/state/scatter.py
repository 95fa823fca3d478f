"""``Scatter``: the columns' moments and their full centred scatter matrix, as one packed triangle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from covdist.numerics import packed as triangle
from covdist.numerics.accumulator import COLUMN_BYTES, COLUMN_FLOPS, Accumulator, Cost, Counted, Options
from covdist.numerics.blas import add_gram
from covdist.numerics.columns import Columns, combine
from covdist.numerics.mixed_precision import MixedPrecision
from covdist.numerics.segments import Product, Segments
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns

_LEAST_PACKED = 256  # columns
LEAST_ROWS = 256  # fewer make the inner dimension of sfrk too short: 128 rows cost 5 % at 1024 columns


class Scatter(NamedTuple):
    """Sum over the rows of (x - mean)(x - mean)ᵀ, entry (i, j) times 2**-(exponent[i] + exponent[j])."""

    columns: Columns
    triangle: np.ndarray  # float64, rectangular full packed

    @classmethod
    def empty(cls, width: int) -> Scatter:
        return cls(Columns.empty(width), np.zeros(triangle.size(width)))

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> Accumulator:
        return Accumulator([width], LEAST_ROWS, [(slice(None), cls.segments(width, options))], _finish, options)

    @classmethod
    def segments(cls, width: int, options: Options) -> Segments:
        return Segments([width], _PRODUCTS[options.precision](width), cls.empty(width))

    @classmethod
    def cost(cls, width: int) -> Cost:
        state_bytes = 8 * triangle.size(width) + COLUMN_BYTES * width
        return Cost(state_bytes, width * width + COLUMN_FLOPS * width, LEAST_ROWS, width)

    def merge(self, other: Scatter) -> Scatter:
        columns, link = combine(self.columns, other.columns)
        if link is None:
            return Scatter(columns, (other if self.columns.weight == 0 else self).triangle)
        merged = triangle.rescale(self.triangle, link.shift_a) + triangle.rescale(other.triangle, link.shift_b)
        add_gram(link.delta[None], merged, link.factor)
        return Scatter(columns, merged)


def _finish(counted: Counted, states: list[Scatter]) -> Scatter:
    (state,) = states
    return state._replace(columns=state.columns._replace(**counted.fields(0)))


def _sums(width: int, dtype: type) -> np.ndarray:
    """Zeros to which ``add_gram`` adds: a square where that is faster."""
    return np.zeros((width, width) if width < _LEAST_PACKED else triangle.size(width), dtype)


def _packed(sums: np.ndarray) -> np.ndarray:
    return triangle.pack(sums) if sums.ndim == 2 else sums


class _Gram:
    def __init__(self, width: int):
        self._width = width
        self._clear()

    def _clear(self) -> None:
        self._sums = _sums(self._width, np.float64)

    def add(self, sides: Sequence[Deviations]) -> None:
        add_gram(sides[0].rows, self._sums)

    def close(self, centres: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Scatter:
        centre, scatter = centres[0], _packed(self._sums)
        add_gram(centre.sums[None], scatter, -1 / centre.weight)
        self._clear()
        return Scatter(columns[0], scatter)


class _FastGram:
    def __init__(self, width: int):
        self._width = width
        self._single = _sums(width, np.float32)
        self._rounding = MixedPrecision(self._high, self._fast, self._drain)
        self._clear()

    def _clear(self) -> None:
        self._sums = _sums(self._width, np.float64)

    def _high(self, rows: np.ndarray) -> None:
        add_gram(rows, self._sums)

    def _fast(self, rows: np.ndarray) -> None:
        add_gram(rows, self._single)

    def _drain(self) -> None:
        self._sums += self._single
        self._single[:] = 0

    def add(self, sides: Sequence[Deviations]) -> None:
        self._rounding.add(sides)

    def close(self, centres: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Scatter:
        (undo,) = self._rounding.close()
        scatter = triangle.rescale(_packed(self._sums), undo)
        add_gram(centres[0].sums[None], scatter, -1 / centres[0].weight)
        self._clear()
        return Scatter(columns[0], scatter)


_PRODUCTS: dict[str, Callable[..., Product]] = {"high": _Gram, "fast": _FastGram}
