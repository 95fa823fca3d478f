"""Headers of the pages in a Parquet file, which tell how large a page becomes: the library believes them.

Thrift's compact protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
Pages: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from covdist.errors import shown
from covdist.logs.paths import OpenFile

MOST_PAGE = 128 << 20  # bytes; writers cut pages at 1 MiB, DuckDB at 100 MB

_SIZE, _PACKED = 2, 3  # fields of a page header: bytes once it is unpacked, and as it is stored
_LENGTHS = {1: 0, 2: 0, 3: 1, 7: 8}  # of values by their kinds: true, false, a byte, a double
_INTEGERS, _BINARY, _STRUCT = (4, 5, 6), 8, 12
_HEADER, _MOST_HEADER, _MOST_DEPTH = 1 << 12, 1 << 20, 16


class ColumnChunk(NamedTuple):
    """Where the pages of a column in a row group lie."""

    start: int
    size: int


class _Short(ValueError):
    """More of a header is needed."""


def check_pages(file: OpenFile, chunk: ColumnChunk) -> None:
    """Raise ValueError where a page of a column is said to be larger than its column, or than pages are."""
    for at, size in _pages(file, chunk):
        if size > MOST_PAGE:
            raise ValueError(
                f"its page at byte {at:,} is said to have {size:,} bytes, of which {MOST_PAGE:,} are read at most: "
                "write smaller pages"
            )


def _pages(file: OpenFile, chunk: ColumnChunk) -> Iterator[tuple[int, int]]:
    """Yield where pages begin, and how large they become."""
    at, end = chunk.start, chunk.start + chunk.size
    while at < end:
        length, fields = _header(file, at, end)
        size, packed = fields.get(_SIZE, -1), fields.get(_PACKED, -1)
        if size < 0 or not 0 <= packed <= end - at - length:
            raise ValueError(f"its page at byte {at:,} is said to have {packed:,} bytes, and {size:,} unpacked")
        yield at, size
        at += length + packed


def _header(file: OpenFile, at: int, end: int) -> tuple[int, dict[int, int]]:
    """Return the length of a page's header, and its numbers."""
    most = _HEADER
    while True:
        file.seek(at)
        data = file.read(min(most, end - at)) or b""
        try:
            return _struct(data, 0, 0)
        except _Short:
            if most >= min(end - at, _MOST_HEADER):
                raise ValueError(f"its page at byte {at:,} has no whole header") from None
            most *= 16


def _struct(data: bytes, at: int, depth: int) -> tuple[int, dict[int, int]]:
    """Return where a struct ends, and its integers by the numbers of their fields."""
    if depth > _MOST_DEPTH:
        raise ValueError("the header of a page is nested too deeply")
    found: dict[int, int] = {}
    field = 0
    while kind := _byte(data, at):
        at, step = at + 1, kind >> 4
        if step:
            field += step
        else:
            at, raw = _varint(data, at)
            field = raw >> 1 ^ -(raw & 1)
        if kind & 15 in _INTEGERS:
            at, raw = _varint(data, at)
            found[field] = raw >> 1 ^ -(raw & 1)
        else:
            at = _after(data, at, kind & 15, depth)
    return at + 1, found


def _after(data: bytes, at: int, kind: int, depth: int) -> int:
    """Return where a value that is not needed ends."""
    if kind in _LENGTHS:
        return at + _LENGTHS[kind]
    if kind in _INTEGERS:
        return _varint(data, at)[0]
    if kind == _BINARY:
        at, size = _varint(data, at)
        return at + size
    if kind == _STRUCT:
        return _struct(data, at, depth + 1)[0]
    raise ValueError(f"the header of a page has a value of the kind {shown(str(kind))}, as none has")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while (byte := _byte(data, at)) & 128:
        value, at, shift = value | (byte & 127) << shift, at + 1, shift + 7
        if shift > 63:
            raise ValueError("the header of a page has a number that is too long")
    return at + 1, value | byte << shift


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise _Short
    return data[at]
