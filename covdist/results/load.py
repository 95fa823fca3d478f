"""``load``: a result on disk as Moments."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from covdist import plugins
from covdist.errors import DataError, ResultError
from covdist.given import local_path
from covdist.results.kept_rows import FOLDED, put_together
from covdist.results.labels import Axis, Groups, structured
from covdist.results.layout import Layout
from covdist.results.moments import Moments
from covdist.results.saving import check_options, format_named
from covdist.results.store import FEW_ROWS, MADE_FROM, StoredState, check_readable, open_result
from covdist.results.tile_store import StoredTiles
from covdist.results.windows import begun, joined
from covdist.state.base import Field, State, rebuilt
from covdist.state.grouped import Grouped
from covdist.state.named import state_type
from covdist.state.variances import Tiled
from covdist.storage.kinds import of_kind

JOB_RESULT = "result.zarr"  # within a job's folder
_NOT_PROVENANCE = {
    "covdist", "nodes", "versions", "created", "kind", "parameters", "ddof", "axes", "groups", "groups_stored",
    "groups_levels", "positions", "coordinates",
    Tiled.name, FEW_ROWS, MADE_FROM,
}  # fmt: skip


_TOLD = dict.fromkeys(  # of how rows were folded
    ["source?", "dims?", "dtype?", "missing?", "inf?", "precision?", "kernel?", "checksum?", "halflife?"], str
)
_AXIS = {"dim": str | None, "size": int, "coords": {str: str}, "levels?": [str]}
_STATE = {
    "kind": str, "axes": [_AXIS], "groups?": str, "groups_stored?": str, "groups_levels?": {str: str},
    "positions?": bool, "parameters?": {str: object}, "rows?": int, **_TOLD,
    f"{FEW_ROWS}?": {"missing": str, "inf": str, "precision": str, "arrays": [str]},
}  # fmt: skip


def load(path: str | Path, format: str | None = None, **options: Any) -> Moments | dict[str, Moments]:
    """Read what :meth:`Moments.save` or ``covdist run`` wrote, or a job that is done; or statistics of another tool.

    Parameters
    ----------
    path : str or Path
        Of a result, of a job's folder, or of what ``Recorder(path, stats=...)`` writes; or of a file of another tool.
    format : str, optional
        Of that file: "fid", "fadtk", "mom2" or "kronfluence"; docs/using/files.md says what is made of each. Such files
        do not say how many values were zero or not finite: these count as none.
    **options
        Of the format, such as ``count=50_000`` of "fid", which keeps no number of rows, and ``dim="unit"``, the name of
        the columns: the sum with other moments wants the same.

    Returns
    -------
    Moments or dict
        Moments where the result holds one state, else a mapping {node path: Moments}.

    Raises
    ------
    ResultError
        If ``path`` does not exist, or holds no covdist result.
    DataError
        If there is no such format or option, or the file holds something else.

    Examples
    --------
    >>> import tempfile, numpy as np, covdist
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     covdist.moments(np.eye(3)).save(f"{folder}/m.zarr")
    ...     int(covdist.load(f"{folder}/m.zarr").count)
    3
    """
    path = local_path(path)
    if format is not None:
        return _imported(path, format, options)
    if options:
        raise DataError(f"a result of covdist takes no options, found {', '.join(options)}: leave them out")
    _check_there(path)
    if (steps := begun(Path(path))) is not None:
        return dict(joined(Path(path), steps, load))
    if (job := _job_of(Path(path))) is not None:
        return load_of_job(job / JOB_RESULT, str(job))
    with open_result(Path(path)) as states:
        return _all_moments(states)


def load_of_job(place: Path, job: str) -> Moments | dict[str, Moments]:
    """Read the result of a job, which lies at ``place``, and which the job makes again where it is damaged."""
    again = f"remove {job}/{JOB_RESULT}, and `covdist resume {quote(job)}` makes it again"
    with open_result(place, again) as states:
        return _all_moments(states)


def _all_moments(states: Mapping[str, StoredState]) -> Moments | dict[str, Moments]:
    found = {node: _moments(one) for node, one in states.items()}
    return found[""] if found.keys() == {""} else found


def _check_there(path: str) -> None:
    if not os.path.exists(path):
        raise ResultError(
            f"{path} does not exist: pass the path that `covdist run -o` or Moments.save wrote, or that of a file of "
            "another tool"
        )
    check_readable(path)


def _imported(path: str, format: str, options: Mapping[str, Any]) -> Moments | dict[str, Moments]:
    module = format_named(format)
    if not hasattr(module, "read"):
        there = ", ".join(name for name in plugins.names("exports") if hasattr(plugins.find("exports", name), "read"))
        raise DataError(f"{format} files can be written, not read: those that can are {there}")
    check_options(module.read, format, options, 1)
    _check_there(path)
    found: dict[str, Moments] = module.read(path, **options)
    return found[""] if found.keys() == {""} else found


def _job_of(path: Path) -> Path | None:
    """Return the folder of the job whose folder or result this is, None where it is of none."""
    if (path / "manifest.json").is_file():
        if not (path / "result.json").is_file():
            raise ResultError(f"{path} holds a job that is not done: see `covdist status {quote(str(path))}`")
        return path
    beside = all((path.parent / name).is_file() for name in ("manifest.json", "result.json"))
    return path.parent if path.name == JOB_RESULT and beside else None


def _moments(stored: StoredState) -> Moments:
    attrs: Mapping[str, Any] = of_kind(dict(stored.attrs), _STATE, stored.group.path or "the state")
    kind = state_type({"name": attrs["kind"], **attrs.get("parameters", {})})
    axes = tuple(_axis(stored, **each) for each in attrs["axes"])
    if len(axes) != kind.sides:
        raise ValueError(f"a {kind.name} state has {kind.sides} axes, found {len(axes)}")
    provenance = {key: value for key, value in attrs.items() if key not in _NOT_PROVENANCE}
    layout = Layout(kind, axes, _groups(stored, attrs), provenance)
    matrix = StoredTiles(stored.group, axes[0].size) if kind is Tiled else None
    return Moments(_state(stored, layout), layout, matrix)


def _axis(
    stored: StoredState, dim: str | None, size: int, coords: Mapping[str, str], levels: Sequence[str] = (), **_: object
) -> Axis:
    if size < 0 or (dim is None and size != 1) or not coords.keys() >= set(levels):
        raise ValueError(f"there is no axis {dim!r} of size {size} with the coordinates {list(coords)} and {levels}")
    return Axis(dim, size, {name: _labels(stored, at, size) for name, at in coords.items()}, tuple(levels))


def _labels(stored: StoredState, at: str, size: int | None = None) -> np.ndarray:
    """Return labels in one row, so many where it is known."""
    shape = stored.shape(at)
    if len(shape) != 1 or size not in (None, *shape):
        raise ValueError(f"the labels {at} have the shape {shape}, expected {'one axis' if size is None else (size,)}")
    return stored.read(at)


def _groups(stored: StoredState, attrs: Mapping[str, Any]) -> Groups | None:
    if "groups" not in attrs:
        return None
    name, places = attrs["groups"], attrs.get("positions", False)
    if levels := attrs.get("groups_levels"):
        columns = {level: _labels(stored, at) for level, at in levels.items()}
        if len({len(each) for each in columns.values()}) > 1:
            raise ValueError(f"the labels of {name!r} are {', '.join(str(len(each)) for each in columns.values())}")
        return Groups(name, structured(columns), positions=places)
    return Groups(name, _labels(stored, attrs.get("groups_stored", name)), positions=places)


def _state(stored: StoredState, layout: Layout) -> State | Grouped:
    kind, widths = layout.state, layout.widths
    written = [name for name, field in kind.FIELDS.items() if field.default is None or name in stored]
    number = () if layout.groups is None else (_folded(stored, layout.groups),)
    for name in written:  # before room is made for so many columns
        _check_field(stored, name, kind.FIELDS[name], (*number, *kind.FIELDS[name].shape(widths)))
    if layout.groups is None:
        arrays = {name: stored.read(name) for name in written}
        for name, values in arrays.items():
            _check_values(name, kind.FIELDS[name], widths, values)
        return rebuilt(kind, widths, arrays)
    checks = [partial(_check_values, name, kind.FIELDS[name], widths) for name in written]
    rows = zip(*map(stored.read_rows, written, checks), strict=True)
    return put_together((rebuilt(kind, widths, dict(zip(written, row, strict=True))) for row in rows), stored, layout)


def _check_values(name: str, field: Field, widths: Sequence[int], values: np.ndarray) -> None:
    """Raise ValueError where values of a state, or of several along a first axis, are such as no state has."""
    if not field.holds(values.reshape(-1, *field.shape(widths)) if values.size else values):
        where = " on its diagonal" if field.triangle else ""
        raise ValueError(f"{name} holds values{where} that are not from {field.least} to {field.most}")


def _folded(stored: StoredState, groups: Groups) -> int:
    """Return how many groups have states; the others' rows are kept."""
    return groups.size if FEW_ROWS not in stored.attrs else _one(stored.shape(FOLDED))


def _one(shape: tuple[int, ...]) -> int:
    (size,) = shape
    return size


def _check_field(stored: StoredState, name: str, field: Field, expected: tuple[int, ...]) -> None:
    """Raise ValueError where a field is no array of its shape, but for axes of no dim, or of its numbers."""
    shape, dtype, own = stored.shape(name), stored.dtype(name), np.dtype(field.dtype)
    fits = [size for size in shape if size != 1] == [size for size in expected if size != 1]
    if not fits or (dtype.kind != own.kind and 0 not in shape):
        raise ValueError(f"{name} is {dtype} of shape {shape}, expected {own} of shape {expected}")
