"""``Column``: a growing Zarr v3 array. Rows are collected in a buffer of one chunk and stored as whole chunks."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np

from covdist.errors import LogError, ResultError
from covdist.record.chunks import FRAMED, PLAIN, Chunk, Framed, Loose, decoded, encoded, framed, paid, pays
from covdist.record.lent import Given, Lent
from covdist.record.newest import LEAST
from covdist.record.options.dtypes import data_type, dtype_of
from covdist.record.shards import INDEX, Files, Shards
from covdist.record.writer import Writer
from covdist.storage.pages import Data, Parts
from covdist.storage.place import Folder, Place

METADATA = "zarr.json"
_FILL = {"b": False, "U": ""}  # by kind of dtype
_TRIES = 8  # of so many chunks of noise, one is looked at whether it pays to compress it
_BEGUN = 16  # of a chunk of so many parts, the memory for all is had when one is there
_FAST = 200e6  # bytes a second that a disk writes at least which is not slow
LARGE_ROW = 4 << 20  # bytes; a chunk of one such row has no end to fill, and is written as it is


class Piece(NamedTuple):
    """What a column has to store: the rows of a chunk so far, and its new length."""

    column: Column
    start: int
    chunk: Chunk | None  # with the rows; None: those are stored already
    length: int
    nbytes: int  # of a full chunk, which is not the column's any more, nor its memory; else 0
    memory: np.ndarray | None

    def write(self) -> None:
        """Store the rows; a reader sees the old length and ignores them."""
        if self.chunk is not None:
            self.column.write(self.start, self.chunk, self.length - self.start)

    def commit(self) -> None:
        """Make the rows visible by writing the new length into the metadata."""
        self.column.commit(self.length)
        if self.memory is not None:
            self.column.writer.keep(self.memory)


class Column:
    """Rows of one dtype and shape: ``put`` collects them, ``take`` returns those to store."""

    def __init__(
        self, writer: Writer, place: Place, path: str, dims: tuple[str, ...], dtype: np.dtype, row: tuple[int, ...],
        chunk_rows: int, attributes: dict[str, Any], shard: int | None = None,
    ):  # fmt: skip
        self.writer, self.place, self.path, self.dims, self.row = writer, place, path, dims, row
        self.chunk_rows = chunk_rows
        self._set_dtype(dtype)
        self.attributes = attributes  # "covdist_marks": "step" or "epoch" for a coordinate; also _rank, _begun
        self.codecs = PLAIN if chunk_rows == 1 and self.row_bytes >= LARGE_ROW else FRAMED
        self.separator = "."  # of the keys of chunks
        self.files = self._files(shard)
        self.length = 0  # rows put
        self._first = 0  # row at the start of the chunk
        self._memory: np.ndarray | None = None
        self._touched = 0  # rows for which it is used
        self._chunk: Chunk | None = None  # with the rows to store, mostly in memory; None: none, or those stored
        self._committed = False
        self._of: tuple[object, ...] | None = None  # what ``_text`` says in JSON
        self._text = ""
        self._pays: bool | None = None  # to compress chunks, as the last one tells; None: it tells nothing

    @classmethod
    def read(cls, writer: Writer, place: Place, path: str, metadata: dict[str, Any]) -> tuple[Self, int]:
        """Return an array that was recorded before, yet without rows, and its length."""
        length, *row = metadata["shape"]
        chunk_rows = rows = metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
        first, *codecs = metadata["codecs"]
        if first["name"] == "sharding_indexed":
            chunk_rows, (first, *codecs) = first["configuration"]["chunk_shape"][0], first["configuration"]["codecs"]
        dims, dtype = tuple(metadata["dimension_names"]), dtype_of(metadata["data_type"])
        column = cls(writer, place, path, dims, dtype, tuple(row), chunk_rows, metadata["attributes"])
        if rows != chunk_rows or metadata["codecs"][0]["name"] == "sharding_indexed":
            column.files = column._files(rows // chunk_rows)
        column.codecs, column._committed = codecs, True
        column.separator = metadata["chunk_key_encoding"]["configuration"]["separator"]
        return column, length

    @property
    def committed(self) -> list[str]:
        """Names of the files that must be there: the metadata, once they are."""
        return [f"{self.path}/{METADATA}"] if self._committed else []

    @property
    def held(self) -> int:
        """Bytes of memory that the chunk takes."""
        return self._touched * self.row_bytes

    @property
    def _framed(self) -> bool:
        return framed(self.row, self.chunk_bytes, self.codecs)

    def _set_dtype(self, dtype: np.dtype) -> None:
        self.dtype, self.row_bytes = dtype, math.prod(self.row) * dtype.itemsize
        self.chunk_bytes = self.chunk_rows * self.row_bytes  # of a full one

    def put(self, rows: Given, count: int) -> None:
        """Append ``count`` rows, which must fit into the rest of the chunk."""
        if count == self.chunk_rows and self.chunk_bytes > self.writer.room and not self._framed:
            # A whole chunk, for which ``submit`` waits, so that the caller cannot change it: no copy if possible.
            self._chunk = Loose(np.ascontiguousarray(rows, self.dtype))
            self.length += count
            return
        chunk, start = self.room(count)
        if isinstance(rows, Lent):
            self.writer.borrow(rows, chunk, start)
        else:
            chunk.put(start, rows)

    def room(self, count: int) -> tuple[Chunk, int]:
        """Append rows that are filled in before they are stored: return their chunk, and the first of them in it."""
        start = self.length - self._first
        chunk = self._loaded() if self._chunk is None else self._chunk
        if start + count > self._touched:
            self._touch(start + count)
        self.length += count
        return chunk, start

    def take(self) -> Piece:
        """Return what is to be stored, and begin the next chunk if this one is full."""
        count = self.length - self._first
        chunk = self._chunk if count else None
        if count < self.chunk_rows:
            return Piece(self, self._first, chunk, self.length, 0, None)
        piece = Piece(self, self._first, chunk, self.length, self.chunk_bytes, self._memory)
        self._first = self.length
        self.release()
        return piece

    def write(self, start: int, chunk: Chunk, count: int) -> None:
        """Store the chunk that begins with a row, as far as there are rows."""
        nbytes = count * self.row_bytes
        if self._pays is None or (not self._pays and start // self.chunk_rows % _TRIES == 0):
            self._pays = self.codecs != PLAIN and pays(chunk, nbytes)
        if isinstance(chunk, Framed) and not self._pays:
            pages = chunk.pages(nbytes)
            # Of a disk that is slower than the rows come, the system's cache takes some of them.
            self._put(start, Parts(pages.parts) if self.writer.is_behind() else pages)
        else:
            data = encoded(chunk.data(0, nbytes), self.chunk_bytes, self.codecs, self._pays)
            self._put(start, data)
            self._pays = self._pays and paid(nbytes, data.nbytes)

    def commit(self, length: int) -> None:
        """Write the metadata."""
        name, data = f"{self.path}/{METADATA}", self._described(length)
        if self._committed:
            self.place.swap(name, Parts([data]), name)
        else:
            self.place.put(name, data)
        self._committed = True

    def finish(self) -> None:
        """Leave nothing that only the next rows would have needed."""
        self.files.finish()
        if self._committed:
            self.place.end_swaps(f"{self.path}/{METADATA}")

    def release(self) -> None:
        """Give the memory away, whose rows have been taken; if more come, they are read again."""
        self._chunk = self._memory = None
        self._touched = 0

    def check(self) -> None:
        """Raise ResultError if the array has been removed since it was committed."""
        if not self.place.holds(*self.committed):
            raise removed(f"{self.path} in {self.place!r}")

    def copy(self, path: str, dims: tuple[str, ...]) -> Column:
        """Copy all rows to a new array, chunk by chunk."""
        other = self._like(path, dims, self.dtype)
        other.separator = self.separator
        self.writer.wait()
        for start in range(0, self._first, self.chunk_rows):
            other._put(start, Parts([self._got(start)]))
        other.length, other._first = self.length, self._first
        if count := self.length - self._first:
            other._allocated(count).put(0, self._current(count))
        return other

    def _like(self, path: str, dims: tuple[str, ...], dtype: np.dtype) -> Column:
        rows, shard = self.chunk_rows, self.files.count
        other = Column(self.writer, self.place, path, dims, dtype, self.row, rows, self.attributes, shard)
        other.codecs = self.codecs
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
        old, separator = {self._key(start) for start in starts}, "/" if self.separator == "." else "."
        wide = self._like(self.path, self.dims, dtype)
        wide.separator = separator
        for start, rows in zip(starts, self.rows(), strict=True):
            wide.write(start, Loose(rows.astype(dtype)), len(rows))
        self.release()
        self.separator = separator
        self._set_dtype(dtype)
        self.files.finish()
        self.files = self._files(self.files.count)
        self.commit(self.length)
        for key in old:
            self.place.remove(key)

    def resume(self, length: int) -> None:
        """Continue after the first ``length`` stored rows, and forget the others."""
        self.length, self._first = length, length - length % self.chunk_rows
        self.files.forget(-(-length // self.chunk_rows))
        self._loaded()

    def values(self, length: int) -> np.ndarray:
        """Return the first ``length`` stored rows."""
        chunks = [self._stored(start) for start in range(0, length, self.chunk_rows)]
        return np.concatenate([*chunks, np.empty((0, *self.row), self.dtype)])[:length]

    def _current(self, count: int) -> np.ndarray:
        """Return the rows of the chunk so far."""
        self.writer.wait()
        return self._stored(self._first)[:count] if self._chunk is None else self._chunk.part(0, count)

    def _loaded(self) -> Chunk:
        """Return the chunk, in memory and with the rows that are stored."""
        count = self.length - self._first
        chunk = self._allocated(count)
        if count:
            chunk.put(0, self._stored(self._first)[:count])
        return chunk

    def _allocated(self, count: int) -> Chunk:
        self._memory, used = self.writer.buffer(self.chunk_bytes)
        self._touched = self.chunk_rows if used else count
        kind = Framed if self._framed else Loose.of
        self._chunk = kind(self._memory, (self.chunk_rows, *self.row), self.dtype)
        return self._chunk

    def _touch(self, count: int) -> None:
        """Note that so many rows are used; once there are some, the others are likely to come."""
        if self._touched <= self.chunk_rows // _BEGUN < count and self._memory is not None:
            self.writer.populate(self._memory[: self.chunk_bytes])
        self._touched = count

    def _stored(self, start: int) -> np.ndarray:
        self.writer.wait()
        try:
            data = decoded(self._got(start), self.chunk_bytes, self.codecs)
        except (ValueError, RuntimeError) as error:
            raise LogError(
                f"{self.path}: chunk {self._key(start)} is damaged ({error}): record into a new log."
            ) from error
        return data.view(self.dtype).reshape(self.chunk_rows, *self.row)

    def _files(self, shard: int | None) -> Files | Shards:
        # What cannot be written to in part holds one chunk each.
        if shard and isinstance(self.place, Folder):
            return Shards(self.place, self._file, shard, self.chunk_bytes)
        return Files(self.place, self._file, f"{self.path}/c")

    def _put(self, start: int, data: Data) -> None:
        begun = time.monotonic()
        name, at, cached = self.files.put(start // self.chunk_rows, data)
        if not cached:
            self.writer.slow = time.monotonic() - begun > data.nbytes / _FAST
        elif data.nbytes >= LEAST:
            self.writer.newest.add(self.place, name, at, data.nbytes)

    def _got(self, start: int) -> bytes:
        return self.files.get(start // self.chunk_rows)

    def _key(self, start: int) -> str:
        return self._file(start // self.chunk_rows // (self.files.count or 1))

    def _file(self, number: int) -> str:
        return self.separator.join([f"{self.path}/c", str(number), *("0" for _ in self.row)])

    def _described(self, length: int) -> bytes:
        """Return the metadata; all but the length is the same from one commit to the next."""
        of = (self.dims, self.dtype, self.separator, self.attributes, self.codecs, self.files)
        if of != self._of:
            self._of, self._text = of, json.dumps(self._metadata()).removesuffix("}")
        return f'{self._text}, "shape": {[length, *self.row]}}}'.encode()

    def _metadata(self) -> dict[str, object]:
        """Return all but the shape."""
        order = {"configuration": {"endian": "little"}} if self.dtype.itemsize > 1 else {}
        chunk, codecs = [self.chunk_rows, *self.row], [{"name": "bytes", **order}, *self.codecs]
        if self.files.count:
            inner = {"chunk_shape": chunk, "codecs": codecs, "index_codecs": INDEX, "index_location": "start"}
            codecs = [{"name": "sharding_indexed", "configuration": inner}]
            chunk = [self.chunk_rows * self.files.count, *self.row]
        return {
            "zarr_format": 3,
            "node_type": "array",
            "data_type": data_type(self.dtype),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": self.separator}},
            "fill_value": _FILL.get(self.dtype.kind, 0),
            "codecs": codecs,
            "dimension_names": list(self.dims),
            "attributes": self.attributes,
            "storage_transformers": [],
        }


def removed(what: str) -> ResultError:
    """Return the error for a folder that has gone."""
    return ResultError(
        f"{what} was removed while it was recorded, so that its rows are lost: record into a new log, and leave its "
        "folder in place until the recorder is closed."
    )
