"""``Track``: the arrays of a layer that grow together along one dim, and the coordinates of that dim."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import numpy as np

from covdist.record.column import METADATA, Column
from covdist.storage.place import Place

NARROW_BYTES = 64 << 10  # smaller chunks span several flushes, so that coordinates have few files


class Track:
    """Columns that have equal lengths after each flush, which comes every ``base`` rows."""

    def __init__(self, place: Place, node: str, dim: str, base: int, chunk_bytes: int):
        self.place, self.node, self.dim, self.base, self.chunk_bytes = place, node, dim, base, chunk_bytes
        self.marks: dict[str, Column] = {}  # "step" -> the coordinate with the steps
        self.members: dict[str, Column] = {}  # by variable
        self.length = self.stored = 0

    def add(self, name: str, dims: tuple[str, ...], dtype: np.dtype, row: tuple[int, ...]) -> None:
        """Add an array before the first row."""
        self.members[name] = self._column(name, (self.dim, *dims), dtype, row, None)

    def add_mark(self, mark: str, dtype: np.dtype) -> None:
        """Add a coordinate before the first row."""
        self.marks[mark] = self._column(mark_name(self.dim, mark), (self.dim,), dtype, (), mark)

    def append(self, rows: Mapping[str, np.ndarray], marks: Mapping[str, np.ndarray], count: int) -> None:
        """Append ``count`` rows to every member, and the marks as often to the coordinates."""
        done = 0
        while done < count:
            self._flush_full()
            step = min(count - done, self.base - self.length % self.base)
            for name, column in self.members.items():
                column.put(rows[name][done : done + step], step)
            for mark, column in self.marks.items():
                column.put(marks[mark], step)
            self.length += step
            done += step
            self._flush_full()

    def flush(self) -> None:
        """Write all rows, then all lengths."""
        if self.length == self.stored and self.length:
            return
        # Coordinates first: they must be as long as the arrays that refer to them.
        columns = [*self.marks.values(), *self.members.values()]
        for column in columns:
            column.write()
        for column in columns:
            column.commit()
        self.stored = self.length

    def split(self, name: str) -> Track:
        """Give one member a dim and coordinates of its own, from the first row on."""
        other = Track(self.place, self.node, f"{name}_{self.dim}", self.base, self.chunk_bytes)
        column = self.members.pop(name)
        column.dims = (other.dim, *column.dims[1:])
        other.members[name] = column
        for mark, old in self.marks.items():
            other.marks[mark] = old.copy(join(self.node, mark_name(other.dim, mark)), (other.dim,))
        other.length = self.length
        other.flush()
        return other

    def _flush_full(self) -> None:
        if self.length % self.base == 0 and self.length != self.stored:
            self.flush()

    def _column(
        self, name: str, dims: tuple[str, ...], dtype: np.dtype, row: tuple[int, ...], mark: str | None
    ) -> Column:
        flush_bytes = self.base * int(np.prod(row)) * dtype.itemsize
        spans = max(1, min(NARROW_BYTES, self.chunk_bytes) // flush_bytes)
        return Column(self.place, join(self.node, name), dims, dtype, row, self.base * spans, mark)


def mark_name(dim: str, mark: str) -> str:
    """Name a coordinate: ``step``, ``epoch``, ``sample_step``, ``weight_step`` ..."""
    if mark == "step" and (dim == "step" or dim.endswith("_step")):
        return dim
    return mark if dim == "step" else f"{dim}_{mark}"


def join(node: str, name: str) -> str:
    return f"{node}/{name}" if node else name


def read_tracks(place: Place, chunk_bytes: int) -> dict[tuple[str, str], Track]:
    """Return the tracks of a log by node and dim, also after a crash: each cut to the length of its shortest array."""
    arrays: dict[tuple[str, str], list[tuple[Column, int]]] = {}
    for key in sorted(name for name in place.walk() if name.endswith(f"/{METADATA}")):
        metadata = json.loads(place.get(key) or b"{}")
        if metadata.get("node_type") == "array":
            path, dims = key.removesuffix(f"/{METADATA}"), tuple(metadata["dimension_names"])
            chunk_rows, *row = metadata["chunk_grid"]["configuration"]["chunk_shape"]
            mark = metadata["attributes"].get("covdist_marks")
            column = Column(place, path, dims, np.dtype(metadata["data_type"]), tuple(row), chunk_rows, mark)
            arrays.setdefault((path.rpartition("/")[0], dims[0]), []).append((column, metadata["shape"][0]))
    tracks = {key: _track(place, key, columns, chunk_bytes) for key, columns in arrays.items()}
    return {key: track for key, track in tracks.items() if track.members}


def _track(place: Place, key: tuple[str, str], columns: list[tuple[Column, int]], chunk_bytes: int) -> Track:
    track = Track(place, *key, math.gcd(*(column.chunk_rows for column, _ in columns)), chunk_bytes)
    track.length = track.stored = min(length for _, length in columns)
    for column, length in columns:
        if column.coordinate:
            track.marks[column.coordinate] = column
        else:
            track.members[column.path.rpartition("/")[2]] = column
        column.resume(track.length)
        if length != track.length:
            # Before a chunk is rewritten, so that no reader takes its new rows for forgotten ones.
            column.commit()
    return track
