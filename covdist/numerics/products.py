"""Sums of products of deviations within a segment: of one side with itself, or of two.

With precision "fast", products in float32 and sums in float64: about twice as fast, with a known error. Deviations are
scaled to spreads near 1, rounded to float32 and multiplied in float32; every 256 rows the sums are added to float64
ones (2048 where BLAS multiplies). The error of an entry is at most (256 + 3) 2**-24 = 1.6e-5 of σ_i σ_j in the worst
case, or (2048 + 3) 2**-24 = 1.3e-4 (Higham 2002, section 3.1), and typically 1e-7; variances and means are computed in
float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from covdist.kernel import groups
from covdist.kernel import products as kernel
from covdist.kernel.library import PACKED, RECTANGLE, SQUARE, compiled
from covdist.kernel.sums import column_sums
from covdist.numerics import blas, packed
from covdist.numerics.columns import Columns
from covdist.numerics.segments import OpenProduct, Product
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns

_MOST_ROWS = 2048  # summed in float32 by BLAS
_LARGEST = 1e30  # larger sums of squares come near float32's limit; also in segment.c

Make = Callable[..., Any]  # the state of the sides' columns and the matrix


def add_gram(rows: np.ndarray, sums: np.ndarray, factor: float = 1.0) -> None:
    """Add ``factor * rows.T @ rows`` to a triangle in rectangular full packed storage, or a square's lower triangle."""
    (kernel if compiled() else blas).add_gram(rows, sums, factor)


def add_outer(row: np.ndarray, triangle: np.ndarray, factor: float) -> None:
    """Add ``factor`` times a row's products with itself to a packed triangle; those of several rows to one each."""
    if compiled():
        groups.add_outer(row, triangle, factor)
        return
    for own, packed_own in zip(np.atleast_2d(row), np.atleast_2d(triangle), strict=True):
        blas.add_gram(own[None], packed_own, factor)


def add_product(left: np.ndarray, right: np.ndarray, out: np.ndarray, factor: float = 1.0) -> None:
    """Add ``factor * left.T @ right`` to ``out``; all C-contiguous."""
    (kernel if compiled() else blas).add_product(left, right, out, factor)


def products_of(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return ``left.T @ right``, and of one array with itself an exactly symmetric matrix."""
    out = np.zeros((left.shape[1], right.shape[1]))
    if left is right:
        add_gram(left, out)
        return packed.mirrored(out)
    add_product(left, right, out)
    return out


def add_float_gram(rows: np.ndarray, scale: np.ndarray, sums: np.ndarray) -> None:
    """Add the products of ``rows * scale`` to a triangle or a square, computed and summed in float32 for some rows."""
    if compiled():
        kernel.add_float_gram(rows, scale, sums)
    else:
        _in_floats([rows], [scale], sums, blas.add_gram)


def add_float_product(rows: Sequence[np.ndarray], scales: Sequence[np.ndarray], out: np.ndarray) -> None:
    """Add the products of two sides' rows times their scales to ``out``, as ``add_float_gram`` does."""
    if compiled():
        kernel.add_float_product(rows, scales, out)
    else:
        _in_floats(rows, scales, out, blas.add_product)


def _in_floats(
    rows: Sequence[np.ndarray], scales: Sequence[np.ndarray], out: np.ndarray, add: Callable[..., None]
) -> None:
    rounded = [(each * scale).astype(np.float32) for each, scale in zip(rows, scales, strict=True)]
    for start in range(0, len(rounded[0]), _MOST_ROWS):
        sums = np.zeros(out.shape, np.float32)
        add(*(each[start : start + _MOST_ROWS] for each in rounded), sums)
        out += sums


class Triangle:
    """The products of one side's columns with each other, packed; a square while adding where that is faster."""

    def __init__(self, width: int):
        self._width = width
        self.kept: int | None = SQUARE if width < packed.LEAST_COLUMNS else PACKED  # as the kernel calls it

    def zeros(self) -> np.ndarray:
        return np.zeros((self._width, self._width) if self.kept == SQUARE else packed.size(self._width))

    def add(self, sides: Sequence[np.ndarray], sums: np.ndarray, factor: float = 1.0) -> None:
        """Add ``factor`` times the products of some rows of each side, in place."""
        add_gram(sides[0], sums, factor)

    def add_floats(self, sides: Sequence[np.ndarray], scales: Sequence[np.ndarray], sums: np.ndarray) -> None:
        """Add the products of some rows of each side times its scale, in place, with float32's precision."""
        add_float_gram(sides[0], scales[0], sums)

    def matrix(self, sums: np.ndarray) -> np.ndarray:
        """Return the sums as states hold them."""
        return packed.pack(sums) if sums.ndim == 2 else sums

    def centred(self, matrix: np.ndarray, sums: Sequence[np.ndarray], factor: float) -> np.ndarray:
        """Return sums as states hold them with ``factor`` times the products of one row of each side."""
        if compiled() and matrix.ndim == 2:
            return kernel.centred(matrix, sums[0], factor)
        return _centred(self, matrix, sums, factor)

    def rescale(self, matrix: np.ndarray, shifts: Sequence[np.ndarray]) -> None:
        """Multiply sums as states hold them by each column's power of two, in place."""
        packed.rescale_in_place(matrix, shifts[0])


class Rectangle:
    """The products of one side's columns with the other's; its methods are those of ``Triangle``."""

    kept: int | None = RECTANGLE

    def __init__(self, *widths: int):
        self._widths = widths

    def zeros(self) -> np.ndarray:
        return np.zeros(self._widths)

    def add(self, sides: Sequence[np.ndarray], sums: np.ndarray, factor: float = 1.0) -> None:
        add_product(sides[0], sides[1], sums, factor)

    def add_floats(self, sides: Sequence[np.ndarray], scales: Sequence[np.ndarray], sums: np.ndarray) -> None:
        add_float_product(sides, scales, sums)

    def matrix(self, sums: np.ndarray) -> np.ndarray:
        return sums

    def centred(self, matrix: np.ndarray, sums: Sequence[np.ndarray], factor: float) -> np.ndarray:
        return _centred(self, matrix, sums, factor)

    def rescale(self, matrix: np.ndarray, shifts: Sequence[np.ndarray]) -> None:
        np.ldexp(matrix, np.add.outer(*shifts).astype(np.int32), out=matrix)


class Diagonal:
    """The products of each column of one side with the same column of the other; methods as those of ``Triangle``."""

    kept: int | None = None

    def __init__(self, width: int):
        self._width = width

    def zeros(self) -> np.ndarray:
        return np.zeros(self._width)

    def add(self, sides: Sequence[np.ndarray], sums: np.ndarray, factor: float = 1.0) -> None:
        sums += factor * column_sums(sides[0], sides[1])

    def add_floats(self, sides: Sequence[np.ndarray], scales: Sequence[np.ndarray], sums: np.ndarray) -> None:
        self.add([side * scale for side, scale in zip(sides, scales, strict=True)], sums)

    def matrix(self, sums: np.ndarray) -> np.ndarray:
        return sums

    def centred(self, matrix: np.ndarray, sums: Sequence[np.ndarray], factor: float) -> np.ndarray:
        return _centred(self, matrix, sums, factor)

    def rescale(self, matrix: np.ndarray, shifts: Sequence[np.ndarray]) -> None:
        np.ldexp(matrix, shifts[0] + shifts[1], out=matrix)

    def rescaled(self, matrix: np.ndarray, shifts: Sequence[np.ndarray]) -> np.ndarray:
        shift = shifts[0] + shifts[1]
        return np.ldexp(matrix, shift) if shift.any() else matrix


Form = Triangle | Rectangle | Diagonal


def _centred(form: Form, matrix: np.ndarray, sums: Sequence[np.ndarray], factor: float) -> np.ndarray:
    form.add([each[None] for each in sums], matrix, factor)
    return form.matrix(matrix)


def rescaled(rectangle: np.ndarray, shift: np.ndarray, shift_y: np.ndarray) -> np.ndarray:
    """Return entry (i, j) times ``2**(shift[i] + shift_y[j])``."""
    if not (np.count_nonzero(shift) or np.count_nonzero(shift_y)):
        return rectangle
    return np.ldexp(rectangle, shift[:, None].astype(np.int32) + shift_y.astype(np.int32))


class _HighPrecision:
    def __init__(self, form: Form, make: Make):
        self._form, self._make = form, make
        self._held: np.ndarray | None = None

    @property
    def _sums(self) -> np.ndarray:
        """Of the open segment; a closed one keeps its own, and another may never come."""
        if self._held is None:
            self._held = self._form.zeros()
        return self._held

    def add(self, sides: Sequence[Deviations]) -> None:
        self._form.add([side.rows for side in sides], self._sums)

    def open(self) -> OpenProduct | None:
        return None if self._form.kept is None else OpenProduct(self._form.kept, self._sums)

    def _matrix(self, sums: Sequence[np.ndarray], factor: float) -> np.ndarray:
        """Return the products about the mean, given each side's sums."""
        return self._form.centred(self._sums, sums, factor)

    def close(self, shifted: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Any:
        matrix = self._matrix([each.sums for each in shifted], -1 / shifted[0].weight)
        self._held = None
        return self._make(*columns, matrix)


class _FastPrecision(_HighPrecision):
    def __init__(self, form: Form, make: Make):
        super().__init__(form, make)
        self._scales: list[np.ndarray] = []  # powers of two that bring the spreads in a segment near 1

    def add(self, sides: Sequence[Deviations]) -> None:
        if not self._scales:
            self._scales = [np.ldexp(1.0, -np.frexp(np.sqrt(s.squares / s.weight))[1]) for s in sides]
        rows, scales = [side.rows for side in sides], self._scales
        if any((side.squares * scale**2 > _LARGEST).any() for side, scale in zip(sides, scales, strict=True)):
            self._form.add([each * scale for each, scale in zip(rows, scales, strict=True)], self._sums)
        else:
            self._form.add_floats(rows, scales, self._sums)

    def open(self) -> OpenProduct | None:
        return None if self._form.kept is None else OpenProduct(self._form.kept, self._sums, self._scales)

    def _matrix(self, sums: Sequence[np.ndarray], factor: float) -> np.ndarray:
        undo, self._scales = [1 - np.frexp(scale)[1].astype(np.int64) for scale in self._scales], []
        matrix = self._form.matrix(self._sums)
        self._form.rescale(matrix, undo)
        self._form.add([each[None] for each in sums], matrix, factor)
        return matrix


_PRECISIONS: dict[str, Callable[[Form, Make], Product]] = {"high": _HighPrecision, "fast": _FastPrecision}
PRECISIONS = tuple(_PRECISIONS)


def product(form: Form, make: Make, precision: str) -> Product:
    """Return sums of a form that become ``make(*columns, matrix)``."""
    return _PRECISIONS[precision](form, make)
