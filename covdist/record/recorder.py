"""``Recorder``: the arrays of a training run, appended step by step to a Zarr v3 log."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from covdist.errors import ResultError
from covdist.record.claim import Claim
from covdist.record.column import METADATA
from covdist.record.live import OrStats
from covdist.record.options.asked import Asked, ByName, check_mode
from covdist.record.options.cap import Cap
from covdist.record.options.kept import Kept
from covdist.record.refused import Closing, ended, not_begun
from covdist.record.root import begin_root, check_held, check_root, group
from covdist.record.sizes import WRITER
from covdist.record.track import read_tracks
from covdist.record.tracks import Tracks
from covdist.record.values import as_marks
from covdist.record.writer import Writer
from covdist.storage.place import place_at

P = ParamSpec("P")
T = TypeVar("T")
Refused = Callable[[str | os.PathLike[str], OSError], ResultError]  # makes the error of what cannot be written
_open: weakref.WeakSet[Recorder] = weakref.WeakSet()  # closed at exit


class Recorder(OrStats, Closing):
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
        Largest size of a chunk, before compression; chunks are smaller where there are many arrays.
    chunk : int, optional
        Rows of each chunk of arrays that are new, whatever their size, instead of as many as ``chunk_bytes`` holds.
    shard : int, optional
        Chunks of each file of arrays that are new, up to 255, so that a long log is few files: Zarr's sharding codec.
        Behind a URL each chunk is an object of its own, since objects cannot be written to in part.
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
    dtype : str, dtype or mapping, optional
        What arrays of floats are recorded in: ``float64``, ``float32``, ``float16``, ``bfloat16``, ``float8_e4m3fn`` or
        ``float8_e5m2``, rounded to nearest. Scalars, integers, booleans and text are recorded as they come, floats too
        where nothing is said of them. A value that the dtype cannot hold is refused; values so small that they become 0
        are warned of, once an array.
    every : int or mapping, optional
        Record only steps that are multiples of it.
    units : int, sequence of int or mapping, optional
        Record only these units, or so many, drawn by the seed: the same ones of all arrays as wide. They are numbered
        along the first axis of a row, per step along the flattened array; ``x.attrs["covdist_units"]`` lists them.
    project : int or mapping, optional
        Record this many random projections of each row that is wider, ``(sample, projection)``. The matrix P depends on
        the seed and the width; ``covdist.record.projection.matrix(x.attrs)`` makes it again. The covariance of what is
        recorded is PᵀCP, and its trace in expectation that of C.
    seed : int
        Of ``units`` and ``project``.
    max_bytes : int or str, optional
        Most bytes that the log, or this rank's part of it, may take, counted before compression. The first call that
        would exceed it and those after it record nothing, which a warning says once; training goes on.
    stats : int, optional
        Write no log, but the moments of each so many steps, folded as they come: ``covdist.load(path)`` reads them.
        Beside it, of the other options ``mode``, ``per_step`` and ``rank`` count, and no others are taken.

    ``dtype``, ``every``, ``units`` and ``project`` each take one value for all arrays, or a mapping of patterns to
    values, ``{"*/gradient": 64}``: an array goes by the first pattern that fits its name, as in the shell.

    Raises
    ------
    DataError
        An option is wrong.
    ResultError
        The path exists already (``"x"``), holds no recorded log (``"a"``), or cannot be written, or another recorder
        writes to it.

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
        self, path: str | os.PathLike[str], *, mode: str = "x", chunk_bytes: int = 8 << 20, chunk: int | None = None,
        shard: int | None = None, per_step: Sequence[str] = ("gradient", "weight"), rank: int | None = None,
        memory: int | str = "256MiB", from_step: int | None = None, dtype: ByName[npt.DTypeLike] = None,
        every: ByName[int] = None, units: ByName[int | Sequence[int]] = None, project: ByName[int] = None,
        seed: int = 0, max_bytes: int | str | None = None, stats: int | None = None,
    ):  # fmt: skip
        self._options = Asked.checked(locals())
        check_mode(mode, rank, from_step)
        self._path, self._root = path, place_at(path, durable=False)
        self._place = self._root if rank is None else place_at(f"{self._root!r}/rank{rank}", durable=False)
        self._lock = threading.RLock()
        try:
            self._claim = Claim(repr(self._root), rank)
        except OSError as error:
            raise not_begun(path, error) from error
        room = int(WRITER * self._options.room)
        self._writer = Writer(path, room, partial(check_held, self._claim, self._root))
        self._kept = Kept(self._options)
        self._tracks = self._or_give_up(not_begun, self._tracks_of_log, mode, rank, from_step)
        self._cap = Cap(self._options.max_bytes, self._tracks)
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
            data = self._kept.of(step, arrays)
            checked = self._tracks.check(data, marks)
            if self._cap.holds(data, marks, self._path):
                self._or_give_up(ended, self._tracks.append, checked, marks)

    def wants(self, step: int, name: str) -> bool:
        """Return whether an array of this name would be recorded in this step, so that it need not be made if not."""
        return not self._cap.reached and self._kept.wants(step, name)

    def dtype_of(self, name: str) -> np.dtype | None:
        """Return what floats of this name are rounded to where they are recorded whole, so that a hook can do it."""
        return self._kept.dtype_of(name)

    def defer(self, most: float) -> None:
        """Have the recorder's thread begin with what is logged when ``begin`` is called, or after ``most`` seconds.

        For who knows when the interpreter's lock is free, which that thread needs in turns with the one that trains.
        """
        if not self._closed:
            self._writer.defer(most)

    def begin(self, after: float = 0.0) -> None:
        """Have the recorder's thread begin with what was logged, after so many seconds."""
        if not self._closed:
            self._writer.begin(after)

    def flush(self) -> None:
        """Write the buffered rows, and return when they are written, so that a crash cannot lose them."""
        with self._lock:
            self._check_open(now=True)
            self._or_give_up(ended, self._tracks.flush)

    def close(self) -> None:
        """Write the buffered rows, and refuse further calls of ``log``; in a forked child, leave that to the parent."""
        with self._lock:
            if not self._closed and not self._claim.is_inherited():
                self._or_give_up(ended, self._finish)

    def __del__(self) -> None:
        if not self._closed:
            _open.add(self)
            self._writer.finish(self.close)

    def __reduce__(self) -> NoReturn:
        raise ResultError(
            f"the recorder of {self._path} belongs to its process and cannot be sent to another: open one there, with "
            "a rank of its own, Recorder(path, rank=...)."
        )

    def _finish(self) -> None:
        self.flush()
        self._tracks.finish()
        self._give_up()

    def _give_up(self) -> None:
        self._closed = True
        self._writer.end()
        self._claim.release()

    def _or_give_up(self, refused: Refused, act: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        try:
            try:
                return act(*given, **named)
            except BaseException:
                self._give_up()
                raise
        except OSError as error:
            raise refused(self._path, error) from error

    def _check_open(self, *, now: bool) -> None:
        if self._closed:
            raise ResultError(f'{self._path} is closed: open it again with Recorder(path, mode="a").')
        if self._claim.check(now=now):
            self._or_give_up(ended, check_root, self._root)
        self._or_give_up(ended, self._writer.check)

    def _tracks_of_log(self, mode: str, rank: int | None, from_step: int | None) -> Tracks:
        if mode == "x" and self._place.exists():
            raise ResultError(f'{self._path} exists already: give a new path, or mode="a" to continue a log.')
        begin_root(self._root, self._path, rank)
        attributes, found = {} if rank is None else {"covdist_rank": int(rank)}, {}
        if not self._place.exists():
            self._place.begin(METADATA, group({}))
        else:
            found = read_tracks(self._writer, self._place, self._options.chunk_bytes, attributes, from_step)
        return Tracks(self._writer, self._place, self._options, attributes, found, self._kept)


@atexit.register
def _close_all() -> None:
    for recorder in list(_open):
        try:
            recorder.close()
        except Exception:  # the others are closed all the same
            sys.excepthook(*sys.exc_info())
