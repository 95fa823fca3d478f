"""The bytes of one chunk file: rows, zeros up to the chunk's end, and a crc32c.

All chunks of an array are Zstandard frames, but only those that shrink to half are compressed. The others hold their
rows as they are, in raw blocks, which costs little to write or read; zeros after the last row take 4 bytes for 128 KiB.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import google_crc32c
import numpy as np
from numcodecs.zstd import Zstd

from covdist.kernel import copies
from covdist.kernel.library import compiled
from covdist.kernel.workspace import empty_bytes
from covdist.storage.pages import Pages, Parts, up_to_page

CRC_BYTES = 4
LARGE = 1 << 20  # bytes of a chunk that is written past the system's cache
_LEVEL = 1
_SAMPLE = 16 << 10  # bytes that are compressed to find out whether it pays
_PAYS = 0.5  # half-zero float32 shrink to 0.57 at 400 MB/s, whole numbers to 0.1
_BLOCK = 128 << 10  # the most that a Zstandard block may hold
_MAGIC = b"\x28\xb5\x2f\xfd\xe0"  # then 8 bytes with the length: one segment, no checksum, no dictionary
_RAW, _REPEAT, _LAST = 0, 1, 1

PLAIN: list[dict[str, Any]] = [{"name": "crc32c"}]
FRAMED: list[dict[str, Any]] = [{"name": "zstd", "configuration": {"level": _LEVEL, "checksum": False}}, *PLAIN]
# For values that come many times in a row: of 460 KB of a small one level 1 makes 14 KB in 2 ms, this 64 bytes in 0.2.
RUNS: list[dict[str, Any]] = [{"name": "zstd", "configuration": {"level": 3, "checksum": False}}, *PLAIN]


def encoded(rows: np.ndarray, chunk_bytes: int, codecs: list[dict[str, Any]], compressed: bool) -> Parts:
    """Return the parts of a chunk file that begins with the bytes of rows."""
    data = rows.reshape(-1).view(np.uint8)
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
    chunk = np.zeros(chunk_bytes, np.uint8)
    chunk[: data.nbytes] = data
    return chunk


class Frames:
    """Memory of frames of chunks that are not compressed, made by the kernel and written without another copy."""

    def __init__(self) -> None:
        self._memory = empty_bytes(0)

    def of(self, rows: np.ndarray, chunk_bytes: int) -> Pages:
        """Return the pages of a chunk file, which hold until the next call."""
        size = up_to_page(copies.frame_bytes(chunk_bytes))
        if self._memory.nbytes < size:
            self._memory = empty_bytes(size)
        nbytes = copies.frame(rows, chunk_bytes, self._memory)
        return Pages(self._memory[: up_to_page(nbytes)].data, nbytes)


def framed(chunk_bytes: int) -> bool:
    """Return whether ``Frames`` has pages for chunks of a size."""
    return compiled() and chunk_bytes >= LARGE


def pays(rows: np.ndarray) -> bool:
    """Return whether rows shrink to half when they are compressed, which a sample in the middle tells, or are few."""
    data = rows.reshape(-1).view(np.uint8)
    if data.nbytes <= _SAMPLE:
        return True
    start = (data.nbytes - _SAMPLE) // 2
    sample = data[start : start + _SAMPLE]
    return len(Zstd(_LEVEL).encode(sample)) <= _PAYS * sample.nbytes


def paid(nbytes: int, encoded: int) -> bool | None:
    """Return whether rows have shrunk to half, None of few, which tell nothing of the next ones."""
    return encoded <= _PAYS * nbytes if nbytes > _SAMPLE else None


def _blocks(data: memoryview, chunk_bytes: int) -> Iterator[bytes | memoryview]:
    for start in range(0, data.nbytes, _BLOCK):
        block = data[start : start + _BLOCK]
        yield _head(_RAW, block.nbytes, start + block.nbytes == chunk_bytes)
        yield block
    for start in range(data.nbytes, chunk_bytes, _BLOCK):
        size = min(_BLOCK, chunk_bytes - start)
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
