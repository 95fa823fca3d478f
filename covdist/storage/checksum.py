"""Checksummed bytes and JSON: what is torn or damaged reads as nothing. Never pickle."""

from __future__ import annotations

import json
import struct
from typing import Any

import google_crc32c

_MAGIC = b"covdist1"
_HEAD = struct.Struct("<8sIQ")  # magic, length of the description, length of the body
_CRC = struct.Struct("<I")


def pack(about: dict[str, Any], body: bytes) -> bytes:
    """Return one piece of bytes: a description, a body, and a crc32c of it all."""
    text = json.dumps(about, sort_keys=True).encode()
    framed = b"".join((_HEAD.pack(_MAGIC, len(text), len(body)), text, body))
    return framed + _CRC.pack(google_crc32c.value(framed))


def unpack(data: bytes | None) -> tuple[dict[str, Any], memoryview] | None:
    """Return what ``pack`` was given, or nothing if a single bit differs."""
    if data is None or len(data) < _HEAD.size + _CRC.size:
        return None
    view = memoryview(data)
    magic, text, body = _HEAD.unpack_from(view)
    if magic != _MAGIC or len(view) != _HEAD.size + text + body + _CRC.size:
        return None
    if google_crc32c.value(bytes(view[: -_CRC.size])) != _CRC.unpack(view[-_CRC.size :])[0]:
        return None
    start = _HEAD.size + text
    return json.loads(bytes(view[_HEAD.size : start])), view[start : start + body]


def to_json(content: dict[str, Any]) -> bytes:
    """Return readable JSON that holds a crc32c of its own content."""
    return json.dumps({**content, "crc32c": _crc(content)}, indent=1).encode() + b"\n"


def from_json(data: bytes | None) -> dict[str, Any] | None:
    """Return the content, or nothing if it is torn or was changed."""
    try:
        content = json.loads(data or b"")
        crc = content.pop("crc32c")
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    return content if crc == _crc(content) else None


def _crc(content: dict[str, Any]) -> str:
    # Tuples and lists, or integer keys and their text, are the same thing in JSON.
    same = json.loads(json.dumps(content))
    return f"{google_crc32c.value(json.dumps(same, sort_keys=True).encode()):08x}"
