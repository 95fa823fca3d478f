"""Sums of products of deviations within a segment: of one side with itself, or of two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from covdist.numerics import packed
from covdist.numerics.blas import add_gram, add_product
from covdist.numerics.columns import Columns
from covdist.numerics.mixed_precision import MixedPrecision
from covdist.numerics.segments import Product
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns

_LEAST_PACKED = 256  # columns

Make = Callable[..., Any]  # the state of the sides' columns and the matrix


class Form(Protocol):
    """How the sums lie in memory."""

    def zeros(self, dtype: type) -> np.ndarray:
        """Return sums to which ``add`` adds."""

    def add(self, sides: Sequence[np.ndarray], sums: np.ndarray, factor: float = 1.0) -> None:
        """Add ``factor`` times the products of some rows of each side, in place."""

    def matrix(self, sums: np.ndarray) -> np.ndarray:
        """Return the sums as states hold them."""

    def rescaled(self, matrix: np.ndarray, shifts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the matrix with rows and columns times ``2**shift``."""


class Triangle:
    """The products of one side's columns with each other, packed; a square while adding where that is faster."""

    def __init__(self, width: int):
        self._width = width

    def zeros(self, dtype: type) -> np.ndarray:
        square = self._width < _LEAST_PACKED
        return np.zeros((self._width, self._width) if square else packed.size(self._width), dtype)

    def add(self, sides: Sequence[np.ndarray], sums: np.ndarray, factor: float = 1.0) -> None:
        add_gram(sides[0], sums, factor)

    def matrix(self, sums: np.ndarray) -> np.ndarray:
        return packed.pack(sums) if sums.ndim == 2 else sums

    def rescaled(self, matrix: np.ndarray, shifts: Sequence[np.ndarray]) -> np.ndarray:
        return packed.rescale(matrix, shifts[0])


class Rectangle:
    """The products of one side's columns with the other's."""

    def __init__(self, *widths: int):
        self._widths = widths

    def zeros(self, dtype: type) -> np.ndarray:
        return np.zeros(self._widths, dtype)

    def add(self, sides: Sequence[np.ndarray], sums: np.ndarray, factor: float = 1.0) -> None:
        add_product(sides[0], sides[1], sums, factor)

    def matrix(self, sums: np.ndarray) -> np.ndarray:
        return sums

    def rescaled(self, matrix: np.ndarray, shifts: Sequence[np.ndarray]) -> np.ndarray:
        return rescaled(matrix, *shifts)


def rescaled(rectangle: np.ndarray, shift: np.ndarray, shift_y: np.ndarray) -> np.ndarray:
    """Return entry (i, j) times ``2**(shift[i] + shift_y[j])``."""
    if not (shift.any() or shift_y.any()):
        return rectangle
    return np.ldexp(np.ldexp(rectangle, shift[:, None]), shift_y)


class _HighPrecision:
    def __init__(self, form: Form, make: Make):
        self._form, self._make = form, make
        self._sums = form.zeros(np.float64)

    def add(self, sides: Sequence[Deviations]) -> None:
        self._form.add([side.rows for side in sides], self._sums)

    def _matrix(self) -> np.ndarray:
        return self._form.matrix(self._sums)

    def close(self, shifted: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Any:
        matrix = self._matrix()
        self._form.add([each.sums[None] for each in shifted], matrix, -1 / shifted[0].weight)
        self._sums = self._form.zeros(np.float64)
        return self._make(*columns, matrix)


class _FastPrecision(_HighPrecision):
    def __init__(self, form: Form, make: Make):
        super().__init__(form, make)
        self._single = form.zeros(np.float32)
        self._mixed = MixedPrecision(self._high, self._fast, self._drain)

    def _high(self, *rows: np.ndarray) -> None:
        self._form.add(rows, self._sums)

    def _fast(self, *rows: np.ndarray) -> None:
        self._form.add(rows, self._single)

    def _drain(self) -> None:
        self._sums += self._single
        self._single[:] = 0

    def add(self, sides: Sequence[Deviations]) -> None:
        self._mixed.add(sides)

    def _matrix(self) -> np.ndarray:
        undo = self._mixed.close()
        return self._form.rescaled(self._form.matrix(self._sums), undo)


_PRECISIONS: dict[str, Callable[[Form, Make], Product]] = {"high": _HighPrecision, "fast": _FastPrecision}
PRECISIONS = tuple(_PRECISIONS)


def product(form: Form, make: Make, precision: str) -> Product:
    """Return sums of a form that become ``make(*columns, matrix)``."""
    return _PRECISIONS[precision](form, make)
