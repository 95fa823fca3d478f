"""A local Zarr array whose chunks are files of their own: read without zarr, whatever its codecs."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from itertools import product
from typing import Any

import google_crc32c
import numpy as np

from covdist.errors import LogError, MissingChunkError
from covdist.logs.chunk_bytes import BROKEN, CRC_BYTES, checked, read_into
from covdist.logs.grid import GridSource, Index, Slices
from covdist.logs.paths import open_inside
from covdist.logs.source import Storage
from covdist.logs.stamps import Stamp, stamp
from covdist.logs.zarr.layout import ChunkLayout
from covdist.logs.zarr.unchanged import Opened, open_ended

MARKERS = ("zarr.json", ".zarray", ".zgroup")  # one of them lies in each array and group
LINE, SLAB_BYTES = 64, 1 << 21
_TRIES = 3  # of a chunk
MOST_FILES = 1_000_000  # of an array, that are looked up to say what it takes
CHECKSUMS = ("crc32c", "crc32", "adler32", "fletcher32", "jenkins_lookup3")


@dataclass(frozen=True, eq=False)
class StoredChunks(GridSource):
    """What is known of a Zarr array's chunks, wherever they lie."""

    lead: tuple[str, ...]  # a chunk's key is lead and its indices, joined by the separator
    separator: str
    layout: ChunkLayout
    fill_value: Any
    missing: str  # "raise" or "fill"
    follow_links: bool
    opened: Opened

    def key(self, index: Index) -> str:
        """Return the key of a chunk below its array."""
        return self.separator.join([*self.lead, *map(str, index)]) or "0"

    def part(self, index: Index) -> Slices:
        """Return the part of a chunk that lies in the array."""
        return tuple(slice(0, each.stop - each.start) for each in self.cut(index))

    def check(self, index: Index, written: int = 0) -> None:
        """Raise LogError if the array, or a chunk of it that was written at that time, is not what was opened."""
        self.opened.check(self.name, self.shape, written, open_ended(self.shape, self.in_file, index))

    @property
    def in_file(self) -> Index:
        """Shape of what one file holds."""
        return self.layout.shard or self.chunks

    @property
    def grows(self) -> bool:
        """Whether more rows may come in files of their own, which ``stamps`` tells apart."""
        return bool(self.opened.described and self.opened.stamp and self.shape)

    def stamps(self, files: int) -> Iterator[tuple[str, Stamp | None]]:
        """Yield the keys of the first ``files`` along the first axis, and of those beside them, with their stamps."""
        grid = map(range, (files, *self._files[1:]) if self.shape else ())
        keys = [self.key(index) for index in product(*grid)]
        return zip(keys, self.stamps_of(keys), strict=True)

    @property
    def checksum(self) -> str | None:
        """The first of its codecs that is one."""
        return next((each["id"] for each in self.layout.codecs if each["id"] in CHECKSUMS), None)

    @property
    def storage(self) -> Storage:
        """Names of codecs, and what the array's files take: of at most a million of them."""
        codecs = tuple(str(codec["id"]) for codec in self.layout.codecs)
        if not self.opened.described or math.prod(self._files) > MOST_FILES:
            return Storage(codecs)
        found = [stamp for _, stamp in self.stamps(self._files[0] if self._files else 1)]
        sizes = [int(each[0] or 0) for each in found if each is not None]
        return Storage(codecs, sum(sizes), len(found) - len(sizes))

    @property
    def _files(self) -> Index:
        return tuple(-(-n // size) for n, size in zip(self.shape, self.in_file, strict=True))

    def stamps_of(self, keys: Sequence[str]) -> list[Stamp | None]:
        """Return the stamps of some of the array's files, None for one that the store lacks."""
        raise NotImplementedError

    def absent(self, key: str, index: Index) -> np.ndarray:
        """Return fill values for a chunk that is not in the store, or raise MissingChunkError."""
        if self.missing == "raise":
            raise MissingChunkError(
                f"{self.name}: chunk {key} is not in the store, because its writer left out chunks that hold only the "
                f"fill value (zarr's default, write_empty_chunks=False) or because it was lost: if it was left out, "
                f'read it as the fill value with missing_chunks="fill" (--missing-chunks fill).'
            )
        return self.filled(index)

    def filled(self, index: Index) -> np.ndarray:
        """Return a chunk of fill values."""
        return np.full([each.stop for each in self.part(index)], self.fill_value, self.dtype)

    def broken(self, key: str, error: Exception) -> LogError:
        """Return the error for a chunk that cannot be decoded."""
        return LogError(f"{self.name}: chunk {key} is damaged ({error}): restore it or record the log again.")


@dataclass(frozen=True, eq=False)
class ZarrFileSource(StoredChunks):
    """Reads chunk files straight into the caller's buffer."""

    folder: str  # of the array's metadata

    @property
    def buffer_size(self) -> int:
        """Bytes of a decoded chunk and its checksums; of a compressed one also those of its file, to be read to."""
        if self.compressed:
            return self._decoded_bytes + self.layout.encoded_size
        return self.layout.size + CRC_BYTES * len(self.layout.codecs) if self._buffered or self._in_slabs else 0

    @property
    def _decoded_bytes(self) -> int:
        """Where a compressed chunk begins in a buffer, behind the decoded one."""
        return -(-self.layout.size // LINE) * LINE

    @property
    def _buffered(self) -> bool:
        return self.layout.dtype == self.dtype and not self.layout.text

    def stamps_of(self, keys: Sequence[str]) -> list[Stamp | None]:
        return stamps_in(self.folder, keys)

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        key, left = self.key(index), _TRIES
        while True:
            left -= 1
            try:
                return self._chunk(index, key, buffer)
            except FileNotFoundError:
                self.check(index)
                return self.absent(key, index)
            except BROKEN as error:
                # Maybe only since the file, which has another name by now, was written to meanwhile.
                if not left:
                    raise self.broken(key, error) from error

    def _chunk(self, index: Index, key: str, buffer: np.ndarray | None) -> np.ndarray:
        part = self.part(index)
        with self._opened(index, key) as file:
            if self.layout.plain:
                data = self._plain_bytes(file, buffer)
                return data.view(self.dtype).reshape(self.chunks)[part]
            if buffer is None or not self.compressed:
                return self.layout.array(self._encoded(file), self.dtype)[part]
            encoded = self._encoded(file, buffer[self._decoded_bytes :])
            return self.layout.array(encoded, self.dtype, buffer[: self.layout.size])[part]

    @contextmanager
    def _opened(self, index: Index, key: str) -> Iterator[FileIO]:
        """Open a chunk's file; LogError where it was written anew, or all of its array, when it has been read."""
        with open_inside(self.folder, key, self.follow_links) as file:
            try:
                yield file
            except GeneratorExit:  # the rest is not needed
                raise
            except BaseException:
                self.check(index, os.fstat(file.fileno()).st_mtime_ns)
                raise
            self.check(index, os.fstat(file.fileno()).st_mtime_ns)

    def _encoded(self, file: FileIO, space: np.ndarray | None = None) -> np.ndarray:
        size, most = os.fstat(file.fileno()).st_size, self.layout.encoded_size
        if size > most:
            raise ValueError(f"it has {size:,} bytes where at most {most:,} are expected")
        data = np.empty(size, np.uint8) if space is None else space[:size]
        read_into(file, data)
        return data

    @property
    def slab_size(self) -> int:
        """Bytes of rows, about 2 MiB: read 1.5 times as fast as 32 MiB, since they stay in the cache."""
        if not self._in_slabs:
            return self.buffer_size
        row = self.layout.size // self.chunks[0]
        return min(max(row, SLAB_BYTES // row * row), self.buffer_size)

    @property
    def _in_slabs(self) -> bool:
        return bool(self.chunks) and self.layout.foldable and len(self.layout.codecs) <= 1

    @property
    def compressed(self) -> bool:
        """Whether a chunk is decoded as a whole."""
        return self._buffered and not self.layout.foldable

    def announce(self, index: Index) -> None:
        """Start the kernel's read-ahead, if it has one; what is wrong with a file is reported when it is read."""
        if hasattr(os, "posix_fadvise"):
            with (
                suppress(OSError, LogError),
                open_inside(self.folder, self.key(index), self.follow_links) as file,
            ):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)

    def read_slabs(self, index: Index, buffer: np.ndarray) -> Iterator[np.ndarray]:
        """Read one chunk file some rows at a time, in the dtype of the file, or all at once if it is compressed."""
        key, part = self.key(index), self.part(index)
        if not self._in_slabs or not os.path.exists(os.path.join(self.folder, key)):
            yield self.read_chunk(index, buffer)
            return
        try:
            with self._opened(index, key) as file:
                for start, data in self._plain_slabs(file, buffer):
                    rows = data.view(self.layout.dtype).reshape(-1, *self.chunks[1:])[: max(0, part[0].stop - start)]
                    if len(rows):
                        yield rows[:, *part[1:]]
        except BROKEN as error:
            raise self.broken(key, error) from error

    def _plain_slabs(self, file: FileIO, space: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        self._check_size(file)
        codecs, size = self.layout.codecs, self.layout.size
        row, left, crc = size // self.chunks[0], size, 0
        while left:
            data = space[: min(left, self.slab_size // row * row)]
            read_into(file, data)
            crc = google_crc32c.extend(crc, data) if codecs else 0
            yield (size - left) // row, data
            left -= data.nbytes
        if codecs and crc.to_bytes(CRC_BYTES, "little") != file.read(CRC_BYTES):
            raise ValueError("its crc32c does not fit its bytes")

    def _check_size(self, file: FileIO) -> None:
        size, actual = self.buffer_size, os.fstat(file.fileno()).st_size
        if actual != size:
            raise ValueError(f"it has {actual:,} bytes where {size:,} are expected")

    def _plain_bytes(self, file: FileIO, buffer: np.ndarray | None) -> np.ndarray:
        self._check_size(file)
        data = np.empty(self.buffer_size, np.uint8) if buffer is None else buffer[: self.buffer_size]
        read_into(file, data)
        for _ in self.layout.codecs:
            data = checked(data)
        return data


def stamps_in(folder: str, keys: Sequence[str]) -> list[Stamp | None]:
    """Return the stamps of files in a folder, None for one that is not there."""
    found: list[Stamp | None] = []
    for key in keys:
        try:
            found.append(stamp(f"{folder}/{key}"))
        except (FileNotFoundError, NotADirectoryError):
            found.append(None)
    return found
