"""What a Parquet file says of its columns and pages: the library believes it, or ends the process where it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from covdist.logs.files._thrift import Cut, Wanted, struct
from covdist.logs.paths import OpenFile

MOST_PAGE = 128 << 20  # bytes; writers cut pages at 1 MiB, DuckDB at 100 MB

_HEADER, _MOST_HEADER = 1 << 12, 1 << 20
# Fields by their numbers: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
_GROUPS, _COLUMNS, _ELSEWHERE, _COLUMN, _STATISTICS, _NULLS = 4, 1, 1, 3, 12, 3
_UNPACKED, _PACKED, _DATA, _DICTIONARY = 6, 7, 9, 11  # of a column: its bytes, where its pages begin
_OF_COLUMN: Wanted = {_UNPACKED: {}, _PACKED: {}, _DATA: {}, _DICTIONARY: {}, _STATISTICS: {_NULLS: {}}}
_OF_FOOTER: Wanted = {_GROUPS: {_COLUMNS: {_ELSEWHERE: {}, _COLUMN: _OF_COLUMN}}}
_SIZE, _STORED = 2, 3  # of a page: its bytes once it is unpacked, and as it is stored
_OF_PAGE: Wanted = {_SIZE: {}, _STORED: {}}


class ColumnChunk(NamedTuple):
    """A column of a row group: where its pages lie, their bytes unpacked, and nulls, None where nothing tells."""

    start: int
    size: int
    unpacked: int
    nulls: int | None


def column_chunks(footer: bytes) -> list[list[ColumnChunk]]:
    """Return the columns of each row group; ValueError where they are not told, or lie in other files."""
    groups = struct(footer, _OF_FOOTER)[1].get(_GROUPS, [])
    try:
        return [[_column(each) for each in group.get(_COLUMNS, [])] for group in groups]
    except (AttributeError, TypeError) as error:
        raise ValueError("its footer has numbers where lists are expected, or lists for numbers") from error


def _column(told: dict[int, Any]) -> ColumnChunk:
    if _ELSEWHERE in told or _COLUMN not in told:
        raise ValueError("a column is said to lie in another file, where covdist never looks")
    column = told[_COLUMN]
    starts = [column.get(_DATA, -1), *([column[_DICTIONARY]] if _DICTIONARY in column else [])]
    nulls = column.get(_STATISTICS, {}).get(_NULLS)
    return ColumnChunk(min(starts), column.get(_PACKED, -1), column.get(_UNPACKED, -1), nulls)


def check_pages(file: OpenFile, chunk: ColumnChunk, size: int) -> None:
    """Raise ValueError where a column is said to lie outside a file, or a page to be larger than pages are."""
    if chunk.start < 4 or chunk.size < 0 or chunk.start + chunk.size > size - 8:
        raise ValueError(
            f"a column is said to have {chunk.size:,} bytes at {chunk.start:,}, of {size:,} bytes that are there"
        )
    for at, unpacked in _pages(file, chunk):
        if unpacked > MOST_PAGE:
            raise ValueError(
                f"its page at byte {at:,} is said to have {unpacked:,} bytes, of which {MOST_PAGE:,} are read at most: "
                "write smaller pages"
            )


def _pages(file: OpenFile, chunk: ColumnChunk) -> Iterator[tuple[int, int]]:
    """Yield where pages begin, and how large they become."""
    at, end = chunk.start, chunk.start + chunk.size
    while at < end:
        length, fields = _header(file, at, end)
        size, stored = fields.get(_SIZE, -1), fields.get(_STORED, -1)
        if size < 0 or not 0 <= stored <= end - at - length:
            raise ValueError(f"its page at byte {at:,} is said to have {stored:,} bytes, and {size:,} unpacked")
        yield at, size
        at += length + stored


def _header(file: OpenFile, at: int, end: int) -> tuple[int, dict[int, Any]]:
    """Return the length of a page's header, and what it tells."""
    most = _HEADER
    while True:
        file.seek(at)
        data = file.read(min(most, end - at)) or b""
        try:
            return struct(data, _OF_PAGE)
        except Cut:
            if most >= min(end - at, _MOST_HEADER):
                raise ValueError(f"its page at byte {at:,} has no whole header") from None
            most *= 16
