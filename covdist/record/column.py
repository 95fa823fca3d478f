"""``Column``: a growing Zarr v3 array. Rows are collected in a buffer of one chunk and stored as whole chunks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np

from covdist.errors import LogError, ResultError
from covdist.record.chunks import FRAMED, PLAIN, decoded, encoded, pays
from covdist.record.dtypes import named_dtype
from covdist.record.writer import Writer
from covdist.storage.place import Place

METADATA = "zarr.json"
_FILL = {"b": False, "U": ""}  # by kind of dtype
_TEXT = "fixed_length_utf32"  # zarr's name for text of NumPy, 4 bytes a character
_TRIES = 8  # of so many chunks of noise, one is looked at whether it pays to compress it
_BEGUN = 16  # of a chunk of so many parts, the memory for all is had when one is there
_HELD = 256 << 10  # bytes that are copied without letting another thread go on, which may take long to come back from
LARGE_ROW = 4 << 20  # bytes; a chunk of one such row has no end to fill, and is written as it is


class Piece(NamedTuple):
    """What a column has to store: the rows of a chunk so far, and its new length."""

    column: Column
    start: int
    rows: np.ndarray | None  # None: those that are stored already
    length: int
    nbytes: int  # of a full chunk, which is not the column's any more, nor its memory; else 0
    memory: np.ndarray | None

    def write(self) -> None:
        """Store the rows; a reader sees the old length and ignores them."""
        if self.rows is not None:
            self.column.write(self.start, self.rows)

    def commit(self) -> None:
        """Make the rows visible by writing the new length into the metadata."""
        self.column.commit(self.length)
        if self.memory is not None:
            self.column.writer.keep(self.memory)


class Column:
    """Rows of one dtype and shape: ``put`` collects them, ``take`` returns those to store."""

    def __init__(
        self, writer: Writer, place: Place, path: str, dims: tuple[str, ...], dtype: np.dtype, row: tuple[int, ...],
        chunk_rows: int, attributes: dict[str, Any],
    ):  # fmt: skip
        self.writer, self.place, self.path, self.dims, self.dtype, self.row = writer, place, path, dims, dtype, row
        self.chunk_rows = chunk_rows
        self.attributes = attributes  # "covdist_marks": "step" or "epoch" for a coordinate; also _rank, _begun
        self.row_bytes = math.prod(row) * dtype.itemsize
        self.codecs = PLAIN if chunk_rows == 1 and self.row_bytes >= LARGE_ROW else FRAMED
        self.separator = "."  # of the keys of chunks
        self.length = 0  # rows put
        self._first = 0  # row at the start of the chunk
        self._memory: np.ndarray | None = None
        self._bytes: memoryview | None = None  # of it, unless it holds text or a dtype of ml_dtypes
        self._touched = 0  # rows for which it is used
        self._chunk: np.ndarray | None = None  # with the rows to store, mostly in memory; None: none, or those stored
        self._committed = False
        self._pays = True  # to compress the last chunk

    @classmethod
    def read(cls, writer: Writer, place: Place, path: str, metadata: dict[str, Any]) -> tuple[Self, int]:
        """Return an array that was recorded before, yet without rows, and its length."""
        length, *row = metadata["shape"]
        chunk_rows = metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
        dims, dtype = tuple(metadata["dimension_names"]), _dtype(metadata["data_type"])
        column = cls(writer, place, path, dims, dtype, tuple(row), chunk_rows, metadata["attributes"])
        column.codecs, column._committed = metadata["codecs"][1:], True
        column.separator = metadata["chunk_key_encoding"]["configuration"]["separator"]
        return column, length

    @property
    def held(self) -> int:
        """Bytes of memory that the chunk takes."""
        return self._touched * self.row_bytes

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a full chunk."""
        return self.chunk_rows * self.row_bytes

    def put(self, rows: np.ndarray, count: int) -> None:
        """Append rows, or a scalar ``count`` times; they must fit into the rest of the chunk."""
        start = self.length - self._first
        if count == self.chunk_rows and self.chunk_bytes > self.writer.room:
            # A whole chunk, for which ``submit`` waits, so that the caller cannot change it: no copy if possible.
            self._chunk = np.ascontiguousarray(np.broadcast_to(rows, (count, *self.row)), self.dtype)
        else:
            chunk = self._loaded() if self._chunk is None else self._chunk
            if self._bytes and rows.nbytes == count * self.row_bytes <= _HELD and _is_plain(rows, self.dtype):
                self._bytes[start * self.row_bytes : (start + count) * self.row_bytes] = rows.data.cast("B")
            else:
                chunk[start : start + count] = rows
            if start + count > self._touched:
                self._touch(start + count)
        self.length += count

    def take(self) -> Piece:
        """Return what is to be stored, and begin the next chunk if this one is full."""
        count = self.length - self._first
        rows = None if self._chunk is None or count == 0 else self._chunk[:count]
        if count < self.chunk_rows:
            return Piece(self, self._first, rows, self.length, 0, None)
        piece = Piece(self, self._first, rows, self.length, self.chunk_bytes, self._memory)
        self._first = self.length
        self.release()
        return piece

    def write(self, start: int, rows: np.ndarray) -> None:
        """Store the chunk that begins with a row, as far as there are rows."""
        if self._pays or start // self.chunk_rows % _TRIES == 0:
            self._pays = self.codecs != PLAIN and pays(rows)
        self.place.put(self._key(start), *encoded(rows, self.chunk_bytes, self.codecs, self._pays))

    def commit(self, length: int) -> None:
        """Write the metadata."""
        self.place.put(f"{self.path}/{METADATA}", json.dumps(self._metadata(length)).encode())
        self._committed = True

    def release(self) -> None:
        """Give the memory away, whose rows have been taken; if more come, they are read again."""
        self._chunk = self._memory = self._bytes = None
        self._touched = 0

    def check(self) -> None:
        """Raise ResultError if the array has been removed since it was committed."""
        if self._committed and not self.place.holds(f"{self.path}/{METADATA}"):
            raise removed(f"{self.path} in {self.place!r}")

    def copy(self, path: str, dims: tuple[str, ...]) -> Column:
        """Copy all rows to a new array, chunk by chunk."""
        other = Column(self.writer, self.place, path, dims, self.dtype, self.row, self.chunk_rows, self.attributes)
        other.codecs, other.separator = self.codecs, self.separator
        self.writer.wait()
        for start in range(0, self._first, self.chunk_rows):
            self.place.put(other._key(start), self.place.get(self._key(start)) or b"")
        other.length, other._first = self.length, self._first
        if count := self.length - self._first:
            other._allocated(count)[:count] = self._current(count)
        return other

    def rows(self) -> Iterator[np.ndarray]:
        """Yield all rows so far, a chunk at a time."""
        for start in range(0, self._first, self.chunk_rows):
            yield self._stored(start)
        if count := self.length - self._first:
            yield self._current(count)

    def widen(self, dtype: np.dtype) -> None:
        """Store rows that are all stored in another dtype, which holds them exactly.

        The chunks get other names, so that until the metadata are replaced, in one step, the old ones are whole.
        """
        starts = range(0, self.length, self.chunk_rows)
        old, separator = [self._key(start) for start in starts], "/" if self.separator == "." else "."
        wide = Column(self.writer, self.place, self.path, self.dims, dtype, self.row, self.chunk_rows, self.attributes)
        wide.codecs, wide.separator = self.codecs, separator
        for start, rows in zip(starts, self.rows(), strict=True):
            wide.write(start, rows.astype(dtype))
        self.release()
        self.dtype, self.row_bytes, self.separator = dtype, wide.row_bytes, separator
        self.commit(self.length)
        for key in old:
            self.place.remove(key)

    def resume(self, length: int) -> None:
        """Continue after the first ``length`` stored rows, and forget the others."""
        self.length, self._first = length, length - length % self.chunk_rows
        self._loaded()

    def values(self, length: int) -> np.ndarray:
        """Return the first ``length`` stored rows."""
        chunks = [self._stored(start) for start in range(0, length, self.chunk_rows)]
        return np.concatenate([*chunks, np.empty((0, *self.row), self.dtype)])[:length]

    def _current(self, count: int) -> np.ndarray:
        """Return the rows of the chunk so far."""
        return (self._stored(self._first) if self._chunk is None else self._chunk)[:count]

    def _loaded(self) -> np.ndarray:
        """Return the chunk, in memory and with the rows that are stored."""
        count = self.length - self._first
        chunk = self._allocated(count)
        if count:
            chunk[:count] = self._stored(self._first)[:count]
        return chunk

    def _allocated(self, count: int) -> np.ndarray:
        self._memory, used = self.writer.buffer(self.chunk_bytes)
        self._touched = self.chunk_rows if used else count
        self._chunk = self._memory[: self.chunk_bytes].view(self.dtype).reshape(self.chunk_rows, *self.row)
        self._bytes = None if self.dtype.kind == "U" or self.dtype.isbuiltin == 2 else self._memory.data
        return self._chunk

    def _touch(self, count: int) -> None:
        """Note that so many rows are used; once there are some, the others are likely to come."""
        if self._touched <= self.chunk_rows // _BEGUN < count and self._memory is not None:
            self.writer.populate(self._memory[: self.chunk_bytes])
        self._touched = count

    def _stored(self, start: int) -> np.ndarray:
        self.writer.wait()
        try:
            data = decoded(self.place.get(self._key(start)) or b"", self.chunk_bytes, self.codecs)
        except (ValueError, RuntimeError) as error:
            raise LogError(
                f"{self.path}: chunk {self._key(start)} is damaged ({error}): record into a new log."
            ) from error
        return data.view(self.dtype).reshape(self.chunk_rows, *self.row)

    def _key(self, start: int) -> str:
        return self.separator.join([f"{self.path}/c", str(start // self.chunk_rows), *("0" for _ in self.row)])

    def _metadata(self, length: int) -> dict[str, object]:
        order = {"configuration": {"endian": "little"}} if self.dtype.itemsize > 1 else {}
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [length, *self.row],
            "data_type": _data_type(self.dtype),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [self.chunk_rows, *self.row]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": self.separator}},
            "fill_value": _FILL.get(self.dtype.kind, 0),
            "codecs": [{"name": "bytes", **order}, *self.codecs],
            "dimension_names": list(self.dims),
            "attributes": self.attributes,
            "storage_transformers": [],
        }


def _is_plain(rows: np.ndarray, dtype: np.dtype) -> bool:
    return rows.dtype == dtype and rows.flags.c_contiguous


def _data_type(dtype: np.dtype) -> str | dict[str, object]:
    if dtype.kind != "U":
        return dtype.name
    return {"name": _TEXT, "configuration": {"length_bytes": dtype.itemsize}}


def _dtype(data_type: str | dict[str, Any]) -> np.dtype:
    if isinstance(data_type, str):
        return named_dtype(data_type)
    return np.dtype(f"<U{data_type['configuration']['length_bytes'] // 4}")


def removed(what: str) -> ResultError:
    """Return the error for a folder that has gone."""
    return ResultError(
        f"{what} was removed while it was recorded, so that its rows are lost: record into a new log, and leave its "
        "folder in place until the recorder is closed."
    )
