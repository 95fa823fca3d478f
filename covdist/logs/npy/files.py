"""Sources of uncompressed bytes in a file: ``.npy`` files and uncompressed members of ``.npz`` files."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from covdist.errors import LogError
from covdist.logs.chunk_bytes import read_into
from covdist.logs.grid import GridSource, Index, Slices
from covdist.logs.npy.header import Header, file_token, read_header, row_chunks
from covdist.logs.paths import open_file
from covdist.logs.source import Source
from covdist.logs.stamps import Stamp, open_unchanged, stamp


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
    """A Fortran-ordered ``.npy`` file, mapped into memory."""

    path: str
    offset: int
    stamp: Stamp

    def __getitem__(self, index: Slices) -> np.ndarray:
        with open_unchanged(self.path, self.stamp, self.name) as file:
            mapped = np.memmap(file, self.dtype, "r", self.offset, self.shape, order="F")
            return np.array(mapped[index], order="C")

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        return self[self.cut(index)]


def open_npy(path: str, name: str) -> Source:
    """Read the header of a ``.npy`` file and check it against the file's size."""
    with open_file(path) as file:
        header, before = read_header(file, path), stamp(file.fileno())
    size = before[0]
    if size != header.size + header.nbytes:
        raise LogError(
            f"{path} has {size:,} bytes where its header promises {header.size + header.nbytes:,}: it was cut off or "
            "overwritten, copy or write it again."
        )
    return stored(path, name, header, header.size, before)


def stored(path: str, name: str, header: Header, offset: int, before: Stamp) -> Source:
    """Return a source of uncompressed data at ``offset`` in a file."""
    kind = FortranSource if header.fortran and header.nbytes and len(header.shape) > 1 else RowSource
    token = file_token(path, name, header, offset)
    return kind(name, header.shape, header.dtype, row_chunks(header), token, path, offset, before)
