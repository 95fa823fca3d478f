"""Sources of uncompressed bytes in a file: an array, or many, each at its offset."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass

import numpy as np

from covdist.limits import limits
from covdist.logs.chunk_bytes import read_into
from covdist.logs.grid import GridSource, Index, Slices
from covdist.logs.source import Source
from covdist.logs.stamps import Stamp, open_unchanged


@dataclass(frozen=True, eq=False)
class RowSource(GridSource):
    """Rows one after the other in a file (C order), read at their offset."""

    path: str
    offset: int
    stamp: Stamp

    @property
    def buffer_size(self) -> int:
        """Bytes of one chunk."""
        return self.chunk_bytes

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        shape = [each.stop - each.start for each in self.cut(index)]
        size = math.prod(shape) * self.dtype.itemsize
        space = (np.empty(size, np.uint8) if buffer is None else buffer)[:size]
        start = self.offset + (index[0] * self.buffer_size if index else 0)
        with open_unchanged(self.path, self.stamp, self.name) as file:
            file.seek(start)
            read_into(file, space)
        return space.view(self.dtype).reshape(shape)


@dataclass(frozen=True, eq=False)
class FortranSource(GridSource):
    """A Fortran-ordered array in a file, mapped into memory."""

    path: str
    offset: int
    stamp: Stamp

    def __getitem__(self, index: Slices) -> np.ndarray:
        with open_unchanged(self.path, self.stamp, self.name) as file:
            mapped = np.memmap(file, self.dtype, "r", self.offset, self.shape, order="F")
            return np.array(mapped[index], order="C")

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        return self[self.cut(index)]


def stored(
    path: str, name: str, shape: tuple[int, ...], dtype: np.dtype, offset: int, before: Stamp, *, fortran: bool = False
) -> Source:
    """Return a source of uncompressed data at ``offset`` in a file with the stamp ``before``."""
    by_columns = fortran and len(shape) > 1 and 0 not in shape and dtype.itemsize > 0
    token = file_token(path, name, shape, dtype, fortran, offset)
    kind = FortranSource if by_columns else RowSource
    return kind(name, shape, dtype, row_chunks(shape, dtype), token, path, offset, before)


def row_chunks(shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, ...]:
    """Cut the leading axis into whole rows, ``npy_chunk_bytes`` at most."""
    if not shape:
        return ()
    row = math.prod(shape[1:]) * dtype.itemsize
    rows = min(shape[0], max(1, limits().npy_chunk_bytes // row)) if row else shape[0]
    return tuple(max(1, size) for size in (rows, *shape[1:]))


def file_token(path: str, name: str, *more: object) -> str:
    """Return a hash of the file's path, size and modification time, and of what tells an array from others in it."""
    stat = os.stat(path)
    text = repr((os.path.abspath(path), stat.st_size, stat.st_mtime_ns, name, *more))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
