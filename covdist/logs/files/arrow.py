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
from covdist.logs.files._columns import TEXT, told
from covdist.logs.files._extras import needed
from covdist.logs.files._tables import BROKEN, TableSource, called, entries, making
from covdist.logs.paths import OpenFile, is_url, open_file
from covdist.logs.source import Entry, Unreadable
from covdist.logs.stamps import Stamp, changed, open_unchanged, stamp

READS = "Arrow and Feather files and streams"
ENDS = (".arrow", ".feather", ".arrows")

_FILE, _NEXT, _END, _ALIGNED = b"ARROW1\0\0", b"\xff\xff\xff\xff", b"ARROW1", 8
_OLD = b"FEA1"
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3  # kinds of messages
_KIND, _HEADER, _BODY = 1, 2, 3  # fields of a message
_LENGTH, _NODES, _COMPRESSION = 0, 1, 3  # fields of the header of a batch
_MOST_HEADER, _MOST_ROOT = 1 << 26, 1 << 12
_MOST_WORDS = 8 << 20  # bytes of dictionaries, which are read again for each batch
_TRUNCATED = (*BROKEN, struct.error)


class Message(NamedTuple):
    """Where a message begins, the bytes of its header and in all; of a batch, its rows, and whether it is packed."""

    kind: int
    start: int
    header: int
    size: int
    rows: int
    packed: bool


class Messages(NamedTuple):
    """What the headers of a stream tell."""

    schema: bytes
    batches: tuple[Message, ...]
    starts: np.ndarray  # rows before each batch, and in all
    nulls: np.ndarray  # of each column, and of what is in its lists, in all batches
    words: tuple[Message, ...]  # texts that columns tell by their numbers, of the batches after them


def begins(head: bytes) -> bool:
    """Return whether a file begins as an Arrow file or stream does."""
    if not head.startswith(_NEXT) or len(head) < 12:
        return head.startswith(_FILE)
    length, root = (int.from_bytes(head[start : start + 4], "little") for start in (4, 8))
    return 0 < length <= _MOST_HEADER and 4 <= root < min(length, _MOST_ROOT)


@dataclass(frozen=True, eq=False)
class ArrowSource(TableSource):
    """Columns of an Arrow file; values that lie there as numpy has them are read where they go, else whole batches."""

    @property
    def buffer_size(self) -> int:
        """Bytes of a chunk; texts are none that lie in a buffer."""
        return 0 if self.dtype == TEXT else self.chunk_bytes

    def pieces(self, start: int, stop: int, columns: Sequence[int]) -> Iterator[tuple[int, Sequence[Any]]]:
        with open_unchanged(self.path, self.stamp, self.name) as file:
            schema, wanted = self._wanted(start, stop)
            space = np.empty(max((each.size for each, _ in wanted), default=0), np.uint8)
            for each, first in wanted:
                batch, low = _batch(file, each, schema, space, self._words(each)), max(start, first)
                batch = batch.slice(low - first, min(stop, first + each.rows) - low)
                yield low, [batch.column(number) for number in columns]

    def below(self, start: int, stop: int, buffer: np.ndarray | None) -> np.ndarray:
        if self.dtype.kind in "iuf" and not is_url(self.path):  # where each look costs a request
            rows = self.space((stop - start, *self.shape[1:]), buffer)
            if not rows.size or self._filled(rows, start, stop):
                return rows
        return super().below(start, stop, buffer)

    def _filled(self, rows: np.ndarray, start: int, stop: int) -> bool:
        """Read rows without a copy; False where they do not lie in the file as numpy has them."""
        data, row = rows.reshape(-1).view(np.uint8), rows.nbytes // len(rows)
        with open_unchanged(self.path, self.stamp, self.name) as file:
            schema, wanted = self._wanted(start, stop)
            moved = any(each.packed or self._words(each) for each, _ in wanted)
            if moved or not _as_numpy(schema[self.columns[0]].type, self.dtype):
                return False
            space = np.empty(max(each.size for each, _ in wanted), np.uint8)
            for each, first in wanted:
                array = _unread(file, each, schema, space).column(self.columns[0])
                place = _place_of(array, row * each.rows, space)
                if place is None:
                    return False
                low, high = max(start, first), min(stop, first + each.rows)
                file.seek(each.start + place + (low - first) * row)
                read_into(file, data[(low - start) * row : (high - start) * row])
        return True

    def _words(self, batch: Message) -> tuple[Message, ...]:
        return _before(batch, _messages(self.path, self.stamp))

    def _wanted(self, start: int, stop: int) -> tuple[Any, list[tuple[Message, int]]]:
        """Return the schema, and the batches that hold some of the rows, each with the number of its first row."""
        messages = _messages(self.path, self.stamp)
        first, last = np.searchsorted(messages.starts, (start, stop), side="right") - 1
        numbers = range(int(first), min(int(last) + 1, len(messages.batches)))
        found = [(messages.batches[number], int(messages.starts[number])) for number in numbers]
        return _schema(self.path, messages.schema), [each for each in found if each[0].rows and each[1] < stop]


def variables(path: str, stem: str, prefix: str) -> Mapping[str, Entry | Unreadable]:
    """Read the headers of all messages, and of lists whose type does not tell their length the first row."""
    with open_file(path) as file:
        before = stamp(file)
        try:
            messages = _messages(path, before)
            schema = _schema(path, messages.schema)
            first = next((each for each in messages.batches if each.rows), None)
            row = None
            if first is not None:
                space = np.empty(first.size, np.uint8)
                row = _batch(file, first, schema, space, _before(first, messages)).slice(0, 1)
            found = {
                number: told(field, partial(_first, row, number), partial(_nulls, messages, schema, number))
                for number, field in enumerate(schema)
            }
        except _TRUNCATED as error:
            raise LogError(
                f"{path} is not a readable Arrow file ({shown(str(error), 300)}): write it again."
            ) from error
    sizes = [each.rows for each in messages.batches]
    rows, even = int(messages.starts[-1]), len(set(sizes[:-1])) < 2 and sizes[-1:] <= sizes[:1]

    def chunk_rows(usual: int) -> int:
        return max(1, usual // sizes[0]) * sizes[0] if even and sizes and sizes[0] else usual

    return entries(found, set(), path, called(path, stem), prefix, making(ArrowSource, path, before, rows, chunk_rows))


def _first(row: Any, number: int) -> Any:
    return None if row is None else row.column(number)


@functools.lru_cache(maxsize=64)
def _schema(path: str, message: bytes) -> Any:
    with needed(path):
        import pyarrow.ipc as ipc
    return ipc.read_schema(ipc.read_message(message))


def _batch(file: OpenFile, at: Message, schema: Any, space: np.ndarray, words: Sequence[Message]) -> Any:
    """Read a batch into space that is large enough, where its values may stay, and words that it tells by number."""
    file.seek(at.start)
    read_into(file, space[: at.size])
    return _with_words(file, at, schema, space, words) if words else _parsed(at, schema, space)


def _before(batch: Message, messages: Messages) -> tuple[Message, ...]:
    """Return the words that hold for a batch."""
    return tuple(each for each in messages.words if each.start < batch.start)


def _with_words(file: OpenFile, at: Message, schema: Any, space: np.ndarray, words: Sequence[Message]) -> Any:
    """Return a batch as the next one of a stream that has no others before it."""
    import pyarrow as pa

    parts = [schema.serialize().to_pybytes()]
    for each in words:
        file.seek(each.start)
        parts.append(_read(file, each.size))
    with pa.ipc.open_stream(pa.py_buffer(b"".join([*parts, space[: at.size].tobytes()]))) as stream:
        return _checked(stream.read_next_batch(), at)


def _unread(file: OpenFile, at: Message, schema: Any, space: np.ndarray) -> Any:
    """Read the header of a batch alone: its arrays tell where their values would lie in the space."""
    file.seek(at.start)
    read_into(file, space[: at.header])
    return _parsed(at, schema, space)


def _parsed(at: Message, schema: Any, space: np.ndarray) -> Any:
    import pyarrow as pa

    return _checked(pa.ipc.read_record_batch(pa.ipc.read_message(pa.py_buffer(space[: at.size])), schema), at)


def _checked(batch: Any, at: Message) -> Any:
    if batch.num_rows != at.rows:
        raise ValueError(f"a batch has {batch.num_rows:,} rows where it is said to have {at.rows:,}")
    return batch


def _as_numpy(kind: Any, dtype: np.dtype) -> bool:
    """Return whether a column holds numbers, or lists of a fixed length of them, as numpy has this dtype."""
    import pyarrow as pa

    while isinstance(kind, pa.BaseExtensionType) or pa.types.is_fixed_size_list(kind):
        kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind.value_type
    return bool(kind == pa.from_numpy_dtype(dtype))


def _place_of(array: Any, nbytes: int, space: np.ndarray) -> int | None:
    """Return where in a batch the values of an array lie; None where some are not there, or they are moved."""
    array.validate()
    *others, data = array.buffers()
    place = 0 if data is None else data.address - space.ctypes.data
    inside = data is not None and 0 <= place <= space.nbytes - nbytes and data.size >= nbytes
    return place if inside and not any(others) else None


@functools.lru_cache(maxsize=64)
def _messages(path: str, before: Stamp) -> Messages:
    """Return what a file's messages tell, looked up once per process."""
    schema, batches, words, nulls = b"", list[Message](), list[Message](), np.zeros(1, np.int64)
    with open_file(path) as file:
        size = stamp(file)[0]
        head = _read(file, min(size, len(_FILE)))
        if head.startswith(_OLD):
            raise ValueError("it is of Feather's first version, as which nothing writes any more")
        at = _ALIGNED if head == _FILE else 0
        if at:
            file.seek(max(0, size - len(_END)))
            if _read(file, len(_END)) != _END:
                raise ValueError("it was cut off")
        while (message := _message(file, at, size)) is not None:
            found, header = message
            if found.kind == _SCHEMA and not schema:
                file.seek(at)
                schema = _read(file, found.size)
            elif found.kind == _DICTIONARY and schema:
                words.append(found)
            elif found.kind == _BATCH and schema:
                batches.append(found)
                nulls = nulls + _nulls_in(header)
            else:
                raise ValueError(f"its message at byte {at:,} is of a kind that is not expected there")
            at += found.size
        if stamp(path) != before:
            raise changed(path, path, "it was written to")
    if not schema:
        raise ValueError("it was cut off or overwritten before its schema")
    if (size := sum(each.size for each in words)) > _MOST_WORDS:
        raise ValueError(f"it has {size:,} bytes of dictionaries, of which {_MOST_WORDS:,} are read: store values")
    return Messages(schema, tuple(batches), np.cumsum([0, *(each.rows for each in batches)]), nulls, tuple(words))


def _message(file: OpenFile, at: int, size: int) -> tuple[Message, bytes] | None:
    """Return what the header of a message tells, and the header; None at the end of a stream."""
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
        raise ValueError(
            f"it was cut off: its message at byte {at:,} ends at {end:,}, of {size:,} bytes that are there"
        )
    table = _table(header) if kind == _BATCH else 0
    rows = _field(header, table, _LENGTH, "<q") if table else 0
    packed = bool(table and _place(header, table, _COMPRESSION))
    if not 0 <= rows < 2**48:
        raise ValueError(f"its message at byte {at:,} is said to have {rows:,} rows")
    return Message(kind, at, 8 + length, end - at, rows, packed), header


def _table(header: bytes) -> int:
    """Return where in the header of a message that of its batch lies, 0 if there is none."""
    place = _place(header, _at(header, 0, "<I"), _HEADER)
    return place + _at(header, place, "<I") if place else 0


def _nulls_in(header: bytes) -> np.ndarray:
    """Return how many values are not there: of each column of a batch, and below each of what is in its lists."""
    table = _table(header)
    place = _place(header, table, _NODES) if table else 0
    if not place:
        return np.zeros(1, np.int64)
    start = place + _at(header, place, "<I")
    return np.frombuffer(header, "<i8", 2 * _at(header, start, "<I"), start + 4)[1::2]


def _nulls(messages: Messages, schema: Any, number: int) -> int:
    """Return how many values of a column are not there, 0 where that is not known."""
    sizes = [_nodes(field.type) for field in schema]
    before, size = sum(sizes[:number]), sizes[number]
    return int(messages.nulls[before + size - 1]) if len(messages.nulls) == sum(sizes) else 0


def _nodes(kind: Any) -> int:
    """Return how many entries a column has in the header of a batch: its own, and those of what is in its lists."""
    import pyarrow as pa

    inner = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return 1 + sum(_nodes(inner.field(number).type) for number in range(inner.num_fields))


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
        raise ValueError(f"it was cut off {size - len(data):,} bytes too early")
    return data
