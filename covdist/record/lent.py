"""``Lent``: rows that their owner leaves as they are for a while, so that the recorder's thread can copy them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from covdist.kernel import copies
from covdist.kernel.library import compiled, place

LEAST = 64 << 10  # bytes from which on handing over takes less time than copying


class Lent:
    """Rows (row, unit) in memory that nobody changes while this is held.

    Made of an array (..., unit) of which every position is a row, whatever the order in which it lies in memory: to
    copy it into rows costs several times what copying it as it lies does.
    """

    def __init__(self, array: np.ndarray, lost: copies.RoundingLoss | None = None):
        first = 1 if array.flags.c_contiguous else len(array)
        self._owner = array
        self._blocks = array.reshape(first, -1, array.shape[-1])
        self._start, self._stop = 0, math.prod(self._blocks.shape[:2])
        self.lost = lost  # by their owner, who has rounded them

    dtype = property(lambda self: self._blocks.dtype)
    ndim = 2
    nbytes = property(lambda self: math.prod(self.shape) * self.dtype.itemsize)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._stop - self._start, self._blocks.shape[2]

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, rows: slice) -> Lent:
        """Return some of the rows, one after the other."""
        start, stop, _ = rows.indices(len(self))
        part = object.__new__(Lent)
        part._owner, part._blocks, part.lost = self._owner, self._blocks, None
        part._start, part._stop = self._start + start, self._start + max(start, stop)
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

    def transfers(self, rows: np.ndarray) -> list[copies.Transfer]:
        """Return what the kernel has to copy, while this is held, to memory without gaps of the same dtype."""
        to, start, item, width = place(rows), place(self._blocks), self.dtype.itemsize, self._blocks.shape[2]
        block, row, column = self._blocks.strides
        found = []
        for first, outer, begin, count in self._parts():
            origin = start + first * block + begin * row
            found.append(copies.Transfer(to, origin, item, outer, count, width, block, row, column))
            to += outer * count * width * item
        return found

    def _parts(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield the rest of the first block, whole ones, and the beginning of the last.

        Each as the first block, how many these are, the first row in each, and how many rows of each.
        """
        height, at = self._blocks.shape[1], self._start
        while at < self._stop:
            (block, begin), left = divmod(at, height), self._stop - at
            whole = 0 if begin else left // height
            outer, count = max(whole, 1), height if whole else min(height - begin, left)
            yield block, outer, begin, count
            at += outer * count


def copy_all(rows: Sequence[tuple[Lent, np.ndarray]]) -> None:
    """Copy rows to memory of the same dtypes, in one call of the kernel where there is one."""
    if compiled():
        copies.run([each for lent, memory in rows for each in lent.transfers(memory)])
    else:
        for lent, memory in rows:
            lent.into(memory)


Given: TypeAlias = np.ndarray | Lent
