"""Parquet files written by hand, so that what they say of themselves may be anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

FLOAT, BYTE_ARRAY, PLAIN, RLE_DICTIONARY = 4, 6, 0, 8
CODECS = {"none": 0, "snappy": 1, "gzip": 2, "zstd": 6}
DATA_PAGE, DICTIONARY_PAGE = 0, 2
Fields = Mapping[int, Any]


class I32(int):
    """A number that Thrift calls ``i32``; a plain one is its ``i64``."""


class Page(NamedTuple):
    """A page as it is stored, and numbers of its header in the place of those that are true."""

    data: bytes
    unpacked: int
    values: int
    kind: int = DATA_PAGE
    encoding: int = PLAIN
    packed: int | None = None

    def written(self) -> bytes:
        number, more = (7, {}) if self.kind == DICTIONARY_PAGE else (5, {3: I32(3), 4: I32(3)})
        packed = len(self.data) if self.packed is None else self.packed
        told = {1: I32(self.values), 2: I32(self.encoding), **more}
        return struct({1: I32(self.kind), 2: I32(self.unpacked), 3: I32(packed), number: told}) + self.data


def written(
    pages: list[Page],
    rows: int,
    codec: str = "none",
    kind: int = FLOAT,
    column: Fields | None = None,
    group: Fields | None = None,
    footer: Fields | None = None,
    place: Fields | None = None,
) -> bytes:
    """Return a file of one column ``x``; fields of its headers may be others than they should."""
    body = [page.written() for page in pages]
    start, size = 4, sum(map(len, body))
    told = {
        1: I32(kind), 2: [I32(PLAIN), I32(RLE_DICTIONARY)], 3: ["x"], 4: I32(CODECS[codec]), 5: rows, 6: size, 7: size,
        9: start + (len(body[0]) if len(body) > 1 else 0), **({11: start} if len(body) > 1 else {}), **(column or {}),
    }  # fmt: skip
    chunk = {2: start, 3: told, **(place or {})}
    of_group = {1: [chunk], 2: size, 3: rows, **(group or {})}
    text = {6: I32(0)} if kind == BYTE_ARRAY else {}
    schema = [{4: "schema", 5: I32(1)}, {1: I32(kind), 3: I32(0), 4: "x", **text}]
    end = struct({1: I32(1), 2: schema, 3: rows, 4: [of_group], **(footer or {})})
    return with_footer(b"PAR1" + b"".join(body), end)


def with_footer(body: bytes, footer: bytes, length: int | None = None) -> bytes:
    """Return a file of a footer that is as long as it is, or said to be of another length."""
    return body + footer + (len(footer) if length is None else length).to_bytes(4, "little") + b"PAR1"


def struct(fields: Fields) -> bytes:
    """Return a struct in Thrift's compact protocol."""
    out, last = b"", 0
    for number, value in sorted(fields.items()):
        step = number - last
        out += bytes([step << 4 | _kind(value)]) if step < 16 else bytes([_kind(value)]) + varint(zigzag(number))
        out, last = out + _value(value), number
    return out + b"\0"


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def zigzag(value: int) -> int:
    return (value << 1) ^ (value >> 63)


def _kind(value: Any) -> int:
    return {I32: 5, int: 6, str: 8, bytes: 8, list: 9, dict: 12}[type(value)]


def _value(value: Any) -> bytes:
    if isinstance(value, int):
        return varint(zigzag(value))
    if isinstance(value, str | bytes):
        data = value.encode() if isinstance(value, str) else value
        return varint(len(data)) + data
    if isinstance(value, dict):
        return struct(value)
    size, kind = len(value), _kind(value[0]) if value else 12
    head = bytes([size << 4 | kind]) if size < 15 else bytes([0xF0 | kind]) + varint(size)
    return head + b"".join(map(_value, value))
