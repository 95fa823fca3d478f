"""``Column``: a growing Zarr v3 array. Rows are collected in a buffer of one chunk and written as whole chunks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from covdist.errors import LogError, ResultError
from covdist.record.chunks import FRAMED, PLAIN, decoded, encoded
from covdist.storage.place import Place

METADATA = "zarr.json"
LARGE_ROW = 4 << 20  # bytes; a chunk of one such row has no end to fill, and is written as it is


class Column:
    """Rows of one dtype and shape.

    ``write`` stores the rows of the buffer, and ``commit`` makes them visible by writing the new length into the
    metadata. In between a reader sees the old length and ignores the rows beyond it.
    """

    def __init__(
        self, place: Place, path: str, dims: tuple[str, ...], dtype: np.dtype, row: tuple[int, ...],
        chunk_rows: int, attributes: dict[str, Any],
    ):  # fmt: skip
        self.place, self.path, self.dims, self.dtype, self.row = place, path, dims, dtype, row
        self.chunk_rows = chunk_rows
        self.attributes = attributes  # "covdist_marks": "step" or "epoch" for a coordinate; also _rank, _begun
        self.row_bytes = math.prod(row) * dtype.itemsize
        self.codecs = PLAIN if chunk_rows == 1 and self.row_bytes >= LARGE_ROW else FRAMED
        self.separator = "."  # of the keys of chunks
        self.length = 0  # rows put
        self._first = 0  # row at the start of the chunk
        self._buffer: np.ndarray | None = None  # kept for the next chunk: the first touch of memory is dear
        self._touched = 0  # its rows that take memory
        self._chunk: np.ndarray | None = None  # with the rows to store, mostly the buffer; None: none, or those stored
        self._committed = False

    @classmethod
    def read(cls, place: Place, path: str, metadata: dict[str, Any]) -> tuple[Self, int]:
        """Return an array that was recorded before, yet without rows, and its length."""
        length, *row = metadata["shape"]
        chunk_rows = metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
        dims, dtype = tuple(metadata["dimension_names"]), np.dtype(metadata["data_type"])
        column = cls(place, path, dims, dtype, tuple(row), chunk_rows, metadata["attributes"])
        column.codecs, column._committed = metadata["codecs"][1:], True
        column.separator = metadata["chunk_key_encoding"]["configuration"]["separator"]
        return column, length

    @property
    def held(self) -> int:
        """Bytes of memory that the buffer takes."""
        return self._touched * self.row_bytes

    def put(self, rows: npt.ArrayLike, count: int) -> None:
        """Append rows, or a scalar ``count`` times; they must fit into the rest of the chunk."""
        start = self.length - self._first
        if count == self.chunk_rows and isinstance(rows, np.ndarray) and rows.ndim:
            # A whole chunk, which is written before the caller can change it: without a copy if possible.
            self._chunk = np.ascontiguousarray(rows, self.dtype)
        else:
            chunk = self._loaded() if self._chunk is None else self._chunk
            chunk[start : start + count] = rows
            self._touched = max(self._touched, start + count)
        self.length += count

    def write(self) -> None:
        """Store the rows since the last full chunk."""
        if self._chunk is not None and self.length > self._first:
            parts = encoded(self._chunk[: self.length - self._first], self.chunk_rows * self.row_bytes, self.codecs)
            self.place.put(self._key(self._first), *parts)

    def commit(self) -> None:
        """Write the metadata, and begin the next chunk if this one is full."""
        self.place.put(f"{self.path}/{METADATA}", json.dumps(self._metadata()).encode())
        self._committed = True
        if self.length - self._first == self.chunk_rows:
            self._first, self._chunk = self.length, None

    def release(self) -> None:
        """Free the buffer, whose rows are stored; they are read again when more come."""
        self._chunk = self._buffer = None
        self._touched = 0

    def check(self) -> None:
        """Raise ResultError if the array has been removed since it was committed."""
        if self._committed and not self.place.holds(f"{self.path}/{METADATA}"):
            raise removed(f"{self.path} in {self.place!r}")

    def copy(self, path: str, dims: tuple[str, ...]) -> Column:
        """Copy all rows to a new array, chunk by chunk."""
        other = Column(self.place, path, dims, self.dtype, self.row, self.chunk_rows, self.attributes)
        other.codecs, other.separator = self.codecs, self.separator
        for start in range(0, self._first, self.chunk_rows):
            self.place.put(other._key(start), self.place.get(self._key(start)) or b"")
        other.length, other._first = self.length, self._first
        other._chunk = other._buffer = (self._loaded() if self._chunk is None else self._chunk).copy()
        other._touched = self._touched
        return other

    def rows(self) -> Iterator[np.ndarray]:
        """Yield all rows so far, a chunk at a time."""
        for start in range(0, self._first, self.chunk_rows):
            yield self._stored(start)
        if count := self.length - self._first:
            yield (self._stored(self._first) if self._chunk is None else self._chunk)[:count]

    def widen(self, dtype: np.dtype) -> None:
        """Store rows that are all stored in another dtype, which holds them exactly.

        The chunks get other names, so that until the metadata are replaced, in one step, the old ones are whole.
        """
        starts = range(0, self.length, self.chunk_rows)
        old, separator = [self._key(start) for start in starts], "/" if self.separator == "." else "."
        wide = Column(self.place, self.path, self.dims, dtype, self.row, self.chunk_rows, self.attributes)
        wide.codecs, wide.separator = self.codecs, separator
        for start, rows in zip(starts, self.rows(), strict=True):
            parts = encoded(rows.astype(dtype), wide.chunk_rows * wide.row_bytes, wide.codecs)
            self.place.put(wide._key(start), *parts)
        self.release()
        self.dtype, self.row_bytes, self.separator = dtype, wide.row_bytes, separator
        self.commit()
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

    def _loaded(self) -> np.ndarray:
        """Return the chunk, in the buffer and with the rows that are stored."""
        if self._buffer is None:
            self._buffer = np.empty((self.chunk_rows, *self.row), self.dtype)
        if rows := self.length - self._first:
            self._buffer[:rows] = self._stored(self._first)[:rows]
        self._touched = max(self._touched, rows)
        self._chunk = self._buffer
        return self._chunk

    def _stored(self, start: int) -> np.ndarray:
        try:
            data = decoded(self.place.get(self._key(start)) or b"", self.chunk_rows * self.row_bytes, self.codecs)
        except (ValueError, RuntimeError) as error:
            raise LogError(
                f"{self.path}: chunk {self._key(start)} is damaged ({error}): record into a new log."
            ) from error
        return data.view(self.dtype).reshape(self.chunk_rows, *self.row)

    def _key(self, start: int) -> str:
        return self.separator.join([f"{self.path}/c", str(start // self.chunk_rows), *("0" for _ in self.row)])

    def _metadata(self) -> dict[str, object]:
        order = {"configuration": {"endian": "little"}} if self.dtype.itemsize > 1 else {}
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [self.length, *self.row],
            "data_type": self.dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [self.chunk_rows, *self.row]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": self.separator}},
            "fill_value": False if self.dtype.kind == "b" else 0,
            "codecs": [{"name": "bytes", **order}, *self.codecs],
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
