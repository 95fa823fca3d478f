"""Arrow IPC files and streams, as Feather and Hugging Face's ``save_to_disk`` write them: columns as in Parquet.

A stream has no index: the headers of its messages are read one after the other, and their bodies passed over.
Layout: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from covdist.errors import LogError, shown
from covdist.logs.chunk_bytes import read_into
from covdist.logs.files._extras import needed
from covdist.logs.files._tables import BROKEN, TableSource, called, entries, making, told
from covdist.logs.paths import OpenFile, open_file
from covdist.logs.source import Entry, Unreadable
from covdist.logs.stamps import Stamp, changed, open_unchanged, stamp

READS = "Arrow and Feather files and streams"
ENDS = (".arrow", ".feather", ".arrows")

_FILE, _NEXT, _END, _ALIGNED = b"ARROW1\0\0", b"\xff\xff\xff\xff", b"ARROW1", 8
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3  # kinds of messages
_KIND, _HEADER, _BODY, _LENGTH = 1, 2, 3, 0  # fields of a message, and of the header of a batch
_MOST_HEADER = 1 << 26
_TRUNCATED = (*BROKEN, struct.error)


class RecordBatch(NamedTuple):
    """Where the message of a batch of rows begins, its bytes, and its rows."""

    start: int
    size: int
    rows: int


class Messages(NamedTuple):
    """What the headers of a stream tell."""

    schema: bytes
    batches: tuple[RecordBatch, ...]
    starts: np.ndarray  # rows before each batch, and in all


def begins(head: bytes) -> bool:
    """Return whether a file begins as an Arrow file or stream does."""
    return head.startswith(_FILE) or (head.startswith(_NEXT) and len(head) > 12 and head[8:12] < b"\x00\x10\x00\x00")


@dataclass(frozen=True, eq=False)
class ArrowSource(TableSource):
    """Columns of an Arrow file; a batch of rows is read as a whole."""

    def pieces(self, start: int, stop: int, columns: Sequence[int]) -> Iterator[tuple[int, Sequence[Any]]]:
        with open_unchanged(self.path, self.stamp, self.name) as file:
            messages = _messages(self.path, self.stamp)
            schema, starts = _schema(self.path, messages.schema), messages.starts
            number = int(np.searchsorted(starts, start, side="right")) - 1
            wanted = range(number, int(np.searchsorted(starts, stop, side="left")))
            space = np.empty(max((messages.batches[each].size for each in wanted), default=0), np.uint8)
            for number in wanted:
                first, last = int(starts[number]), int(starts[number + 1])
                low, high = max(start, first), min(stop, last)
                if low < high:
                    batch = _batch(file, messages.batches[number], schema, space).slice(low - first, high - low)
                    yield low, [batch.column(each) for each in columns]


def variables(path: str, stem: str, prefix: str) -> Mapping[str, Entry | Unreadable]:
    """Read the headers of all messages, and of lists whose type does not tell their length the first row."""
    with open_file(path) as file:
        before = stamp(file)
        try:
            messages = _messages(path, before)
            schema = _schema(path, messages.schema)
            first = next((each for each in messages.batches if each.rows), None)
            row = None if first is None else _batch(file, first, schema, np.empty(first.size, np.uint8)).slice(0, 1)
            found = {number: told(field, partial(_first, row, number)) for number, field in enumerate(schema)}
        except _TRUNCATED as error:
            raise LogError(f"{path} is no readable Arrow file ({shown(str(error), 300)}): write it again.") from error
    sizes = [each.rows for each in messages.batches]
    rows, even = int(messages.starts[-1]), len(set(sizes[:-1])) < 2 and sizes[-1:] <= sizes[:1]

    def chunk_rows(usual: int) -> int:
        return max(1, usual // sizes[0]) * sizes[0] if even and sizes and sizes[0] else usual

    return entries(found, set(), called(path, stem), prefix, making(ArrowSource, path, before, rows, chunk_rows))


def _first(row: Any, number: int) -> Any:
    return None if row is None else row.column(number)


@functools.lru_cache(maxsize=64)
def _schema(path: str, message: bytes) -> Any:
    with needed(path):
        import pyarrow.ipc as ipc
    return ipc.read_schema(ipc.read_message(message))


def _batch(file: OpenFile, at: RecordBatch, schema: Any, space: np.ndarray) -> Any:
    """Read a batch into space that is large enough, where its values may stay."""
    import pyarrow as pa

    file.seek(at.start)
    read_into(file, space[: at.size])
    batch = pa.ipc.read_record_batch(pa.ipc.read_message(pa.py_buffer(space[: at.size])), schema)
    if batch.num_rows != at.rows:
        raise ValueError(f"a batch has {batch.num_rows:,} rows where it is said to have {at.rows:,}")
    return batch


@functools.lru_cache(maxsize=64)
def _messages(path: str, before: Stamp) -> Messages:
    """Return what a file's messages tell, looked up once per process."""
    schema, batches = b"", list[RecordBatch]()
    with open_file(path) as file:
        size = stamp(file)[0]
        at = _ALIGNED if _read(file, min(size, len(_FILE))) == _FILE else 0
        if at:
            file.seek(max(0, size - len(_END)))
            if _read(file, len(_END)) != _END:
                raise ValueError("it was cut off")
        while (found := _message(file, at, size)) is not None:
            kind, rows, end = found
            if kind == _DICTIONARY:
                raise ValueError("it has columns that are stored as dictionaries, which are not read: store values")
            if kind == _SCHEMA and not schema:
                file.seek(at)
                schema = _read(file, end - at)
            elif kind == _BATCH and schema:
                batches.append(RecordBatch(at, end - at, rows))
            else:
                raise ValueError(f"its message at byte {at:,} is of a kind that is not expected there")
            at = end
        if stamp(path) != before:
            raise changed(path, path, "it was written to")
    if not schema:
        raise ValueError("it has no schema")
    return Messages(schema, tuple(batches), np.cumsum([0, *(each.rows for each in batches)]))


def _message(file: OpenFile, at: int, size: int) -> tuple[int, int, int] | None:
    """Return the kind of a message, its rows where it is a batch, and where it ends; None at the end of a stream."""
    if at == size:
        return None  # of a stream that was not closed
    file.seek(at)
    mark, length = _read(file, 4), int.from_bytes(_read(file, 4), "little", signed=True)
    if mark == _NEXT and length == 0:
        return None
    if mark != _NEXT or not 0 < length <= min(_MOST_HEADER, size - at - 8):
        raise ValueError(f"its message at byte {at:,} was cut off or overwritten")
    header = _read(file, length)
    root = _at(header, 0, "<I")
    kind, body = _field(header, root, _KIND, "<B"), _field(header, root, _BODY, "<q")
    end = at + 8 + length + body
    if body < 0 or end > size:
        raise ValueError(f"its message at byte {at:,} is said to end at {end:,}, of {size:,} bytes that are there")
    place = _place(header, root, _HEADER)
    rows = _field(header, place + _at(header, place, "<I"), _LENGTH, "<q") if kind == _BATCH and place else 0
    if not 0 <= rows < 2**48:
        raise ValueError(f"its message at byte {at:,} is said to have {rows:,} rows")
    return kind, rows, end


def _field(header: bytes, table: int, number: int, form: str) -> int:
    """Return a number of a flatbuffers table, 0 by default."""
    place = _place(header, table, number)
    return _at(header, place, form) if place else 0


def _place(header: bytes, table: int, number: int) -> int:
    """Return where a field of a table lies, 0 if it is left out."""
    fields = table - _at(header, table, "<i")
    if not 0 <= fields < len(header) or 4 + 2 * number >= _at(header, fields, "<H"):
        return 0
    offset = _at(header, fields + 4 + 2 * number, "<H")
    return table + offset if offset else 0


def _at(header: bytes, place: int, form: str) -> int:
    return int(struct.unpack_from(form, header, place)[0])


def _read(file: OpenFile, size: int) -> bytes:
    data = file.read(size) or b""
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    if len(data) != size:
        raise ValueError(f"it ends {size - len(data):,} bytes too early")
    return data
