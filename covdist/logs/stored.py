"""Sources of uncompressed bytes in a file: an array, or many, each at its offset."""

from __future__ import annotations

import hashlib
import itertools
import math
import operator
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import FileIO
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from covdist.errors import LogError
from covdist.limits import limits
from covdist.logs.chunk_bytes import read_into
from covdist.logs.grid import GridSource, Index, Slices
from covdist.logs.paths import OpenFile, absolute, open_file, will_read
from covdist.logs.remote.files import RemoteFile
from covdist.logs.remote.strided import strided
from covdist.logs.small_dtypes import widened
from covdist.logs.source import Source, Storage
from covdist.logs.stamps import Stamp, open_unchanged, stamp

_CRC_BYTES_AT_ONCE = 1 << 20


class Crc(NamedTuple):
    """The CRC-32 of some bytes of a file."""

    value: int
    start: int
    size: int


@dataclass(frozen=True, eq=False)
class StoredSource(GridSource):
    """An array at an offset of a file, the whole of which is checked, once a process, before a part of it is read."""

    path: str
    offset: int
    stamp: Stamp
    kept: np.dtype  # as it is stored; ``dtype`` is numpy's own
    crc: Crc | None

    @property
    def checksum(self) -> str | None:
        """That of the member of a zip file, where it is one."""
        return None if self.crc is None else "crc32"

    @property
    def storage(self) -> Storage:
        """Plain bytes."""
        return Storage((), math.prod(self.shape) * self.kept.itemsize, 0)

    @contextmanager
    def opened(self) -> Iterator[OpenFile]:
        """Open the file; LogError where it has changed, or is not what its checksum tells."""
        with open_unchanged(self.path, self.stamp, self.name) as file:
            if self.crc is not None and not _is_sound(self.path, self.stamp, self.crc):
                raise LogError(
                    f"{self.name} in {self.path} is damaged (its CRC-32 does not fit its bytes): restore the file, or "
                    "record it again."
                )
            yield file


@dataclass(frozen=True, eq=False)
class RowSource(StoredSource):
    """Rows one after the other in a file (C order), read at their offset."""

    @property
    def buffer_size(self) -> int:
        """Bytes of one chunk as it is stored."""
        return math.prod(self.chunks) * self.kept.itemsize

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        rows = self.rows(index, buffer)
        return rows if self.kept == self.dtype else rows.astype(self.dtype)

    def rows(self, index: Index, buffer: np.ndarray | None) -> np.ndarray:
        """Return a chunk as it is stored."""
        shape = [each.stop - each.start for each in self.cut(index)]
        size = math.prod(shape) * self.kept.itemsize
        space = (np.empty(size, np.uint8) if buffer is None else buffer)[:size]
        with self.opened() as file:
            file.seek(self._start(index))
            read_into(file, space)
        return space.view(self.kept).reshape(shape)

    def _start(self, index: Index) -> int:
        return self.offset + (index[0] * self.buffer_size if index else 0)


@dataclass(frozen=True, eq=False)
class BrainSource(RowSource):
    """Rows of bfloat16, which the kernel folds as they are stored."""

    @property
    def slab_size(self) -> int:
        """Bytes of one chunk as it is stored: they are small."""
        return self.buffer_size

    def announce(self, index: Index) -> None:
        """Start the kernel's read-ahead, if it has one."""
        will_read(self.path, self._start(index), self.buffer_size)

    def read_slabs(self, index: Index, buffer: np.ndarray) -> Iterator[np.ndarray]:
        """Yield one chunk as bfloat16."""
        yield self.rows(index, buffer)


@dataclass(frozen=True, eq=False)
class StridedSource(StoredSource):
    """An array of any strides in a file, Fortran-ordered for one, mapped into memory."""

    strides: Index  # in numbers, as the shape is

    def __getitem__(self, index: Slices) -> np.ndarray:
        # numpy cannot stride over types of ml_dtypes: over their bits it can.
        bits = np.dtype(f"u{self.kept.itemsize}") if self.kept.isbuiltin == 2 else self.kept
        with self.opened() as file:
            if not isinstance(file, FileIO):
                return self._as_read(self._gathered(file, bits, index))
            reach = 1 + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
            mapped = np.memmap(file, bits, "r", self.offset, (reach,))
            steps = [step * self.kept.itemsize for step in self.strides]
            return self._as_read(as_strided(mapped, self.shape, steps)[index])

    def _as_read(self, bits: np.ndarray) -> np.ndarray:
        return np.array(bits, order="C").view(self.kept).astype(self.dtype, copy=False)

    def _gathered(self, file: RemoteFile, bits: np.dtype, index: Slices) -> np.ndarray:
        cuts = [range(*each.indices(size)) for each, size in zip(index, self.shape, strict=True)]
        start = sum(cut.start * step for cut, step in zip(cuts, self.strides, strict=True))
        shape = [len(cut) for cut in cuts]
        return strided(file, bits, self.offset + start * self.kept.itemsize, shape, self.strides)

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        return self[self.cut(index)]


def stored(
    path: str,
    name: str,
    shape: Index,
    dtype: np.dtype,
    offset: int,
    before: Stamp,
    strides: Index | None = None,
    crc: Crc | None = None,
) -> Source:
    """Return a source of uncompressed data at ``offset`` in a file with the stamp ``before``.

    ``strides``, in numbers, must not lead out of the file; without them rows lie one after the other.
    """
    strides = None if 0 in shape or not dtype.itemsize or strides == strides_of(shape, False) else strides
    token = file_token(path, name, shape, dtype, strides, offset, before=before)
    checked = crc if crc is not None and crc.size <= limits().checked_bytes else None
    told = (name, shape, widened(dtype), row_chunks(shape, dtype), token, path, offset, before, dtype, checked)
    if strides is not None:
        return StridedSource(*told, strides)
    return BrainSource(*told) if shape and dtype.name == "bfloat16" else RowSource(*told)


@lru_cache(maxsize=1 << 10)  # of thousands of files many are alike
def strides_of(shape: Index, fortran: bool) -> Index:
    """Return the strides, in numbers, of an array in C or Fortran order; where there is one of an axis, 0."""
    steps = itertools.accumulate(shape if fortran else shape[::-1], initial=1, func=operator.mul)
    found = tuple(step for step, _ in zip(steps, shape, strict=False))
    found = found if fortran else found[::-1]
    return tuple(step if size > 1 else 0 for step, size in zip(found, shape, strict=True))


def row_chunks(shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, ...]:
    """Cut the leading axis into whole rows, ``npy_chunk_bytes`` at most."""
    if not shape:
        return ()
    row = math.prod(shape[1:]) * dtype.itemsize
    rows = min(shape[0], max(1, limits().npy_chunk_bytes // row)) if row else shape[0]
    return tuple(max(1, size) for size in (rows, *shape[1:]))


def file_token(path: str, name: str, *more: object, before: Stamp | None = None) -> str:
    """Return a hash of the file's path and stamp, and of what tells an array from others in it."""
    text = repr((absolute(path), *(stamp(path) if before is None else before), name, *more))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@lru_cache(maxsize=1 << 16)
def _is_sound(path: str, before: Stamp, crc: Crc) -> bool:
    """Return whether the bytes of a file with this stamp have their checksum."""
    value, left = 0, crc.size
    with open_file(path) as file:
        file.seek(crc.start)
        while left and (data := file.read(min(left, _CRC_BYTES_AT_ONCE)) or b""):
            value, left = zlib.crc32(data, value), left - len(data)
    return not left and value == crc.value
