"""``Recorder``: the arrays of a training run, appended step by step to a Zarr v3 log."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from covdist.errors import DataError, ResultError
from covdist.record.column import METADATA
from covdist.record.track import Track, join, mark_name, read_tracks
from covdist.record.values import Rows, as_marks, as_rows, check_marks, check_same
from covdist.storage.place import place_at

FORMAT = 1  # the root's attribute "covdist"


class Recorder:
    """Append arrays to a log, one call per training step.

    A process that is killed loses only the rows since its last flush; the log can be opened and continued. Up to
    ``chunk_bytes`` per array are buffered in memory, and flushed when full.

    Parameters
    ----------
    path : str or path-like
        Folder to create, or a URL that fsspec knows.
    mode : {"x", "a"}
        Create a log at a path that does not exist, or continue one.
    chunk_bytes : int
        Approximate size of a chunk file.
    per_step : sequence of str
        Last parts of the names whose arrays are one row per step, ``(step, param)``. All other arrays append their
        rows, ``(sample, unit)``; scalars are one value per step.

    Raises
    ------
    ResultError
        The path exists already (``"x"``), or holds no recorded log (``"a"``).

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

    def __init__(
        self, path: str | os.PathLike[str], *, mode: str = "x", chunk_bytes: int = 8 << 20,
        per_step: Sequence[str] = ("gradient", "weight"),
    ):  # fmt: skip
        if mode not in ("x", "a"):
            raise DataError(f'mode must be "x" (a new log) or "a" (continue one), found {mode!r}.')
        if chunk_bytes < 1:
            raise DataError(f"chunk_bytes must be at least 1, found {chunk_bytes}.")
        self._path, self._place = path, place_at(path, durable=False)
        self._chunk_bytes = chunk_bytes
        self._per_step = (per_step,) if isinstance(per_step, str) else tuple(per_step)
        self._tracks: dict[tuple[str, str], Track] = {}
        self._closed = False
        if not self._place.exists():
            self._put_group("", {"covdist": FORMAT})
        elif mode == "x":
            raise ResultError(f'{path} exists already: give a new path, or mode="a" to continue a log.')
        else:
            self._check_root()
            self._tracks = read_tracks(self._place, chunk_bytes)
        self._of = {column.path: track for track in self._tracks.values() for column in track.members.values()}
        self._sizes = {
            (track.node, dim): size
            for track in self._tracks.values()
            for column in track.members.values()
            for dim, size in zip(column.dims[1:], column.row, strict=True)
        }

    def log(self, step: int, arrays: Mapping[str, npt.ArrayLike], **coordinates: float) -> None:
        """Append the arrays of one step.

        Arrays of a layer that are always logged together, with equal numbers of rows, share a dim; another array
        gets a dim of its own, such as ``weight_step`` or ``input_sample``.

        Parameters
        ----------
        step : int
            Recorded as the coordinate ``step`` of rows per step, ``sample_step`` of samples.
        arrays : mapping of str to array
            By layer and variable, ``{"fc1/activation": a, ...}``; anything that NumPy can convert.
        **coordinates : number
            Recorded like the step; ``epoch=3`` becomes ``epoch`` and ``sample_epoch``.

        Raises
        ------
        DataError
            An array's dtype or width has changed, it is not real, or its name cannot be used; nothing of the call is
            recorded.
        ResultError
            The recorder is closed.
        """
        if self._closed:
            raise ResultError(f'{self._path} is closed: open it again with Recorder(path, mode="a").')
        marks = as_marks(step, coordinates)
        rows = {name: as_rows(name, value, self._per_step) for name, value in arrays.items()}
        new = {name: each for name, each in rows.items() if name not in self._of}
        self._check(rows, new, marks)
        self._create(new, marks)
        for track in {id(track): track for track in map(self._of.__getitem__, rows)}.values():
            self._append(track, rows, marks)

    def flush(self) -> None:
        """Write the buffered rows, so that a crash cannot lose them."""
        for track in self._tracks.values():
            track.flush()

    def close(self) -> None:
        """Write the buffered rows, and refuse further calls of ``log``."""
        if not self._closed:
            self.flush()
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _check_root(self) -> None:
        root = self._place.get(METADATA)
        version = json.loads(root).get("attributes", {}).get("covdist") if root else None
        if version != FORMAT:
            raise ResultError(
                f"{self._path} is no log of format {FORMAT} that a Recorder began (found {version!r}): give a new path."
            )

    def _check(self, rows: Mapping[str, Rows], new: Mapping[str, Rows], marks: Mapping[str, np.ndarray]) -> None:
        for name, each in rows.items():
            node, _, variable = name.rpartition("/")
            track = self._tracks.get((node, each.dim)) if name in new else self._of[name]
            if track and name not in new:
                check_same(name, each, track.members[variable])
            if track and (name not in new or not track.length):
                check_marks(name, marks, track.marks)
        if new:
            self._check_names(new, marks)

    def _check_names(self, new: Mapping[str, Rows], marks: Mapping[str, np.ndarray]) -> None:
        arrays = {*self._of, *new}
        layers = {upper for path in arrays for upper in _uppers(path)}
        kept = {join(node, each) for node in {path.rpartition("/")[0] for path in arrays}
                for each in self._mark_names(node, arrays, marks)}  # fmt: skip
        for name in sorted(arrays):
            if name in layers or name in kept or kept & set(_uppers(name)):
                raise DataError(
                    f"{name} cannot be an array, because that name or a part of it is a layer or a "
                    "coordinate: choose another name."
                )

    def _mark_names(self, node: str, arrays: set[str], marks: Mapping[str, np.ndarray]) -> set[str]:
        known = {mark for (at, _), track in self._tracks.items() if at == node for mark in track.marks}
        variables = [path.rpartition("/")[2] for path in arrays if path.rpartition("/")[0] == node]
        dims = [dim for kind in ("step", "sample") for dim in (kind, *(f"{each}_{kind}" for each in variables))]
        return {mark_name(dim, mark) for dim in dims for mark in (*known, *marks)}

    def _create(self, new: Mapping[str, Rows], marks: Mapping[str, np.ndarray]) -> None:
        for name, rows in new.items():
            node, _, variable = name.rpartition("/")
            track = self._tracks.get((node, rows.dim))
            if track is None or track.length:
                peers = [e for n, e in new.items() if n.rpartition("/")[0] == node and e.dim == rows.dim]
                track = self._begin(node, f"{variable}_{rows.dim}" if track else rows.dim, peers, marks)
            track.add(variable, self._unit_dims(node, variable, rows), rows.data.dtype, rows.data.shape[1:])
            self._of[name] = track

    def _begin(self, node: str, dim: str, peers: list[Rows], marks: Mapping[str, np.ndarray]) -> Track:
        for upper in _uppers(join(node, dim)):
            self._put_group(upper, {})
        base = max(1, self._chunk_bytes // max(each.row_bytes for each in peers))
        track = self._tracks[node, dim] = Track(self._place, node, dim, base, self._chunk_bytes)
        for mark, value in marks.items():
            track.add_mark(mark, value.dtype)
        return track

    def _unit_dims(self, node: str, variable: str, rows: Rows) -> tuple[str, ...]:
        row = rows.data.shape[1:]
        names = ["param" if rows.dim == "step" else "unit"] if len(row) == 1 else [f"unit_{i}" for i in range(len(row))]
        return tuple(
            dim if self._sizes.setdefault((node, dim), size) == size else f"{variable}_{dim}"
            for dim, size in zip(names, row, strict=True)
        )

    def _append(self, track: Track, rows: Mapping[str, Rows], marks: Mapping[str, np.ndarray]) -> None:
        given = {name: rows.get(join(track.node, name)) for name in track.members}
        counts = {name: len(each.data) if each else 0 for name, each in given.items()}
        count = next((amount for amount in counts.values() if amount), 0)
        apart = [name for name, amount in counts.items() if amount != count]
        for name in apart:
            alone = track.split(name)
            self._tracks[alone.node, alone.dim] = self._of[join(track.node, name)] = alone
        for each in (track, *(self._of[join(track.node, name)] for name in apart)):
            data = {name: rows[join(each.node, name)].data for name in each.members if counts[name]}
            each.append(data, marks, max(counts[name] for name in each.members))

    def _put_group(self, path: str, attributes: dict[str, int]) -> None:
        group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        self._place.put(f"{path}/{METADATA}".lstrip("/"), json.dumps(group).encode())


def _uppers(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]
