"""JSON of headers and index files, which may be hostile: bounded before it is parsed."""

from __future__ import annotations

import json
from typing import Any

from covdist.errors import LogError, shown

_MOST_VALUES = 1_000_000  # each takes a hundred bytes or more once parsed
_MOST_TEXT = 32 << 20


def mapping(data: bytes, place: str) -> dict[str, Any]:
    """Return the mapping that a JSON text holds; LogError where it is none, is too large, or has a key twice."""
    values = data.count(b",") + data.count(b"[") + data.count(b"{")
    if len(data) - data.count(b" ") > _MOST_TEXT or values > _MOST_VALUES:
        raise LogError(
            f"{place} has {len(data):,} bytes and {values:,} values, more than that of a log has ({_MOST_TEXT:,} and "
            f"{_MOST_VALUES:,}): split the file."
        )
    try:
        content = json.loads(data.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise LogError(f"{place} is not valid JSON ({shown(str(error))}): write it again.") from error
    if not isinstance(content, dict):
        raise LogError(f"{place} is {type(content).__name__}, where a mapping is expected: write it again.")
    return content


def is_count(value: object) -> bool:
    """Return whether a value is a whole number that is not negative and that an offset can have."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def is_shape(value: object) -> bool:
    """Return whether a value is a list of lengths that numpy can have."""
    return isinstance(value, list) and len(value) <= 64 and all(map(is_count, value))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has the key {next(name for name in names if names.count(name) > 1)!r} twice")
    return found
