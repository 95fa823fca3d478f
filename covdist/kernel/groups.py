"""Many groups of rows, each folded by itself: by one call of the kernel for many of them, in threads."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from covdist.kernel.apart import Apart
from covdist.kernel.library import (
    WORK,
    SideStruct,
    address,
    function,
    number_of,
    own_address,
    packed_bytes,
    padded,
    panels,
    place,
)
from covdist.kernel.threads import shared
from covdist.kernel.workspace import empty_bytes

_TOGETHER = 32  # groups a call
_pointer, _size = ctypes.c_void_p, ctypes.c_size_t


class GroupsStruct(ctypes.Structure):
    """``groups_t`` of groups.h."""

    _fields_ = (
        ("side", SideStruct), ("data", _pointer), ("rows", _pointer), ("count", _size), ("height", _size),
        ("moments", _pointer), ("counts", _pointer), ("matrices", _pointer), ("divisors", _pointer),
        ("square", _pointer), ("triangle", _pointer), ("ordinary", _pointer),
    )  # fmt: skip


class Runs(NamedTuple):
    """Groups of rows of one array, whose columns lie side by side."""

    block: np.ndarray
    offsets: np.ndarray  # bytes from the array's first to the first of each group, int64 (groups,)
    rows: np.ndarray  # of each, one or more, int64 (groups,)
    width: int
    height: int  # rows that are looked at together
    ordinary: tuple[float, float, bool]  # the range of magnitudes, as ``numerics.screening`` has it
    apart: Apart | None = None  # the groups, where their columns do not lie side by side

    def some(self, which: np.ndarray) -> Runs:
        """Return some of the groups."""
        return self._replace(offsets=self.offsets[which], rows=self.rows[which])


class Folded(NamedTuple):
    """The sums of each group about its mean; right where all of its rows were ``ordinary``."""

    moments: np.ndarray  # float64 (groups, 3, columns): means, what a float64 of these leaves out, sums of squares
    counts: np.ndarray  # int64 (groups, 2, columns): zeros and subnormals
    ordinary: np.ndarray  # bool (groups,)


def fold_columns(runs: Runs) -> Folded:
    """Fold each group's columns."""
    return _fold(runs, None, None)


def fold_triangles(runs: Runs, triangles: np.ndarray, floats: bool = False) -> Folded:
    """Fold each group, and write its products about the mean, packed, to one of ``triangles`` (groups, numbers).

    ``floats`` says whether they are multiplied in float32.
    """
    return _fold(runs, _addresses(triangles, np.arange(len(runs.rows))), None, floats)


def fold_matrices(runs: Runs, divisors: np.ndarray, matrices: np.ndarray, places: np.ndarray) -> Folded:
    """Fold each group, and write its covariance, by a divisor, or its correlation, where that is NaN, to its place."""
    return _fold(runs, _addresses(matrices, places), divisors)


def matrices_of(
    triangles: np.ndarray, squares: np.ndarray, divisors: np.ndarray, matrices: np.ndarray, places: np.ndarray
) -> None:
    """Write covariances or correlations, as ``fold_matrices``, of packed products about the mean to their places.

    ``squares`` (groups, columns) are the sums of squares about the mean.
    """
    count, width = squares.shape
    found, squares = _addresses(matrices, places), np.ascontiguousarray(squares)

    def make(firsts: Iterable[int]) -> None:
        work = np.empty(triangles.shape[-1] + WORK * padded(width))
        for first in firsts:
            part = slice(first, first + _TOGETHER)
            given = [address(each[part]) for each in (triangles, squares, divisors, found)]
            function("squares")(width, len(squares[part]), *given, own_address(work))

    shared(make, range(0, count, _TOGETHER), triangles.size)


def add_outer(rows: np.ndarray, triangles: np.ndarray, factor: float) -> None:
    """Add ``factor`` times each row's products with itself (..., columns) to packed triangles (..., numbers)."""
    width = rows.shape[-1]
    rows = np.ascontiguousarray(rows).reshape(-1, width)
    triangles = triangles.reshape(len(rows), -1)

    def add(firsts: Iterable[int]) -> None:
        for first in firsts:
            part = slice(first, first + _TOGETHER)
            held = rows[part], triangles[part]
            function("add_outer")(width, len(held[0]), factor, *map(address, held))

    shared(add, range(0, len(rows), _TOGETHER), triangles.size)


def _addresses(arrays: np.ndarray, places: np.ndarray) -> np.ndarray:
    return own_address(arrays) + places.astype(np.uint64) * np.uint64(arrays.strides[0])


def _fold(runs: Runs, matrices: np.ndarray | None, divisors: np.ndarray | None, floats: bool = False) -> Folded:
    count, width = len(runs.rows), runs.width
    data, rows = place(runs.block) + runs.offsets.astype(np.uint64), runs.rows.astype(np.uint64)
    found = Folded(np.empty((count, 3, width)), np.zeros((count, 2, width), np.int64), np.empty(count, np.bool_))

    step = _TOGETHER if runs.apart is None else runs.apart.together

    def fold(firsts: Iterable[int]) -> None:
        side, products, _held = _memory(runs, matrices is not None, divisors is not None, floats)
        tile = empty_bytes(0 if runs.apart is None else step * runs.apart.array_bytes)
        for first in firsts:
            part = slice(first, first + step)
            at = data[part]
            if runs.apart is not None:
                at, side.stride = runs.apart.copied(part, tile)
            given = [address(each) for each in (at, *[each[part] for each in (rows, *found)])]
            wanted = [None if each is None else address(each[part]) for each in (matrices, divisors)]
            places = (*given[:2], len(rows[part]), runs.height, *given[2:4], *wanted, *products, given[4])
            function("fold_groups")(ctypes.byref(GroupsStruct(side, *places)))

    shared(fold, range(0, count, step), int(runs.rows.sum()) * width)
    return found


def _memory(runs: Runs, products: bool, packed: bool, floats: bool) -> tuple[SideStruct, list[int | None], object]:
    """Return a side that has memory of its own, the addresses of a square and a triangle, and what holds these."""
    width, rows = runs.width, min(runs.height, int(runs.rows.max(initial=1)))
    sizes = [8 * panels(width), 8 * width, 8 * width, 8 * WORK * padded(width), rows * packed_bytes(width, floats)]
    sizes += [8 * panels(width) * floats, 8 * width * width * products, 4 * width * (width + 1) * packed]
    held = [empty_bytes(size) for size in sizes]
    held[0][:], held[5][:] = 0, 0  # the pilots and factors of columns beyond
    shift, sums, squares, work, panel, factors, *memory = map(own_address, held)
    side = SideStruct(
        None, 0, width, runs.block.strides[0], number_of(runs.block.dtype), shift, sums, squares, None, None,
        factors if floats else None, 0.0, *runs.ordinary, work, panel, True, floats,
    )  # fmt: skip
    return side, [at if size else None for at, size in zip(memory, sizes[-2:], strict=True)], held
