"""``Recorder``: the arrays of a training run, appended step by step to a Zarr v3 log."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NoReturn, Self

import numpy as np
import numpy.typing as npt

from covdist.errors import DataError, ResultError
from covdist.record.claim import Claim
from covdist.record.column import METADATA, Column
from covdist.record.names import Names, uppers
from covdist.record.root import begin_root, check_held, check_root, group
from covdist.record.routines import ByTrack, Routines, by_track
from covdist.record.sizes import WRITER, chunk_limit, share
from covdist.record.track import Track, join, read_tracks
from covdist.record.values import (
    Rows,
    as_array,
    as_bytes,
    as_marks,
    as_rows,
    check_marks,
    check_same,
    common_dtype,
    in_the_log,
)
from covdist.record.writer import Writer
from covdist.storage.place import place_at

_open: weakref.WeakSet[Recorder] = weakref.WeakSet()  # closed at exit


class Recorder:
    """Append arrays to a log, one call per training step.

    Rows are buffered in memory, and stored when a chunk is full or the buffers hold most of ``memory``; a thread writes
    chunks while training goes on. A process that is killed loses only the rows that are not stored, and ``flush``
    returns when all are; the log can be opened and continued. A log has one writer, or one per rank; a lease beside it,
    ``run.zarr.lease``, keeps others away, on other hosts too, until the recorder is closed, its process ends, or its
    host has been silent for a minute. A write that fails closes it, and the next call says so.

    Parameters
    ----------
    path : str or path-like
        Folder to create, or a URL that fsspec knows.
    mode : {"x", "a"}
        Create a log, or a rank's part of it, that does not exist, or continue one.
    chunk_bytes : int
        Largest size of a chunk file, before compression; chunks are smaller where there are many arrays.
    per_step : sequence of str
        Last parts of the names whose arrays are one row per step, ``(step, param)``. All other arrays append their
        rows, ``(sample, unit)``; scalars are one value per step.
    rank : int, optional
        Number of this process among several that record into one log, each its own rows. ``open_log`` joins them, rank
        after rank, and names the rank of each row in the coordinate ``rank`` or ``sample_rank``.
    memory : int or str
        Bytes that all buffers together may take, such as ``"256MiB"``.
    from_step : int, optional
        With ``"a"``, forget the rows of this step and of those after it: where training goes on from a checkpoint that
        is older than the end of the log.

    Raises
    ------
    ResultError
        The path exists already (``"x"``), holds no recorded log (``"a"``), or another recorder writes to it.

    Examples
    --------
    >>> import tempfile, numpy as np, covdist
    >>> path = tempfile.mkdtemp() + "/run.zarr"
    >>> with covdist.Recorder(path) as rec:
    ...     for step in range(3):
    ...         rec.log(step, {"fc1/activation": np.ones((4, 2)), "fc1/gradient": np.zeros(8)}, epoch=0)
    >>> log = covdist.open_log(path)
    >>> log["fc1/activation"].shape, log["fc1/gradient"].shape
    ((12, 2), (3, 8))
    >>> log["fc1/step"].values
    array([0, 1, 2])
    """

    _closed = True  # until it has been opened

    def __init__(
        self, path: str | os.PathLike[str], *, mode: str = "x", chunk_bytes: int = 8 << 20,
        per_step: Sequence[str] = ("gradient", "weight"), rank: int | None = None, memory: int | str = "256MiB",
        from_step: int | None = None,
    ):  # fmt: skip
        if mode not in ("x", "a"):
            raise DataError(f'mode must be "x" (a new log) or "a" (continue one), found {mode!r}.')
        if chunk_bytes < 1:
            raise DataError(f"chunk_bytes must be at least 1, found {chunk_bytes}.")
        if from_step is not None and mode != "a":
            raise DataError(f'from_step={from_step} forgets rows of a log that is continued: pass mode="a" with it.')
        if rank is not None and not (isinstance(rank, int | np.integer) and rank >= 0):
            raise DataError(f"rank must be a whole number from 0, or None for a single writer, found {rank!r}.")
        self._path, self._root = path, place_at(path, durable=False)
        self._place = self._root if rank is None else place_at(f"{self._root!r}/rank{rank}", durable=False)
        self._rank, self._chunk_bytes, self._room = rank, chunk_bytes, as_bytes(memory) * 3 // 4
        self._attributes = {} if rank is None else {"covdist_rank": int(rank)}
        self._per_step = (per_step,) if isinstance(per_step, str) else tuple(per_step)
        self._tracks: dict[tuple[str, str], Track] = {}
        self._held = 0  # bytes that buffers take, at most
        self._lock = threading.RLock()
        self._claim = Claim(repr(self._root), rank)
        self._writer = Writer(repr(self._root), int(WRITER * self._room), partial(check_held, self._claim, self._root))
        with self._or_give_up():
            self._begin_log(mode, from_step)
        self._of = {column.path: track for track in self._tracks.values() for column in track.members.values()}
        self._names, self._routines = Names(), Routines()
        self._full = sum(track.chunks for track in self._tracks.values())  # bytes of all buffers when they are full
        for track in self._tracks.values():
            self._names.add((column.path for column in track.members.values()), track.marks)
        self._sizes = {
            (track.node, dim): size
            for track in self._tracks.values()
            for column in track.members.values()
            for dim, size in zip(column.dims[1:], column.row, strict=True)
        }
        self._closed = False
        _open.add(self)

    def log(self, step: int, arrays: Mapping[str, npt.ArrayLike], **coordinates: float | str) -> None:
        """Append the arrays of one step.

        Arrays of a layer that are always logged together, with equal numbers of rows, share a dim; another array
        gets a dim of its own, such as ``weight_step`` or ``input_sample``.

        Parameters
        ----------
        step : int
            Recorded as the coordinate ``step`` of rows per step, ``sample_step`` of samples.
        arrays : mapping of str to array
            By layer and variable, ``{"fc1/activation": a, ...}``; anything that NumPy can convert, and tensors of torch
            as they are. Masked floats are stored as NaN; bfloat16 and float8 as float32. A wider dtype than before, as
            float32 after float16, is kept: the rows that were logged are stored again in it. Text is one label for
            each row.
        **coordinates : number or str
            Recorded like the step; ``epoch=3`` becomes ``epoch`` and ``sample_epoch``, ``split="train"`` likewise.

        Raises
        ------
        DataError
            No dtype holds an array and what was logged before, or its width has changed, it is not real, its name
            cannot be used, or the log held this step of it when it was opened; nothing of the call is recorded.
        ResultError
            The recorder is closed, belongs to another process, or has lost its log, or rows could not be written.
        """
        with self._lock:
            self._check_open(now=False)
            marks = as_marks(step, coordinates)
            data = {name: each if type(each) is np.ndarray else as_array(name, each) for name, each in arrays.items()}
            given = self._routines.find(data, marks) or self._received(data, marks)
            with self._or_give_up():
                for track, rows in given.items():
                    was_released = track.released
                    self._append(track, rows, marks)
                    self._held += track.held if was_released else sum(data.nbytes for data in rows.values())
                    if self._held > self._room:
                        self._spill()

    def flush(self) -> None:
        """Write the buffered rows, and return when they are written, so that a crash cannot lose them."""
        with self._lock:
            self._check_open(now=True)
            with self._or_give_up():
                for track in self._tracks.values():
                    track.flush()
                self._writer.wait()

    def close(self) -> None:
        """Write the buffered rows, and refuse further calls of ``log``; in a forked child, leave that to the parent."""
        with self._lock:
            if not self._closed and not self._claim.is_inherited():
                try:
                    self.flush()
                finally:
                    self._give_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._closed:
            _open.add(self)
            self._writer.finish(self.close)

    def __reduce__(self) -> NoReturn:
        raise ResultError(
            f"the recorder of {self._path} belongs to its process and cannot be sent to another: open one there, with "
            "a rank of its own, Recorder(path, rank=...)."
        )

    def _give_up(self) -> None:
        self._closed = True
        self._writer.end()
        self._claim.release()

    @contextmanager
    def _or_give_up(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._give_up()
            raise

    def _check_open(self, *, now: bool) -> None:
        if self._closed:
            raise ResultError(f'{self._path} is closed: open it again with Recorder(path, mode="a").')
        looked = self._claim.check(now=now)
        with self._or_give_up():
            if looked:
                check_root(self._root)
            self._writer.check()

    def _begin_log(self, mode: str, from_step: int | None) -> None:
        if mode == "x" and self._place.exists():
            raise ResultError(f'{self._path} exists already: give a new path, or mode="a" to continue a log.')
        begin_root(self._root, self._path, self._rank)
        if not self._place.exists():
            self._place.put(METADATA, group({}))
        else:
            self._tracks = read_tracks(self._writer, self._place, self._chunk_bytes, self._attributes, from_step)

    def _spill(self) -> None:
        """Free buffers where all of them take more than they may: those without rows, then the fullest."""
        self._held = self._taken()
        if self._held > self._room:
            for track in sorted(self._tracks.values(), key=lambda track: (track.length != track.stored, -track.held)):
                if self._held > self._room // 2:
                    self._held -= track.held
                    track.spill()
            self._writer.wait()
            self._writer.drop()

    def _taken(self) -> int:
        return self._writer.held + sum(track.held for track in self._tracks.values())

    def _widen(self, wider: list[tuple[Track, Column, np.dtype]]) -> None:
        for track, column, dtype in wider:
            if column.dtype != dtype:
                track.widen(column, dtype)
        if wider:
            self._routines.forget()
            self._held = self._taken()

    def _check(
        self, rows: Mapping[str, Rows], new: Mapping[str, Rows], marks: Mapping[str, np.ndarray]
    ) -> list[tuple[Track, Column, np.dtype]]:
        """Refuse what cannot be recorded; return columns whose dtype does not hold the new rows, and one that does."""
        types = {mark: value.dtype for mark, value in marks.items()}
        found = []
        for name, each in rows.items():
            node, _, variable = name.rpartition("/")
            track = self._tracks.get((node, each.dim)) if name in new else self._of[name]
            if track and name not in new:
                column = track.members[variable]
                if (dtype := check_same(name, each, column)) != column.dtype:
                    found.append((track, column, dtype))
                if track.resumed_at is not None and marks["step"] <= track.resumed_at:
                    raise in_the_log(name, marks, track.resumed_at)
            if track and types != track.mark_types and (name not in new or not track.length):
                check_marks(name, marks, track.marks)
                found += [(track, track.marks[m], common_dtype(m, value, track.marks[m])) for m, value in marks.items()]
        if clash := self._names.clash(new, marks) if new else None:
            raise DataError(
                f"{clash} cannot be an array, because that name or a part of it is a layer or a coordinate: choose "
                "another name."
            )
        return found

    def _create(self, new: Mapping[str, Rows], marks: Mapping[str, np.ndarray]) -> None:
        together: dict[tuple[str, str], list[int]] = {}
        for name, rows in new.items():
            together.setdefault((name.rpartition("/")[0], rows.dim), []).append(rows.row_bytes)
        limit = min(self._chunk_bytes, chunk_limit(self._room, len(self._of), together.values()))
        for name, rows in new.items():
            node, _, variable = name.rpartition("/")
            track = self._tracks.get((node, rows.dim))
            if track is None or track.length:
                dim, widest = f"{variable}_{rows.dim}" if track else rows.dim, max(together[node, rows.dim])
                track = self._begin(node, dim, widest, marks, limit)
            track.add(variable, self._unit_dims(node, variable, rows), rows.data.dtype, rows.data.shape[1:])
            self._of[name] = track
        self._names.add(new, marks)
        self._full += sum(track.chunks for track in {self._of[name] for name in new})
        self._writer.ahead = self._full <= (1 - WRITER) * self._room

    def _begin(self, node: str, dim: str, widest: int, marks: Mapping[str, np.ndarray], limit: int) -> Track:
        for upper in uppers(join(node, dim)):
            self._place.put(f"{upper}/{METADATA}", group({}))
        base = max(1, int(share(len(self._tracks)) * limit) // widest)
        track = self._tracks[node, dim] = Track(self._writer, self._place, node, dim, base, limit, self._attributes)
        for mark, value in marks.items():
            track.add_mark(mark, value.dtype)
        return track

    def _unit_dims(self, node: str, variable: str, rows: Rows) -> tuple[str, ...]:
        return tuple(
            dim if self._sizes.setdefault((node, dim), size) == size else f"{variable}_{dim}"
            for dim, size in zip(rows.dims, rows.data.shape[1:], strict=True)
        )

    def _received(self, arrays: Mapping[str, np.ndarray], marks: Mapping[str, np.ndarray]) -> ByTrack:
        """Check the arrays of a call, make columns for them, and return their rows by track and variable."""
        rows = {name: as_rows(name, as_array(name, data), self._per_step) for name, data in arrays.items()}
        new = {name: each for name, each in rows.items() if name not in self._of}
        wider = self._check(rows, new, marks)
        with self._or_give_up():
            self._widen(wider)
            if new:
                self._create(new, marks)
        if not wider:
            self._routines.learn(arrays, rows, self._of, marks)
        return by_track((self._of[name], name.rpartition("/")[2], each.data) for name, each in rows.items())

    def _append(self, track: Track, given: Mapping[str, np.ndarray], marks: Mapping[str, np.ndarray]) -> None:
        if len(given) == len(track.members) and len(lengths := set(map(len, given.values()))) == 1:
            track.append(given, marks, lengths.pop())
            return
        counts = {name: len(given[name]) if name in given else 0 for name in track.members}
        count = next((amount for amount in counts.values() if amount), 0)
        track_of = {name: track if amount == count else self._split(track, name) for name, amount in counts.items()}
        for each in dict.fromkeys((track, *track_of.values())):
            each.append(given, marks, max(counts[name] for name in each.members))

    def _split(self, track: Track, name: str) -> Track:
        alone = track.split(name)
        self._tracks[alone.node, alone.dim] = self._of[join(track.node, name)] = alone
        self._routines.forget()
        return alone


@atexit.register
def _close_all() -> None:
    for recorder in list(_open):
        recorder.close()
