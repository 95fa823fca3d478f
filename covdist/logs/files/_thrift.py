"""Structs in Thrift's compact protocol, of which only what is wanted is kept.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Wanted = Mapping[int, "Wanted"]  # fields by their numbers, and of structs and lists of them, theirs

_LENGTHS = {1: 0, 2: 0, 3: 1, 7: 8}  # of values by their kinds: true, false, a byte, a double
_INTEGERS, _BINARY, _LISTS, _STRUCT = (4, 5, 6), 8, (9, 10), 12
_MOST_DEPTH = 16
_NONE: Wanted = {}


class Cut(ValueError):
    """The bytes end before what they hold does."""


def struct(data: bytes, wanted: Wanted) -> tuple[int, dict[int, Any]]:
    """Return where the struct at the beginning ends, and its fields; ValueError where there is none."""
    try:
        return _struct(data, 0, wanted, 0)
    except IndexError as error:
        raise Cut("a header was cut off") from error


def _struct(data: bytes, at: int, wanted: Wanted, depth: int) -> tuple[int, dict[int, Any]]:
    if depth > _MOST_DEPTH:
        raise ValueError("a header is nested too deeply")
    found: dict[int, Any] = {}
    field = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            field += head >> 4
        else:
            at, field = _integer(data, at)
        if (kind := head & 15) in _INTEGERS and (byte := data[at]) < 128:  # as most are; a page's header has a dozen
            at, value = at + 1, byte >> 1 ^ -(byte & 1)
        else:
            at, value = _value(data, at, kind, wanted.get(field, _NONE), depth)
        if field in wanted:
            found[field] = value
    return at + 1, found


def _value(data: bytes, at: int, kind: int, wanted: Wanted, depth: int) -> tuple[int, Any]:
    """Return where a value ends, and what it is; of a kind that nobody wants, None."""
    if kind in _INTEGERS:
        return _integer(data, at)
    if kind == _BINARY:
        at, size = _varint(data, at)
        return at + size, None
    if kind == _STRUCT:
        return _struct(data, at, wanted, depth + 1)
    if kind in _LISTS:
        return _list(data, at, wanted, depth)
    if kind not in _LENGTHS:
        raise ValueError(f"a header has a value of the kind {kind}, as none has")
    return at + _LENGTHS[kind], None


def _list(data: bytes, at: int, wanted: Wanted, depth: int) -> tuple[int, list[Any]]:
    count, kind = data[at] >> 4, data[at] & 15
    at += 1
    if count == 15:
        at, count = _varint(data, at)
    if count > len(data) - at:
        raise Cut("a header has a list that is longer than itself")
    found = []
    for _ in range(count):
        at, value = (at + 1, None) if kind in (1, 2) else _value(data, at, kind, wanted, depth + 1)
        if wanted:
            found.append(value)
    return at, found


def _integer(data: bytes, at: int) -> tuple[int, int]:
    at, raw = _varint(data, at)
    return at, raw >> 1 ^ -(raw & 1)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 128:
        return at + 1, byte
    value = shift = 0
    while byte & 128:
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if shift > 63:
            raise ValueError("a header has a number that is too long")
        byte = data[at]
    return at + 1, value | byte << shift
