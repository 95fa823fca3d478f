"""Regular chunk grids, and the base of the sources on one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

Index = tuple[int, ...]
Slices = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class GridSource(ABC):
    """A ``Source`` that only has to read chunks: rectangles are assembled from them."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...]
    token: str

    @property
    def buffer_size(self) -> int:
        """Bytes that a reused buffer needs; 0, the default, if another library allocates the arrays."""
        return 0

    @property
    def chunk_bytes(self) -> int:
        """Bytes of one whole chunk."""
        return math.prod(self.chunks) * self.dtype.itemsize

    @abstractmethod
    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray: ...

    def cut(self, index: Index) -> Slices:
        """Return the part of this array that a chunk covers, cut to the array's shape."""
        return tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in zip(index, self.chunks, self.shape, strict=True))

    def __getitem__(self, index: Slices) -> np.ndarray:
        bounds = [each.indices(size)[:2] for each, size in zip(index, self.shape, strict=True)]
        target = tuple(slice(start, max(start, stop)) for start, stop in bounds)
        grid = list(_overlapping(target, self.chunks))
        if len(grid) == 1 and self.cut(grid[0]) == target:
            return self.read_chunk(grid[0])
        result = np.empty([each.stop - each.start for each in target], self.dtype)
        buffer = np.empty(self.buffer_size, np.uint8) if self.buffer_size else None
        for position in grid:
            chunk = self.cut(position)
            common = [slice(max(c.start, t.start), min(c.stop, t.stop)) for c, t in zip(chunk, target, strict=True)]
            result[_relative(common, target)] = self.read_chunk(position, buffer)[_relative(common, chunk)]
        return result


def _overlapping(target: Slices, chunks: Index) -> Iterator[Index]:
    if any(each.start == each.stop for each in target):
        return iter(())
    return product(*(range(t.start // c, (t.stop - 1) // c + 1) for t, c in zip(target, chunks, strict=True)))


def _relative(inner: list[slice], outer: Slices) -> Slices:
    return tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
