"""The bytes of one chunk file: rows, zeros up to the chunk's end, and a crc32c.

All chunks of an array are Zstandard frames, but only those that shrink to half are compressed. The others hold their
rows as they are, in raw blocks, which costs little to write or read; zeros after the last row take 4 bytes for 128 KiB.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from ctypes import addressof
from functools import cached_property
from typing import Any

import google_crc32c
import numpy as np
from numcodecs.zstd import Zstd

from covdist.kernel import copies
from covdist.kernel.copies import BLOCK
from covdist.kernel.library import compiled, own_address, place
from covdist.record.lent import Spot
from covdist.storage.pages import PAGE, Pages, Parts, up_to_page

CRC_BYTES = 4
LARGE = 1 << 20  # bytes of a chunk that is written past the system's cache
_LEVEL = 1
_SAMPLE = 16 << 10  # bytes that are compressed to find out whether it pays
_HELD = 256 << 10  # bytes that are copied without letting another thread go on, which may take long to come back from
_PAYS = 0.5  # half-zero float32 shrink to 0.57 at 400 MB/s, whole numbers to 0.1
_MAGIC = b"\x28\xb5\x2f\xfd\xe0"  # then 8 bytes with the length: one segment, no checksum, no dictionary
_RAW, _REPEAT, _LAST = 0, 1, 1

PLAIN: list[dict[str, Any]] = [{"name": "crc32c"}]
FRAMED: list[dict[str, Any]] = [{"name": "zstd", "configuration": {"level": _LEVEL, "checksum": False}}, *PLAIN]
# For values that come many times in a row: of 460 KB of a small one level 1 makes 14 KB in 2 ms, this 64 bytes in 0.2.
RUNS: list[dict[str, Any]] = [{"name": "zstd", "configuration": {"level": 3, "checksum": False}}, *PLAIN]


def encoded(data: np.ndarray, chunk_bytes: int, codecs: list[dict[str, Any]], compressed: bool) -> Parts:
    """Return the parts of a chunk file that begins with bytes of rows."""
    if codecs == PLAIN:
        parts: list[bytes | memoryview] = [data.data, bytes(chunk_bytes - data.nbytes)]
    elif compressed:
        level = codecs[0]["configuration"]["level"]
        parts = [Zstd(level).encode(data if data.nbytes == chunk_bytes else _filled(data, chunk_bytes))]
    else:
        parts = [_MAGIC + chunk_bytes.to_bytes(8, "little"), *_blocks(data.data, chunk_bytes)]
    crc = 0
    for part in parts:
        crc = google_crc32c.extend(crc, part if isinstance(part, bytes) else np.frombuffer(part, np.uint8))
    return Parts([*parts, crc.to_bytes(CRC_BYTES, "little")])


def _filled(data: np.ndarray, chunk_bytes: int) -> np.ndarray:
    chunk = np.frombuffer(bytearray(chunk_bytes), np.uint8)
    chunk.data[: data.nbytes] = data.data  # neither lets another thread go on, as ``zeros`` and NumPy's copying do
    return chunk


class Loose:
    """Rows of a chunk in memory, one after the other."""

    def __init__(self, rows: np.ndarray):
        self._rows = rows

    @classmethod
    def of(cls, memory: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> Loose:
        """Return a chunk in memory."""
        return cls(np.ndarray(shape, dtype, memory))

    def data(self, start: int, stop: int) -> np.ndarray:
        """Return bytes of the rows."""
        return self._rows.reshape(-1).view(np.uint8)[start:stop]

    def part(self, start: int, stop: int) -> np.ndarray:
        """Return rows, as they lie here or copied."""
        return self._rows[start:stop]

    goal = part  # where rows are to be copied

    def put(self, start: int, rows: np.ndarray) -> None:
        """Copy rows that may be changed after that."""
        memory = self._rows[start : start + len(rows)]
        if rows.nbytes <= _HELD and _is_plain(rows, memory.dtype):
            memory.data.cast("B")[:] = rows.data.cast("B")
        else:
            memory[...] = rows


class Framed:
    """Rows of a chunk in memory that is written as it is, a frame, so that they are not copied once more."""

    def __init__(self, memory: np.ndarray, shape: tuple[int, ...], dtype: np.dtype):
        self._memory, self._shape, self._dtype = memory, shape, dtype
        self._row_bytes = math.prod(shape[1:]) * dtype.itemsize

    @cached_property
    def _summed(self) -> copies.Frame:
        """Return the frame for the recorder's thread, which alone makes it and sums what it holds."""
        return self._frame(0)

    def _frame(self, summed: int) -> copies.Frame:
        return copies.Frame(own_address(self._memory), self._shape[0] * self._row_bytes, summed, 0)

    def data(self, start: int, stop: int) -> np.ndarray:
        """Return bytes of the rows, copied."""
        return np.concatenate([*self._pieces(start, stop)])

    def part(self, start: int, stop: int) -> np.ndarray:
        """Return rows, copied."""
        data = self.data(start * self._row_bytes, stop * self._row_bytes)
        return data.view(self._dtype).reshape(stop - start, *self._shape[1:])

    def goal(self, start: int, stop: int) -> Spot:
        """Return where the recorder's thread is to copy rows."""
        return Spot(self._summed, start * self._row_bytes)

    def put(self, start: int, rows: np.ndarray) -> None:
        """Copy rows that may be changed after that."""
        plain = rows if _is_plain(rows, self._dtype) else np.ascontiguousarray(rows, self._dtype)
        at, done = start * self._row_bytes, 0
        if plain.nbytes > _HELD:
            other = self._frame(self._shape[0] * self._row_bytes)  # which is not summed
            copies.run(copies.numbers([copies.as_it_lies(at, place(plain), plain.nbytes, addressof(other))]))
            return
        data = plain.view(np.uint8).reshape(-1).data
        for piece in self._pieces(at, at + plain.nbytes):
            piece.data[:] = data[done : done + piece.nbytes]
            done += piece.nbytes

    def pages(self, nbytes: int) -> Pages:
        """Return the pages of a chunk file with so many bytes of rows; what follows them here is lost.

        Yet of a chunk that is not full nothing follows: whoever stores it waits for that before more rows come.
        """
        size = copies.frame(self._summed, nbytes)
        pages = self._memory[: up_to_page(size)].data
        pages[size:] = bytes(len(pages) - size)  # of which a shard keeps what was there
        return Pages(pages, size)

    def _pieces(self, start: int, stop: int) -> Iterator[np.ndarray]:
        while start < stop:
            size = min(stop - start, BLOCK - start % BLOCK)
            at = copies.place_in_frame(start)
            yield self._memory[at : at + size]
            start += size


Chunk = Loose | Framed


def chunk_memory(nbytes: int) -> np.ndarray:
    """Return memory for the rows of a chunk; for those of a large one as a frame, in whole pages."""
    if nbytes < LARGE:
        return np.empty(nbytes, np.uint8)
    size = up_to_page(copies.frame_bytes(nbytes))
    memory = np.empty(size + PAGE, np.uint8)
    first = -own_address(memory) % PAGE
    return memory[first : first + size]


def framed(row: tuple[int, ...], chunk_bytes: int, codecs: list[dict[str, Any]]) -> bool:
    """Return whether chunks are made as frames: large ones, but not of coordinates, whose rows are filled in."""
    return compiled() and chunk_bytes >= LARGE and row != () and codecs != PLAIN


def _is_plain(rows: np.ndarray, dtype: np.dtype) -> bool:
    """Return whether the bytes of rows are their values, and memory has a name for their dtype."""
    return rows.dtype == dtype and rows.flags.c_contiguous and dtype.isbuiltin == 1 and dtype.kind != "U"


def pays(chunk: Chunk, nbytes: int) -> bool:
    """Return whether rows shrink to half when they are compressed, which a sample in the middle tells, or are few."""
    if nbytes <= _SAMPLE:
        return True
    start = (nbytes - _SAMPLE) // 2
    sample = chunk.data(start, start + _SAMPLE)
    return len(Zstd(_LEVEL).encode(sample)) <= _PAYS * sample.nbytes


def paid(nbytes: int, encoded: int) -> bool | None:
    """Return whether rows have shrunk to half, None of few, which tell nothing of the next ones."""
    return encoded <= _PAYS * nbytes if nbytes > _SAMPLE else None


def _blocks(data: memoryview, chunk_bytes: int) -> Iterator[bytes | memoryview]:
    for start in range(0, data.nbytes, BLOCK):
        block = data[start : start + BLOCK]
        yield _head(_RAW, block.nbytes, start + block.nbytes == chunk_bytes)
        yield block
    for start in range(data.nbytes, chunk_bytes, BLOCK):
        size = min(BLOCK, chunk_bytes - start)
        yield _head(_REPEAT, size, start + size == chunk_bytes) + b"\0"


def _head(kind: int, size: int, last: bool) -> bytes:
    return (size << 3 | kind << 1 | (_LAST if last else 0)).to_bytes(3, "little")


def decoded(data: bytes, chunk_bytes: int, codecs: list[dict[str, Any]]) -> np.ndarray:
    """Return the bytes of a chunk from its file; ValueError where they are damaged."""
    body, crc = memoryview(data)[:-CRC_BYTES], int.from_bytes(data[-CRC_BYTES:], "little")
    if google_crc32c.value(np.frombuffer(body, np.uint8)) != crc:
        raise ValueError(f"{len(data):,} bytes with a crc32c that does not fit")
    plain = np.frombuffer(body if codecs == PLAIN else Zstd().decode(body), np.uint8)
    if plain.nbytes != chunk_bytes:
        raise ValueError(f"{plain.nbytes:,} bytes where {chunk_bytes:,} are expected")
    return plain
