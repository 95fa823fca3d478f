"""``LiveStats``: statistics of a training run, folded while it runs; no log is written."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

from covdist.errors import DataError, ResultError
from covdist.given import local_path, names, whole
from covdist.record.options.asked import check_mode
from covdist.record.refused import Closing, ended, not_begun
from covdist.record.values import Rows, as_array, as_marks, as_rows, check_arrays
from covdist.storage.place import place_at

_FEW_COLUMNS = 4096  # as for `covdist run`: of more, variances


class OrStats:
    """Base of the Recorder, which with ``stats=`` is a ``LiveStats`` instead: that has the same methods."""

    def __new__(cls, path: Any, *, stats: int | None = None, **options: Any) -> Self:
        return super().__new__(cls) if stats is None else cast(Self, LiveStats(path, stats, **options))


class LiveStats(Closing):
    """What ``Recorder(path, stats=100)`` returns: it folds each step's arrays, and writes their moments now and then.

    Steps are grouped in windows, from multiples of ``stats`` on. When a step of a later window comes, a thread writes
    the moments of all arrays of the window before to the folder ``path``, all or none: a process that is killed loses
    the window that it is in. :func:`covdist.load` returns all windows as groups by "window", whose labels are their
    first steps; ``m.merge("window")`` is the state of all. Those of a window are what :func:`covdist.moments` of the
    recorded rows would be, but for rounding.

    Memory is that of one state for each array, and of those that are being written: matrices of up to 4,096 columns,
    variances of more. NaN and infinities are counted and go on into the results of their columns. Coordinates such as
    ``epoch=3`` are accepted, and not kept.
    """

    def __init__(
        self, path: str | os.PathLike[str], steps: int, *, mode: str = "x",
        per_step: Sequence[str] = ("gradient", "weight"), rank: int | None = None, **others: object,
    ):  # fmt: skip
        from covdist.results.windows import begun, steps_of

        self._closed, self._path = True, path
        if others:
            raise DataError(f"{', '.join(others)} is about a log, and with stats= none is written: leave it out.")
        check_mode(mode, rank, None)
        self._folder, self._steps, self._rank = Path(local_path(path)).absolute(), whole("stats", steps), rank
        self._per_step = names("per_step", per_step)
        exists = os.path.lexists(self._folder)
        if mode == "x" and rank is None and exists:
            raise ResultError(f'{path} exists already: give a new path, or mode="a" to continue.')
        if exists and (known := begun(self._folder)) != steps:
            raise ResultError(
                f"{path} holds no statistics in windows of {steps} steps, found {known}: give a new path."
            )
        done = steps_of(self._folder, rank) if exists else []
        if mode == "x" and done:
            raise ResultError(f'{path} holds windows of rank {rank} already: give a new path, or mode="a" to continue.')
        self._last = max(done, default=None)
        try:
            self._begin()
        except OSError as error:
            raise not_begun(path, error) from error
        self._folds: dict[str, _Fold] = {}
        self._window: tuple[int, int] | None = None  # first step of those folded, and the last
        self._lock, self._pool = threading.RLock(), ThreadPoolExecutor(1, "covdist-stats")
        self._writing: Future[None] | None = None
        self._closed = False

    def _begin(self) -> None:
        from covdist.results.windows import MARKER

        place = place_at(self._folder)
        if place.get(MARKER) is None:
            place.begin(MARKER, json.dumps({"covdist": 1, "steps": self._steps}).encode())

    def log(self, step: int, arrays: Mapping[str, npt.ArrayLike], **coordinates: float | str) -> None:
        """Fold the arrays of one step; as for :meth:`covdist.Recorder.log`.

        Raises
        ------
        DataError
            An array is not real numbers, its width has changed, or the step is not later than one that is saved.
        ResultError
            It is closed, or a window could not be written.
        """
        with self._lock:
            self._check_open()
            check_arrays(arrays)
            now = int(as_marks(step, coordinates)["step"])
            rows = {name: as_rows(name, as_array(name, each), self._per_step) for name, each in arrays.items()}
            self._check(now, rows)
            if self._window is not None and now // self._steps != self._window[0] // self._steps:
                self._end_window()
            first, last = self._window or (now, now)
            self._window = min(first, now), max(last, now)
            for name, each in rows.items():
                self._folds.setdefault(name, _Fold(name, each)).add(each)

    def _check_open(self) -> None:
        if self._closed:
            raise ResultError(f"{self._path} is closed: open it again with mode='a'.")

    def _check(self, step: int, rows: Mapping[str, Rows]) -> None:
        if self._last is not None and step <= self._last:
            raise DataError(
                f"step {step} is in statistics that are saved, up to step {self._last}: go on with later ones."
            )
        if (window := self._window) is not None and step // self._steps < window[0] // self._steps:
            raise DataError(f"step {step} is in a window before that of step {window[1]}: log steps in order.")
        for name, each in rows.items():
            if each.data.dtype.kind == "U":
                raise DataError(f"{name} is text, which has no moments: leave it out.")
            if name in self._folds and self._folds[name].row != each.data.shape[1:]:
                raise DataError(
                    f"{name} has rows of shape {each.data.shape[1:]}, expected {self._folds[name].row} as before: log "
                    "it under another name."
                )

    def _end_window(self) -> None:
        """Let a thread write the window; waits for the one before it."""
        self._wait()
        if self._window is not None:
            folds, self._folds = self._folds, {}
            self._writing = self._pool.submit(self._write, folds, *self._window)
            self._last, self._window = self._window[1], None

    def _write(self, folds: Mapping[str, _Fold], first: int, last: int) -> None:
        from covdist.results.saving import save
        from covdist.results.windows import name_of

        label = first // self._steps * self._steps
        found = {name: fold.moments(label) for name, fold in folds.items() if fold.rows}
        if found:
            save(found, self._folder / name_of(first, last, self._rank))

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            try:
                writing.result()
            except OSError as error:
                self._closed = True
                raise ended(self._path, error) from error
            except ResultError as error:
                self._closed = True
                if isinstance(cause := error.__cause__, OSError):  # what it names is a window
                    raise ended(self._path, cause) from cause
                raise

    def flush(self) -> None:
        """Return when all windows that are over are written."""
        with self._lock:
            self._check_open()
            self._wait()

    def close(self) -> None:
        """Write the last window as far as it got, and refuse further calls of ``log``."""
        with self._lock:
            if not self._closed:
                try:
                    self._end_window()
                    self._wait()
                finally:
                    self._closed = True
                    self._pool.shutdown(wait=False)


@dataclass
class _Fold:
    """The rows of one array in a window."""

    name: str
    row: tuple[int, ...]
    rows: int

    def __init__(self, name: str, first: Rows):
        from covdist.numerics.accumulator import Options
        from covdist.numerics.nonfinite import propagate
        from covdist.state.scatter import Scatter
        from covdist.state.variances import Variances

        self.name, self.row, self.rows = name, first.data.shape[1:], 0
        self._dims, self._sample, self._dtype = first.dims if self.row else [], first.dim, first.data.dtype
        self.width = int(np.prod(self.row))
        self._kind: Any = Scatter if self.width <= _FEW_COLUMNS else Variances
        self._fold = self._kind.accumulator(self.width, Options(propagate))

    def add(self, rows: Rows) -> None:
        self.rows += len(rows.data)
        self._fold.add(rows.data.reshape(len(rows.data), self.width))

    def moments(self, label: int) -> Any:
        """Return the moments as those of the group ``label``."""
        from covdist.kernel.library import kind
        from covdist.results.labels import Axis, Groups
        from covdist.results.layout import Layout
        from covdist.results.moments import Moments
        from covdist.results.windows import DIM
        from covdist.state.grouped import Grouped

        about = {
            "rows": self.rows, "source": self.name, "dims": self._sample, "dtype": str(self._dtype),
            "missing": "propagate", "inf": "raise", "precision": "high", "kernel": kind(),
        }  # fmt: skip
        axis = Axis("_".join(self._dims) or None, self.width)
        layout = Layout(self._kind, (axis,), Groups(DIM, np.array([label])), about)
        return Moments(Grouped(self._kind.empty(self.width), {0: self._fold.state()}), layout)
