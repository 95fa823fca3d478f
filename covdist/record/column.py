"""``Column``: a growing Zarr v3 array. Rows are collected in a buffer of one chunk and written as whole chunks."""

from __future__ import annotations

import json

import google_crc32c
import numpy as np
import numpy.typing as npt

from covdist.errors import LogError
from covdist.storage.place import Place

METADATA = "zarr.json"
CRC_BYTES = 4


class Column:
    """Rows of one dtype and shape.

    ``write`` stores the rows of the buffer, and ``commit`` makes them visible by writing the new length into the
    metadata. In between a reader sees the old length and ignores the rows beyond it.
    """

    def __init__(
        self, place: Place, path: str, dims: tuple[str, ...], dtype: np.dtype, row: tuple[int, ...],
        chunk_rows: int, coordinate: str | None = None,
    ):  # fmt: skip
        self.place, self.path, self.dims, self.dtype, self.row = place, path, dims, dtype, row
        self.chunk_rows = chunk_rows
        self.coordinate = coordinate  # "step" or "epoch"; None for recorded data
        self.length = 0  # rows put
        self._first = 0  # row at the start of the buffer
        self._buffer = np.zeros((chunk_rows, *row), dtype)

    def put(self, rows: npt.ArrayLike, count: int) -> None:
        """Append rows, or a scalar ``count`` times; they must fit into the rest of the buffer."""
        start = self.length - self._first
        self._buffer[start : start + count] = rows
        self.length += count

    def write(self) -> None:
        """Store the buffer as a whole chunk, with zeros after its last row."""
        rows = self.length - self._first
        if rows:
            self._buffer[rows:] = 0
            data = self._buffer.reshape(-1).view(np.uint8)
            self.place.put(self._key(self._first), data.data, google_crc32c.value(data).to_bytes(CRC_BYTES, "little"))

    def commit(self) -> None:
        """Write the metadata, and begin the next chunk if the buffer is full."""
        self.place.put(f"{self.path}/{METADATA}", json.dumps(self._metadata()).encode())
        if self.length - self._first == self.chunk_rows:
            self._first = self.length

    def copy(self, path: str, dims: tuple[str, ...]) -> Column:
        """Copy all rows to a new array, chunk by chunk."""
        other = Column(self.place, path, dims, self.dtype, self.row, self.chunk_rows, self.coordinate)
        for start in range(0, self._first, self.chunk_rows):
            self.place.put(other._key(start), self._stored(start))
        other.length, other._first = self.length, self._first
        other._buffer[:] = self._buffer
        return other

    def resume(self, length: int) -> None:
        """Continue after the first ``length`` stored rows, and forget the others."""
        self.length, self._first = length, length - length % self.chunk_rows
        if length > self._first:
            data = np.frombuffer(self._stored(self._first), np.uint8)[:-CRC_BYTES]
            self._buffer[:] = data.view(self.dtype).reshape(self._buffer.shape)

    def _stored(self, start: int) -> bytes:
        data = self.place.get(self._key(start)) or b""
        expected = self._buffer.nbytes + CRC_BYTES
        crc = int.from_bytes(data[-CRC_BYTES:], "little")
        if len(data) != expected or google_crc32c.value(data[:-CRC_BYTES]) != crc:
            raise LogError(
                f"{self.path}: chunk {self._key(start)} is damaged ({len(data):,} bytes found, {expected:,} "
                "with a fitting crc32c expected): record into a new log."
            )
        return data

    def _key(self, start: int) -> str:
        return ".".join([f"{self.path}/c", str(start // self.chunk_rows), *("0" for _ in self.row)])

    def _metadata(self) -> dict[str, object]:
        order = {"configuration": {"endian": "little"}} if self.dtype.itemsize > 1 else {}
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [self.length, *self.row],
            "data_type": self.dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [self.chunk_rows, *self.row]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": False if self.dtype.kind == "b" else 0,
            "codecs": [{"name": "bytes", **order}, {"name": "crc32c"}],
            "dimension_names": list(self.dims),
            "attributes": {"covdist_marks": self.coordinate} if self.coordinate else {},
            "storage_transformers": [],
        }
