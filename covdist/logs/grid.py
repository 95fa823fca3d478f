"""Regular chunk grids, and the base of the sources on one."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from covdist.errors import LogError, shown
from covdist.logs.source import Storage

MOST_CHUNKS = 1_000_000  # more must be there, at least one in a thousand; dask lists them
MOST_BYTES = 1 << 40  # more must be there, at least a millionth: what zeros are compressed to
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
    def checksum(self) -> str | None:
        """What a chunk is verified by when it is read; None, the default, where there is nothing of the kind."""
        return None

    @property
    def storage(self) -> Storage:
        """How the chunks are stored; by default nothing tells."""
        return Storage()

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


def check_promise(name: str, shape: Index, chunks: Index, itemsize: int, folder: str | None) -> None:
    """Refuse a header that promises far more than its folder, if it has one, can hold, before chunks are listed."""
    count = math.prod(-(-n // size) for n, size in zip(shape, chunks, strict=True))
    nbytes = math.prod(max(1, n) for n in shape) * itemsize
    if count <= MOST_CHUNKS and nbytes <= MOST_BYTES:
        return
    # What cannot be counted in a moment, in zip files and behind URLs, is believed up to a point.
    files, held = (MOST_CHUNKS // 100, MOST_BYTES // 100) if folder is None else _held(folder, count, nbytes)
    if count > max(MOST_CHUNKS, files * 1000) or nbytes > max(MOST_BYTES, held * 1_000_000) or nbytes >= 2**63:
        store = "none holds as many" if folder is None else f"its store has {files:,} files of {held:,} bytes in all"
        raise LogError(
            f"{name} is said to have the shape {shown(str(shape))} in chunks of {shown(str(chunks))}, {count:.3g} of "
            f"them with {nbytes:.3g} bytes, but {store}: restore its metadata."
        )


def _held(folder: str, count: int, nbytes: int) -> tuple[int, int]:
    """Return how many files a folder holds, and their bytes, counted until both are enough."""
    files = held = 0
    for place, _, names in os.walk(folder):
        for name in names:
            files, held = files + 1, held + os.lstat(os.path.join(place, name)).st_size
            if files * 1000 >= count and held * 1_000_000 >= nbytes:
                return files, held
    return files, held


def _overlapping(target: Slices, chunks: Index) -> Iterator[Index]:
    if any(each.start == each.stop for each in target):
        return iter(())
    return product(*(range(t.start // c, (t.stop - 1) // c + 1) for t, c in zip(target, chunks, strict=True)))


def _relative(inner: list[slice], outer: Slices) -> Slices:
    return tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
