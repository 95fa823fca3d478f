"""``Track``: the arrays of a layer that grow together along one dim, and the coordinates of that dim."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from covdist.record.chunks import RUNS
from covdist.record.column import METADATA, Column, Piece
from covdist.record.lent import Given
from covdist.record.runs import MANY, Run, write_runs
from covdist.record.writer import Job, Writer
from covdist.storage.place import Place

NARROW_BYTES = 64 << 10  # smaller chunks span several flushes, so that coordinates have few files
MARKS = "covdist_marks"  # the attribute of a coordinate
BEGUN = "covdist_begun"  # another value for rows that replace others, by which readers notice it


class Target(NamedTuple):
    """Where an array of a call goes."""

    column: Column
    number: int  # of the array


class Track:
    """Columns that have equal lengths after each flush, which comes every ``base`` rows."""

    def __init__(
        self, writer: Writer, place: Place, node: str, dim: str, base: int, chunk_bytes: int,
        attributes: Mapping[str, Any], exact: bool = False, shard: int | None = None,
    ):  # fmt: skip
        self.writer, self.place, self.node, self.dim = writer, place, node, dim
        self.base, self.chunk_bytes = base, chunk_bytes
        self.shard = shard  # chunks of a file
        self.exact = exact  # whether chunks of members have no more rows than come between flushes
        self.attributes = attributes  # of all arrays
        self.marks: dict[str, Column] = {}  # "step" -> the coordinate with the steps
        self.members: dict[str, Column] = {}  # by variable
        self._runs: list[Run] = []  # of the rows whose coordinates have not been put yet
        self.length = self.stored = 0
        self.released = False  # its buffers hold nothing, and rows of theirs are read again when more come
        self.resumed_at: int | None = None  # the last step that was recorded before the log was opened

    @property
    def columns(self) -> list[Column]:
        """Coordinates first: they must be as long as the arrays that refer to them."""
        return [*self.marks.values(), *self.members.values()]

    @property
    def held(self) -> int:
        """Bytes of memory that the buffers take."""
        return sum(column.held for column in self.columns)

    @property
    def chunks(self) -> int:
        """Bytes of memory that the buffers take when they are full."""
        return sum(column.chunk_bytes for column in self.columns)

    @cached_property
    def mark_types(self) -> dict[str, np.dtype]:
        """Dtypes of the coordinates, all of which are there before the first row."""
        return {mark: column.dtype for mark, column in self.marks.items()}

    def add(
        self, name: str, dims: tuple[str, ...], dtype: np.dtype, row: tuple[int, ...], attributes: Mapping[str, Any]
    ) -> None:
        """Add an array before the first row."""
        spans = 1 if self.exact else self._spans(dtype, row)
        self.members[name] = self._column(name, (self.dim, *dims), dtype, row, attributes, spans)

    def add_mark(self, mark: str, dtype: np.dtype) -> None:
        """Add a coordinate before the first row."""
        column = self._column(mark_name(self.dim, mark), (self.dim,), dtype, (), {MARKS: mark}, self._spans(dtype, ()))
        if not self.dim.endswith("step"):  # where each row has another one
            column.codecs = RUNS
        self.marks[mark] = column

    def append(
        self, targets: Sequence[Target], arrays: Sequence[Given], marks: Mapping[str, np.ndarray], count: int
    ) -> None:
        """Append ``count`` rows to every member, and the marks as often to the coordinates."""
        done, self.released = 0, False
        while done < count:
            left = self.base - self.length % self.base
            step = min(count - done, left)
            for column, number in targets:
                rows = arrays[number]
                column.put(rows if step == count else rows[done : done + step], step)
            self._runs.append((marks, step))
            self.length += step
            done += step
            if step == left:
                self.flush()
        if len(self._runs) >= MANY:
            self.settle()

    def settle(self) -> None:
        """Put the coordinates of all rows."""
        for fill in self._fills():
            fill()

    def flush(self) -> None:
        """Have the writer store all rows, then all lengths."""
        if self.length == self.stored and self.length:
            return
        fills = self._fills()
        pieces = [column.take() for column in self.columns]
        self.writer.submit(partial(_store, fills, pieces), sum([piece.nbytes for piece in pieces]))
        self.stored = self.length

    def spill(self) -> None:
        """Have the writer store all rows, and free their memory."""
        self.flush()
        for column in self.columns:
            column.release()
        self.released = True

    def widen(self, column: Column, dtype: np.dtype) -> None:
        """Store all rows of one of the columns in a wider dtype."""
        self.flush()
        self.writer.wait()
        column.widen(dtype)
        self.__dict__.pop("mark_types", None)

    def split(self, name: str) -> Track:
        """Give one member a dim and coordinates of its own, from the first row on."""
        self.settle()
        dim = f"{name}_{self.dim}"
        other = Track(self.writer, self.place, self.node, dim, self.base, self.chunk_bytes, self.attributes)
        column = self.members.pop(name)
        column.dims = (other.dim, *column.dims[1:])
        other.members[name] = column
        for mark, old in self.marks.items():
            other.marks[mark] = old.copy(join(self.node, mark_name(other.dim, mark)), (other.dim,))
        other.length, other.resumed_at = self.length, self.resumed_at
        other.flush()
        return other

    def _fills(self) -> list[Job]:
        """Return what puts the coordinates of the rows that have none yet."""
        if not (runs := self._runs):
            return []
        self._runs = []
        return [
            partial(write_runs, runs, mark, *column.room(self.length - column.length))
            for mark, column in self.marks.items()
        ]

    def _spans(self, dtype: np.dtype, row: tuple[int, ...]) -> int:
        return max(1, min(NARROW_BYTES, self.chunk_bytes) // (self.base * math.prod(row) * dtype.itemsize))

    def _column(
        self, name: str, dims: tuple[str, ...], dtype: np.dtype, row: tuple[int, ...], attributes: Mapping[str, Any],
        spans: int,
    ) -> Column:  # fmt: skip
        own = {**self.attributes, **attributes, BEGUN: uuid.uuid4().hex}
        return Column(
            self.writer, self.place, join(self.node, name), dims, dtype, row, self.base * spans, own, self.shard
        )


def _store(fills: list[Job], pieces: list[Piece]) -> None:
    for fill in fills:
        fill()
    if not pieces[0].column.place.holds(*[name for piece in pieces for name in piece.column.committed]):
        for piece in pieces:
            piece.column.check()
    for piece in pieces:
        piece.write()
    for piece in pieces:
        piece.commit()


def mark_name(dim: str, mark: str) -> str:
    """Name a coordinate: ``step``, ``epoch``, ``sample_step``, ``weight_step`` ..."""
    if mark == "step" and (dim == "step" or dim.endswith("_step")):
        return dim
    return mark if dim == "step" else f"{dim}_{mark}"


def join(node: str, name: str) -> str:
    return f"{node}/{name}" if node else name


def read_tracks(
    writer: Writer, place: Place, chunk_bytes: int, attributes: Mapping[str, Any], from_step: int | None
) -> dict[tuple[str, str], Track]:
    """Return the tracks of a log by node and dim, also after a crash.

    Each is cut to the length of its shortest array, and before the first row of ``from_step`` or a later step.
    """
    arrays: dict[tuple[str, str], list[tuple[Column, int]]] = {}
    for key in sorted(name for name in place.walk() if name.endswith(f"/{METADATA}")):
        metadata = json.loads(place.get(key) or b"{}")
        if metadata.get("node_type") == "array":
            path = key.removesuffix(f"/{METADATA}")
            column, length = Column.read(writer, place, path, metadata)
            arrays.setdefault((path.rpartition("/")[0], column.dims[0]), []).append((column, length))
    tracks = {}
    for (node, dim), columns in arrays.items():
        base = math.gcd(*(column.chunk_rows for column, _ in columns))
        track = Track(writer, place, node, dim, base, chunk_bytes, attributes)
        _resume(track, columns, from_step)
        if track.members:
            tracks[node, dim] = track
    return tracks


def _resume(track: Track, columns: list[tuple[Column, int]], from_step: int | None) -> None:
    for column, _ in columns:
        if mark := column.attributes.get(MARKS):
            track.marks[mark] = column
        else:
            track.members[column.path.rpartition("/")[2]] = column
    length = min(length for _, length in columns)
    if "step" in track.marks:
        steps = track.marks["step"].values(length)
        if from_step is not None and (steps >= from_step).any():
            length = int(np.argmax(steps >= from_step))
        track.resumed_at = int(steps[:length].max()) if length else None
    track.length = track.stored = length
    for column, before in columns:
        column.resume(length)
        if before != length:
            # Before a chunk is rewritten, so that no reader takes its new rows for forgotten ones.
            column.attributes = {**column.attributes, BEGUN: uuid.uuid4().hex}
            column.commit(length)
