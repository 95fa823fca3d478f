"""``Tracks``: all tracks of a log, and which of them each array goes to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from covdist.errors import DataError, shown
from covdist.record.column import METADATA, Column
from covdist.record.lent import Given
from covdist.record.names import Names, uppers
from covdist.record.options.asked import Asked
from covdist.record.options.kept import UNITS, Kept
from covdist.record.projection import PROJECTION
from covdist.record.root import group
from covdist.record.routines import Call, Routines, portions_of
from covdist.record.sizes import chunk_limit, share
from covdist.record.track import Target, Track, join
from covdist.record.values import Rows, as_rows, check_marks, check_same, common_dtype, in_the_log
from covdist.record.writer import Writer
from covdist.storage.place import Place

ByDim = dict[tuple[str, str], Track]  # by node and dim


class Checked(NamedTuple):
    """Arrays of a call that can be recorded."""

    data: Mapping[str, Given]
    rows: Mapping[str, Rows]
    new: Mapping[str, Rows]  # those of them without a column yet
    wider: list[tuple[Track, Column, np.dtype]]  # columns whose dtype does not hold the new rows, and one that does


class Tracks:
    """Receives the arrays of a call, makes columns for those that are new, and appends to them within a budget."""

    def __init__(
        self, writer: Writer, place: Place, options: Asked, attributes: Mapping[str, Any], found: ByDim, kept: Kept
    ):
        self._writer, self._place, self._options, self._attributes = writer, place, options, attributes
        self._kept, self.by_dim = kept, found
        self._held = 0  # bytes that buffers take, at most
        self._of = {column.path: track for track in found.values() for column in track.members.values()}
        self._names, self._routines = Names(), Routines()
        self._full = 0  # bytes of all buffers when they are full
        self._count(found.values())
        for track in found.values():
            self._names.add((column.path for column in track.members.values()), track.marks)
        self._sizes = {
            (track.node, dim): (size, _identity(column.attributes))
            for track in found.values()
            for column in track.members.values()
            for dim, size in zip(column.dims[1:], column.row, strict=True)
        }

    @property
    def nbytes(self) -> int:
        """Bytes of all rows so far, coordinates included."""
        return sum(track.length * sum(column.row_bytes for column in track.columns) for track in self.by_dim.values())

    @property
    def arrays(self) -> int:
        """Number of arrays, coordinates included."""
        return sum(len(track.columns) for track in self.by_dim.values())

    @property
    def taken(self) -> int:
        """Bytes of memory that buffers take."""
        return self._writer.held + sum(track.held for track in self.by_dim.values())

    def check(self, data: Mapping[str, Given], marks: Mapping[str, np.ndarray]) -> Call | Checked:
        """Refuse what cannot be recorded; nothing is changed yet."""
        if call := self._routines.find(data, marks):
            return call
        rows = {
            name: as_rows(name, self._kept.converted(name, each), self._options.per_step) for name, each in data.items()
        }
        new = {name: each for name, each in rows.items() if name not in self._of}
        self._check_chunks(new)
        return Checked(data, rows, new, self._wider(rows, new, marks))

    def flush(self) -> None:
        """Have all rows stored, and return when they are."""
        for track in self.by_dim.values():
            track.flush()
        self._writer.wait()

    def finish(self) -> None:
        """Leave nothing beside the arrays, whose rows are all stored."""
        for track in self.by_dim.values():
            for column in track.columns:
                column.finish()

    def append(self, checked: Call | Checked, marks: Mapping[str, np.ndarray]) -> None:
        """Append the rows of a call, and free buffers where they take too much."""
        arrays, portions = checked if isinstance(checked, Call) else self._take(checked, marks)
        for track, targets, length, nbytes in portions:
            was_released = track.released
            if length is not None:
                track.append(targets, arrays, marks, length)
            else:
                self._append_uneven(track, targets, arrays, marks)
            if was_released:
                track.settle()  # so that memory for coordinates counts, too
            self._held += track.held if was_released else nbytes
            if self._held > self._options.room:
                self._spill()
        self._writer.go()

    def _take(self, checked: Checked, marks: Mapping[str, np.ndarray]) -> Call:
        """Make columns for new arrays, or wider ones, and return where all go."""
        self._widen(checked.wider)
        if checked.new:
            self._create(checked.new, marks)
        rows: list[Given] = [each.data for each in checked.rows.values()]
        call = Call(rows, portions_of(self._targets(checked), rows))
        if not checked.wider:
            self._routines.learn(checked.data, call, marks)
        return call

    def _targets(self, checked: Checked) -> Iterator[tuple[Track, Target]]:
        for number, name in enumerate(checked.rows):
            track = self._of[name]
            yield track, Target(track.members[name.rpartition("/")[2]], number)

    def _append_uneven(
        self, track: Track, targets: list[Target], arrays: list[Given], marks: Mapping[str, np.ndarray]
    ) -> None:
        given = {target.column: target for target in targets}
        counts = {
            name: len(arrays[given[column].number]) if column in given else 0 for name, column in track.members.items()
        }
        count = next((amount for amount in counts.values() if amount), 0)
        track_of = {name: track if amount == count else self._split(track, name) for name, amount in counts.items()}
        for each in dict.fromkeys((track, *track_of.values())):
            if most := max(counts[name] for name in each.members):
                each.append([given[column] for column in each.members.values()], arrays, marks, most)

    def _split(self, track: Track, name: str) -> Track:
        alone = track.split(name)
        self.by_dim[alone.node, alone.dim] = self._of[join(track.node, name)] = alone
        self._routines.forget()
        return alone

    def _wider(
        self, rows: Mapping[str, Rows], new: Mapping[str, Rows], marks: Mapping[str, np.ndarray]
    ) -> list[tuple[Track, Column, np.dtype]]:
        types = {mark: value.dtype for mark, value in marks.items()}
        found = []
        for name, each in rows.items():
            node, _, variable = name.rpartition("/")
            track = self.by_dim.get((node, each.dim)) if name in new else self._of[name]
            if track and name not in new:
                column = track.members[variable]
                self._check_kept(name, column)
                if (dtype := check_same(name, each, column)) != column.dtype:
                    found.append((track, column, dtype))
                if track.resumed_at is not None and marks["step"] <= track.resumed_at:
                    raise in_the_log(name, marks, track.resumed_at)
            if track and types != track.mark_types and (name not in new or not track.length):
                track.settle()
                check_marks(name, marks, track.marks)
                found += [(track, track.marks[m], common_dtype(m, value, track.marks[m])) for m, value in marks.items()]
        if clash := self._names.clash(new, marks) if new else None:
            raise DataError(
                f"{clash} cannot be an array, because that name or a part of it is a layer or a coordinate: choose "
                "another name."
            )
        return found

    def _check_chunks(self, new: Mapping[str, Rows]) -> None:
        for name, rows in new.items():
            if (size := (self._options.chunk or 0) * rows.row_bytes) > self._options.room:
                raise DataError(
                    f"chunk={self._options.chunk} rows of {name} are {size:,} bytes, more than memory= has room for: "
                    "give fewer rows, or more memory."
                )

    def _create(self, new: Mapping[str, Rows], marks: Mapping[str, np.ndarray]) -> None:
        together: dict[tuple[str, str], list[int]] = {}
        for name, rows in new.items():
            together.setdefault((name.rpartition("/")[0], rows.dim), []).append(rows.row_bytes)
        limit = min(self._options.chunk_bytes, chunk_limit(self._options.room, len(self._of), together.values()))
        for name, rows in new.items():
            node, _, variable = name.rpartition("/")
            track = self.by_dim.get((node, rows.dim))
            if track is None or track.length:
                dim, widest = f"{variable}_{rows.dim}" if track else rows.dim, max(together[node, rows.dim])
                track = self._begin(node, dim, widest, marks, limit)
            attributes = self._kept.attributes(name)
            dims = self._unit_dims(node, variable, rows, attributes)
            track.add(variable, dims, rows.data.dtype, rows.data.shape[1:], attributes)
            self._of[name] = track
        self._names.add(new, marks)
        self._count({self._of[name] for name in new})

    def _count(self, tracks: Iterable[Track]) -> None:
        """Leave the writer the room that their buffers do not need."""
        self._full += sum(track.chunks for track in tracks)
        self._writer.take(self._options.room - self._full)

    def _begin(self, node: str, dim: str, widest: int, marks: Mapping[str, np.ndarray], limit: int) -> Track:
        for upper in uppers(join(node, dim)):
            self._place.put(f"{upper}/{METADATA}", group({}))
        base = self._options.chunk or max(1, int(share(len(self.by_dim)) * limit) // widest)
        exact = self._options.chunk is not None
        shard = self._options.shard
        track = Track(self._writer, self._place, node, dim, base, limit, self._attributes, exact, shard)
        self.by_dim[node, dim] = track
        for mark, value in marks.items():
            track.add_mark(mark, value.dtype)
        return track

    def _unit_dims(self, node: str, variable: str, rows: Rows, attributes: Mapping[str, Any]) -> tuple[str, ...]:
        dims = ["projection"] if PROJECTION in attributes else rows.dims
        found = {dim: (size, _identity(attributes)) for dim, size in zip(dims, rows.data.shape[1:], strict=True)}
        return tuple(
            dim if self._sizes.setdefault((node, dim), what) == what else f"{variable}_{dim}"
            for dim, what in found.items()
        )

    def _widen(self, wider: list[tuple[Track, Column, np.dtype]]) -> None:
        for track, column, dtype in wider:
            if column.dtype != dtype:
                track.widen(column, dtype)
        if wider:
            self._routines.forget()
            self._held = self.taken

    def _spill(self) -> None:
        """Free buffers where all of them take more than they may: those without rows, then the fullest."""
        self._held = self.taken
        if self._held > self._options.room:
            for track in sorted(self.by_dim.values(), key=lambda track: (track.length != track.stored, -track.held)):
                if self._held > self._options.room // 2:
                    self._held -= track.held
                    track.spill()
            self._writer.wait()
            self._writer.drop()

    def _check_kept(self, name: str, column: Column) -> None:
        before, now = _kept_in(column.attributes), self._kept.attributes(name)
        if before != now:
            raise DataError(
                f"{name} is recorded {_told(before)} in the log and {_told(now)} now: give the same units=, project= "
                "and seed=, or log it under another name."
            )


def _kept_in(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: attributes[key] for key in (UNITS, PROJECTION) if key in attributes}


def _told(kept: Mapping[str, Any]) -> str:
    return next((f"with {key.removeprefix('covdist_')} {shown(str(value))}" for key, value in kept.items()), "whole")


def _identity(attributes: Mapping[str, Any]) -> str:
    """Return what arrays of a layer must have in common, beside their sizes, to share a dim of units."""
    return str(_kept_in(attributes))
