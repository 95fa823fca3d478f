"""Undoes the codecs of one chunk, with checks that they lack: none gives more bytes than the chunk can have."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from struct import Struct
from typing import Any, Protocol

import google_crc32c
import numcodecs
import numpy as np

BROKEN = (OSError, ValueError, RuntimeError, EOFError, zlib.error, lzma.LZMAError)  # what decoders raise for bad bytes
CRC_BYTES = 4
SLACK = 1 << 16  # bytes, and an eighth: what an encoder may add to what it cannot compress
Codec = Mapping[str, Any]  # a numcodecs configuration, or {"id": "crc32c"}

_BLOSC_SIZES = Struct("<4xI4xI")  # bytes when decoded, bytes when encoded
_ZSTD, _SKIPPED = b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18"  # the latter after one more byte
_ZSTD_BLOCK = 1 << 17  # bytes that a block decodes to, at most


class ByteReader(Protocol):
    """An unbuffered file, here or behind a URL."""

    def readinto(self, buffer: memoryview, /) -> int | None: ...


def read_into(file: ByteReader, data: np.ndarray) -> None:
    """Fill an array of bytes from an unbuffered file, which may return fewer bytes per call."""
    view = data.data
    while view.nbytes:
        count = file.readinto(view)
        if not count:
            raise EOFError("it was cut off while it was read")
        view = view[count:]


def decode(data: np.ndarray, codecs: tuple[Codec, ...], size: int, out: np.ndarray | None = None) -> np.ndarray:
    """Undo codecs, the last applied first; the result has ``size`` bytes and may lie in ``out``, which has as many."""
    data = undone(data, codecs, size, out)
    if data.nbytes != size:
        raise ValueError(f"it decodes to {data.nbytes:,} bytes where {size:,} are expected")
    return data


def undone(data: np.ndarray, codecs: tuple[Codec, ...], most: int, out: np.ndarray | None = None) -> np.ndarray:
    """Undo codecs, of which the last to be undone gives ``most`` bytes at most."""
    for position in reversed(range(len(codecs))):
        limit = encoded_bytes(codecs[:position], most)
        data = _undone(data, codecs[position], limit, out if position == 0 else None)
        if data.nbytes > limit:
            raise ValueError(f"it decodes to more than the {limit:,} bytes that are expected")
    return data


def encoded_bytes(codecs: tuple[Codec, ...], size: int) -> int:
    """Return the bytes that ``size`` bytes take at most once these codecs were applied."""
    for codec in codecs:
        if codec["id"] in _CHECKSUMS:
            size += CRC_BYTES
        elif codec["id"] in FILTERS:
            size = math.ceil(size * _growth(codec)) + CRC_BYTES
        else:
            size += size // 8 + SLACK
    return size


def checked(data: np.ndarray) -> np.ndarray:
    """Return the bytes before the trailing crc32c, and check that it is theirs."""
    body, stored = data[:-CRC_BYTES], data[-CRC_BYTES:].tobytes()
    if len(data) < CRC_BYTES or google_crc32c.value(body) != int.from_bytes(stored, "little"):
        raise ValueError("its crc32c does not fit its bytes")
    return body


def _undone(data: np.ndarray, codec: Codec, most: int, out: np.ndarray | None) -> np.ndarray:
    name = codec["id"]
    if name == "crc32c":
        return checked(data)
    if name in _STREAMS:
        # One byte more than expected shows that there are too many, however many there are.
        return np.frombuffer(_STREAMS[name](data, codec, most + 1), np.uint8)
    if name == "shuffle" and (rest := data.nbytes % codec.get("elementsize", 4)):  # HDF5 leaves it where it is
        return np.concatenate([_undone(data[:-rest], codec, most, None), data[-rest:]])
    size = _DECLARED[name](data) if name in _DECLARED else 0
    if size > most:
        raise ValueError(f"it decodes to {size:,} bytes where {most:,} are expected")
    # Decoders accept an `out` that is too long and leave its end as it was.
    fits = out is not None and size == out.nbytes
    decoded = numcodecs.get_codec(dict(codec)).decode(data, out=out if fits else None)
    return np.frombuffer(decoded, np.uint8)


def _inflated(data: np.ndarray, codec: Codec, most: int) -> bytes:
    stream = zlib.decompressobj()
    decoded = stream.decompress(data.data, most)
    if not stream.eof and len(decoded) < most:
        raise EOFError("it was cut off")
    return decoded


def _file(opened: Callable[[BytesIO, Codec], Any]) -> Callable[[np.ndarray, Codec, int], bytes]:
    def read(data: np.ndarray, codec: Codec, most: int) -> bytes:
        with opened(BytesIO(data.tobytes()), codec) as file:
            return bytes(file.read(most))

    return read


def _lzma(file: BytesIO, codec: Codec) -> lzma.LZMAFile:
    try:
        return lzma.LZMAFile(file, format=codec.get("format", lzma.FORMAT_XZ), filters=codec.get("filters"))
    except (TypeError, KeyError, OverflowError, MemoryError) as error:
        raise ValueError(f"its filters are none of LZMA: {error}") from error


def _blosc_size(data: np.ndarray) -> int:
    # Blosc reads past the end of bytes that were cut off.
    if data.nbytes < 16:
        raise ValueError("it is shorter than a Blosc header")
    decoded, encoded = _BLOSC_SIZES.unpack_from(data.data)
    if encoded != data.nbytes:
        raise ValueError(f"it has {data.nbytes:,} bytes where its Blosc header promises {encoded:,}")
    return int(decoded)


def _lz4_size(data: np.ndarray) -> int:
    if data.nbytes < 4:
        raise ValueError("it is shorter than the size before an LZ4 block")
    return int.from_bytes(data[:4].tobytes(), "little")


def _zstd_size(data: np.ndarray) -> int:
    """Return what the frame says, or else the most that its blocks can give; ValueError where there are more frames."""
    head = data[:18].tobytes()
    if len(head) < 6 or head[:4] != _ZSTD:
        raise ValueError("it does not begin with a Zstandard frame")
    length, start = _zstd_header(head[4])
    most = sum(_zstd_blocks(data, start, bool(head[4] & 4)))
    if not length:
        return most
    return int.from_bytes(head[start - length : start], "little") + (256 if length == 2 else 0)


def _zstd_header(flags: int) -> tuple[int, int]:
    """Return the length of the size, which ends the header, and where the first block begins."""
    single = flags >> 5 & 1
    length = (single, 2, 4, 8)[flags >> 6]
    return length, 5 + (1 - single) + (0, 1, 2, 4)[flags & 3] + length


def _zstd_blocks(data: np.ndarray, start: int, checksum: bool) -> Iterator[int]:
    view, last = data.data, 0
    while not last and start + 3 <= len(view):
        block = int.from_bytes(view[start : start + 3], "little")
        last, kind, size = block & 1, block >> 1 & 3, block >> 3
        yield _ZSTD_BLOCK if kind == 2 else size
        start += 3 + (1 if kind == 1 else size)
    more = view[start + CRC_BYTES * checksum :]
    if len(more) >= 6 and (bytes(more[:4]) == _ZSTD or bytes(more[1:4]) == _SKIPPED):
        raise ValueError("it holds several Zstandard frames where one is expected")


def _growth(codec: Codec) -> float:
    """Return how much larger a filter makes an array."""
    if codec["id"] == "packbits":
        return 1 / 8
    after, before = _DTYPES.get(codec["id"], ("", ""))
    if after not in codec or before not in codec:
        return 1
    return float(np.dtype(codec[after]).itemsize / np.dtype(codec[before]).itemsize)


_DTYPES = {
    "delta": ("astype", "dtype"), "fixedscaleoffset": ("astype", "dtype"), "quantize": ("astype", "dtype"),
    "astype": ("encode_dtype", "decode_dtype"),
}  # fmt: skip
_CHECKSUMS = ("crc32c", "crc32", "adler32", "fletcher32", "jenkins_lookup3")
FILTERS = (*_DTYPES, "packbits", "shuffle", "bitround")
_DECLARED = {"zstd": _zstd_size, "blosc": _blosc_size, "lz4": _lz4_size}
_STREAMS = {
    "zlib": _inflated,
    "gzip": _file(lambda file, _: gzip.GzipFile(fileobj=file)),
    "bz2": _file(lambda file, _: bz2.BZ2File(file)),
    "lzma": _file(_lzma),
}
KNOWN = (*_CHECKSUMS, *FILTERS, *_DECLARED, *_STREAMS)
