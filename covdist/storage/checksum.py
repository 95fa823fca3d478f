"""Bytes and JSON with a checksum, so that torn or damaged files read as None. Never pickle."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import google_crc32c

_MAGIC = b"covdist1"
_HEAD = struct.Struct("<8sIQ")  # magic, length of the description, length of the body
_CRC = struct.Struct("<I")
_NO_JSON = (ValueError, RecursionError)  # the second of what is nested too deeply


def checksummed(description: Mapping[str, object], body: bytes) -> bytes:
    """Return a JSON-like description and a body as bytes, followed by the crc32c of both."""
    text = json.dumps(description, sort_keys=True).encode()
    content = b"".join((_HEAD.pack(_MAGIC, len(text), len(body)), text, body))
    return content + _CRC.pack(google_crc32c.value(content))


def verified(data: bytes | None) -> tuple[dict[str, Any], memoryview] | None:
    """Return the description and body that ``checksummed`` was given, None if a single bit differs."""
    if data is None or len(data) < _HEAD.size + _CRC.size:
        return None
    view = memoryview(data)
    magic, text, body = _HEAD.unpack_from(view)
    if magic != _MAGIC or len(view) != _HEAD.size + text + body + _CRC.size:
        return None
    if google_crc32c.value(bytes(view[: -_CRC.size])) != _CRC.unpack(view[-_CRC.size :])[0]:
        return None
    start = _HEAD.size + text
    try:
        description = json.loads(bytes(view[_HEAD.size : start]))
    except _NO_JSON:
        return None
    return (description, view[start : start + body]) if isinstance(description, dict) else None


def to_json(content: Mapping[str, object]) -> bytes:
    """Return content as readable JSON that includes a crc32c of itself."""
    return json.dumps({**content, "crc32c": _crc(content)}, indent=1).encode() + b"\n"


def from_json(data: bytes | None) -> dict[str, Any] | None:
    """Return the content that ``to_json`` was given, None if it was torn or changed."""
    try:
        content = json.loads(data or b"")
        crc = content.pop("crc32c")
        return content if crc == _crc(content) else None
    except (*_NO_JSON, KeyError, AttributeError, TypeError):
        return None


def _crc(content: Mapping[str, object]) -> str:
    # Tuples and lists, or integer keys and their text, are the same thing in JSON.
    normalised = json.loads(json.dumps(content))
    return f"{google_crc32c.value(json.dumps(normalised, sort_keys=True).encode()):08x}"
