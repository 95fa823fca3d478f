"""What is in a log, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from covdist.engine.plan import human_bytes
from covdist.errors import shown
from covdist.terminal.columns import TableRow, columns, wrapped

_LISTED = 20  # arrays that cannot be read, with their reasons


def contents_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Lay out a row an array, then what all take, which lack chunks, and which cannot be read."""
    readable = {path: each for path, each in found.items() if "shape" in each}
    rows = [TableRow(path, _cells(each)) for path, each in readable.items()]
    table = columns("array", ("shape", "dtype", "size", "chunks", "stored", "codecs", "checksum"), rows) if rows else ""
    remarks = (line for remark in _remarks(found, readable) for line in wrapped(remark))
    return "\n".join([table, *remarks])


def _cells(each: Mapping[str, Any]) -> tuple[str, ...]:
    dims = zip(map(shown, each["dims"]), each["shape"], strict=True)
    shape = " × ".join(f"{dim} {size:,}" for dim, size in dims) or "a number"
    chunks = " × ".join(f"{size:,}" for size in each["chunks"])
    stored = "" if each["stored_bytes"] is None else human_bytes(each["stored_bytes"])
    codecs, checksum = _codecs(each), each["checksum"] or "unverified"
    return shape, each["dtype"], human_bytes(each["bytes"]), chunks, stored, codecs, checksum


def _codecs(each: Mapping[str, Any]) -> str:
    if each["codecs"] is None:
        return ""
    return ", ".join(name for name in each["codecs"] if name != each["checksum"]) or "none"


def _remarks(found: Mapping[str, Any], readable: Mapping[str, Any]) -> Iterator[str]:
    if len(readable) > 1:
        size = human_bytes(sum(each["bytes"] for each in readable.values()))
        sizes = [each["stored_bytes"] for each in readable.values()]
        stored = "" if None in sizes else f", stored in {human_bytes(sum(sizes))}"
        yield f"in all {len(readable):,} arrays: {size}{stored}"
    holes = {path: each["missing_chunks"] for path, each in readable.items() if each["missing_chunks"]}
    if holes:
        listed = ", ".join(f"{shown(path)} {count:,}" for path, count in list(holes.items())[:_LISTED])
        yield f"chunks that the store lacks, which read as fill values or were lost: {listed}"
    lost = {path: each["unreadable"] for path, each in found.items() if "unreadable" in each}
    for path, error in list(lost.items())[:_LISTED]:
        yield f"{shown(path)} cannot be read: {error}"
    if len(lost) > _LISTED:
        yield f"and so it is with {len(lost) - _LISTED:,} more"
