"""Decodes the bytes of one chunk file, with checks that the codecs lack."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from io import FileIO
from typing import Any

import google_crc32c
import numcodecs
import numpy as np

BROKEN = (OSError, ValueError, RuntimeError, EOFError, zlib.error)  # what decoders raise for bad bytes
BLOSC_SIZES = struct.Struct("<4xI4xI")  # bytes when decoded, bytes when encoded
CRC_BYTES = 4
Codec = Mapping[str, Any]  # a numcodecs configuration, or {"id": "crc32c"}


def read_into(file: FileIO, data: np.ndarray) -> None:
    """Fill an array of bytes from an unbuffered file, which may return fewer bytes per call."""
    view = data.data
    while view.nbytes:
        count = file.readinto(view)
        if not count:
            raise EOFError("it was cut off while it was read")
        view = view[count:]


def checked(data: np.ndarray) -> np.ndarray:
    """Return the bytes before the trailing crc32c, and check that it is theirs."""
    body, stored = data[:-CRC_BYTES], data[-CRC_BYTES:].tobytes()
    if len(data) < CRC_BYTES or google_crc32c.value(body) != int.from_bytes(stored, "little"):
        raise ValueError("its crc32c does not fit its bytes")
    return body


def decode(data: np.ndarray, codecs: tuple[Codec, ...], out: np.ndarray) -> np.ndarray:
    """Undo codecs, the last applied first; the result is as long as ``out`` and may lie in it."""
    for position, codec in reversed(list(enumerate(codecs))):
        target = out if position == 0 else None
        data = checked(data) if codec["id"] == "crc32c" else _decompress(data, codec, target)
    if data.nbytes != out.nbytes:
        raise ValueError(f"it decodes to {data.nbytes:,} bytes where {out.nbytes:,} are expected")
    return data


def _decompress(data: np.ndarray, codec: Codec, out: np.ndarray | None) -> np.ndarray:
    size = None
    if codec["id"] == "blosc":
        size = _blosc_size(data)
    elif codec["id"] == "zstd":
        size = _zstd_size(data.tobytes()[:18])
    # Decoders accept an `out` that is too long and leave its end as it was.
    fits = out is not None and size == out.nbytes
    decoded = numcodecs.get_codec(dict(codec)).decode(data, out=out if fits else None)
    return np.frombuffer(decoded, np.uint8)


def _blosc_size(data: np.ndarray) -> int:
    # Blosc reads past the end of bytes that were cut off.
    if data.nbytes < 16:
        raise ValueError("it is shorter than a Blosc header")
    decoded, encoded = BLOSC_SIZES.unpack_from(data.data)
    if encoded != data.nbytes:
        raise ValueError(f"it has {data.nbytes:,} bytes where its Blosc header promises {encoded:,}")
    return int(decoded)


def _zstd_size(head: bytes) -> int | None:
    if len(head) < 6 or head[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("it does not begin with a Zstandard frame")
    flags = head[4]
    single = flags >> 5 & 1
    length = (single, 2, 4, 8)[flags >> 6]
    start = 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
    if not length:
        return None
    return int.from_bytes(head[start : start + length], "little") + (256 if length == 2 else 0)
