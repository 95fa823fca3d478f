"""``Lent``: rows that their owner leaves as they are for a while, so that the recorder's thread can copy them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from ctypes import addressof
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from covdist.kernel import copies
from covdist.kernel.library import compiled, place

_TO, _FRAME, _EACH = *map(copies.Transfer._fields.index, ("to", "frame")), len(copies.Transfer._fields)
LEAST = 1 << 10  # bytes from which on handing over takes less of the time of who logs than copying


class Spot(NamedTuple):
    """Where rows go in a frame, which the kernel alone makes."""

    frame: copies.Frame
    at: int  # bytes of rows before them


Goal: TypeAlias = np.ndarray | Spot


class Lent:
    """Rows (row, unit) in memory that nobody changes while this is held.

    Made of an array (..., unit) of which every position is a row, whatever the order in which it lies in memory: to
    copy it into rows costs several times what copying it as it lies does.
    """

    def __init__(self, array: np.ndarray, lost: copies.RoundingLoss | None = None, of: Lent | None = None):
        self._array, self._start = array, 0
        self._of = of  # whose rows these are some of: held, so that their owner can tell
        self.dtype, self.nbytes = array.dtype, array.nbytes
        self.shape = array.size // array.shape[-1], array.shape[-1]
        self.lost = lost  # by their owner, who has rounded them

    ndim = 2

    @cached_property
    def _blocks(self) -> np.ndarray:
        """Return the array as (block, row, unit), made when rows are read, since it takes longer than all else here."""
        first = 1 if self._array.flags.c_contiguous else len(self._array)
        return self._array.reshape(first, -1, self.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Lent:
        """Return some of the rows, one after the other."""
        start, stop, _ = rows.indices(len(self))
        part = Lent(self._array, of=self)
        part._start, part.shape = self._start + start, (max(stop - start, 0), self.shape[1])
        part.nbytes = math.prod(part.shape) * self.dtype.itemsize
        return part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        rows = np.empty(self.shape, self.dtype)
        copy_all([(self, rows)])
        return rows if dtype is None else rows.astype(dtype, copy=False)

    def reshape(self, shape: tuple[int, ...]) -> Given:
        """Return the rows in another shape, copied if it is another."""
        return self if shape == self.shape else np.asarray(self).reshape(shape)

    def into(self, rows: np.ndarray) -> None:
        """Copy the rows to memory without gaps."""
        done = 0
        for first, outer, begin, count in self._parts():
            part = self._blocks[first : first + outer, begin : begin + count]
            rows[done : done + outer * count].reshape(part.shape)[...] = part
            done += outer * count

    def numbers(self, to: Goal) -> array[int]:
        """Return what the kernel has to copy, while this is held, to where there is room for rows of the same dtype."""
        at, frame = (to.at, addressof(to.frame)) if isinstance(to, Spot) else (place(to), 0)
        found = self._numbers[:]
        for first in range(0, len(found), _EACH):
            found[first + _TO] += at
            found[first + _FRAME] = frame
        return found

    @cached_property
    def _numbers(self) -> array[int]:
        """Return what ``numbers`` does for an address of 0; the same rows of memory are lent in many steps."""
        start, item, width = place(self._blocks), self.dtype.itemsize, self._blocks.shape[2]
        block, row, column = self._blocks.strides
        found, at = [], 0
        for first, outer, begin, count in self._parts():
            origin = start + first * block + begin * row
            found.append(copies.Transfer(at, origin, item, outer, count, width, block, row, column))
            at += outer * count * width * item
        return copies.numbers(found)

    def _parts(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield the rest of the first block, whole ones, and the beginning of the last.

        Each as the first block, how many these are, the first row in each, and how many rows of each.
        """
        height, at, stop = self._blocks.shape[1], self._start, self._start + len(self)
        while at < stop:
            (block, begin), left = divmod(at, height), stop - at
            whole = 0 if begin else left // height
            outer, count = max(whole, 1), height if whole else min(height - begin, left)
            yield block, outer, begin, count
            at += outer * count


def copy_all(rows: Sequence[tuple[Lent, Goal]]) -> None:
    """Copy rows to where there is room for the same dtypes, in one call of the kernel where there is one."""
    if compiled():
        numbers = array("q")
        for lent, to in rows:
            numbers += lent.numbers(to)
        copies.run(numbers)
    else:
        for lent, to in rows:
            lent.into(np.asarray(to))


Given: TypeAlias = np.ndarray | Lent
