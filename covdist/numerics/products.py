"""Sums of products of deviations within a segment: of one side with itself, or of two.

With precision "fast", products in float32 and sums in float64: about twice as fast, with a known error. Deviations are
scaled to spreads near 1, rounded to float32 and multiplied in float32; every 2048 rows the sums are added to float64
ones. The error of an entry is at most (2048 + 3) 2**-24 = 1.3e-4 of σ_i σ_j in the worst case (Higham 2002, section
3.1), and typically 1e-7; variances and means are computed in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from covdist.numerics import packed
from covdist.numerics.blas import add_gram, add_product
from covdist.numerics.columns import Columns
from covdist.numerics.segments import Product
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns
from covdist.numerics.workspace import Workspace

_LEAST_PACKED = 256  # columns
_MOST_ROWS = 2048  # summed in float32
_LARGEST = 1e30  # larger sums of squares come near float32's limit

Make = Callable[..., Any]  # the state of the sides' columns and the matrix


class Triangle:
    """The products of one side's columns with each other, packed; a square while adding where that is faster."""

    def __init__(self, width: int):
        self._width = width

    def zeros(self, dtype: type) -> np.ndarray:
        square = self._width < _LEAST_PACKED
        return np.zeros((self._width, self._width) if square else packed.size(self._width), dtype)

    def add(self, sides: Sequence[np.ndarray], sums: np.ndarray, factor: float = 1.0) -> None:
        """Add ``factor`` times the products of some rows of each side, in place."""
        add_gram(sides[0], sums, factor)

    def matrix(self, sums: np.ndarray) -> np.ndarray:
        """Return the sums as states hold them."""
        return packed.pack(sums) if sums.ndim == 2 else sums

    def rescaled(self, matrix: np.ndarray, shifts: Sequence[np.ndarray]) -> np.ndarray:
        return packed.rescale(matrix, shifts[0])


class Rectangle:
    """The products of one side's columns with the other's; its methods are those of ``Triangle``."""

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


class Diagonal:
    """The products of each column of one side with the same column of the other; methods as those of ``Triangle``."""

    def __init__(self, width: int):
        self._width = width

    def zeros(self, dtype: type) -> np.ndarray:
        return np.zeros(self._width, dtype)

    def add(self, sides: Sequence[np.ndarray], sums: np.ndarray, factor: float = 1.0) -> None:
        sums += factor * np.einsum("ij,ij->j", sides[0], sides[1])

    def matrix(self, sums: np.ndarray) -> np.ndarray:
        return sums

    def rescaled(self, matrix: np.ndarray, shifts: Sequence[np.ndarray]) -> np.ndarray:
        shift = shifts[0] + shifts[1]
        return np.ldexp(matrix, shift) if shift.any() else matrix


Form = Triangle | Rectangle | Diagonal


def rescaled(rectangle: np.ndarray, shift: np.ndarray, shift_y: np.ndarray) -> np.ndarray:
    """Return entry (i, j) times ``2**(shift[i] + shift_y[j])``."""
    if not (shift.any() or shift_y.any()):
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
            self._held = self._form.zeros(np.float64)
        return self._held

    def add(self, sides: Sequence[Deviations]) -> None:
        self._form.add([side.rows for side in sides], self._sums)

    def _matrix(self) -> np.ndarray:
        return self._form.matrix(self._sums)

    def close(self, shifted: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Any:
        matrix = self._matrix()
        self._form.add([each.sums[None] for each in shifted], matrix, -1 / shifted[0].weight)
        self._held = None
        return self._make(*columns, matrix)


class _FastPrecision(_HighPrecision):
    def __init__(self, form: Form, make: Make):
        super().__init__(form, make)
        self._single, self._rows = form.zeros(np.float32), 0
        self._shifts: list[np.ndarray] = []  # powers of two that bring the spreads in a segment near 1
        self._workspace = Workspace()

    def add(self, sides: Sequence[Deviations]) -> None:
        if not self._shifts:
            self._shifts = [-np.frexp(np.sqrt(s.squares / s.weight))[1].astype(np.int64) for s in sides]
        scaled = [(side, np.ldexp(1.0, shift)) for side, shift in zip(sides, self._shifts, strict=True)]
        if any((side.squares * scale**2 > _LARGEST).any() for side, scale in scaled):
            self._form.add([side.rows * scale for side, scale in scaled], self._sums)
            return
        rounded = [self._workspace.array(f"rounded {i}", side.rows.shape, np.float32) for i, side in enumerate(sides)]
        for (side, scale), out in zip(scaled, rounded, strict=True):
            np.multiply(side.rows, scale, out=out, casting="same_kind")
        self._form.add(rounded, self._single)
        self._rows += len(rounded[0])
        if self._rows >= _MOST_ROWS:
            self._drain()

    def _drain(self) -> None:
        np.add(self._sums, self._single, out=self._sums)
        self._single[:] = self._rows = 0

    def _matrix(self) -> np.ndarray:
        self._drain()
        undo, self._shifts = [-shift for shift in self._shifts], []
        return self._form.rescaled(self._form.matrix(self._sums), undo)


_PRECISIONS: dict[str, Callable[[Form, Make], Product]] = {"high": _HighPrecision, "fast": _FastPrecision}
PRECISIONS = tuple(_PRECISIONS)


def product(form: Form, make: Make, precision: str) -> Product:
    """Return sums of a form that become ``make(*columns, matrix)``."""
    return _PRECISIONS[precision](form, make)
