"""Results on disk: one Zarr group per state, written whole or not at all."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from dask.base import compute
from zarr.codecs import Crc32cCodec

from covdist.engine.plan import human_bytes
from covdist.errors import ResultError
from covdist.results import arrays as arrays
from covdist.results.labels import Axis, Groups
from covdist.results.moments import Layout, Moments
from covdist.results.tile_store import StoredTiles

JOB_RESULT = "result.zarr"  # within a job's folder
_FORMAT = 1
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_CHUNK = 1 << 24  # bytes
_BROKEN = (OSError, ValueError, TypeError, KeyError, RuntimeError)  # what zarr raises for bad bytes and metadata
_NOT_PROVENANCE = ("covdist", "nodes", "versions", "created", "kind", "ddof", "axes", "groups", "coordinates", "tiles")


def _computed(lazy: dict[str, Moments]) -> dict[str, Moments]:
    return dict(zip(lazy, compute(*lazy.values()), strict=True))


def save(
    moments: Moments | Mapping[str, Moments],
    path: str | Path,
    computed: Callable[[dict[str, Moments]], dict[str, Moments]] = _computed,
) -> dict[str, Moments]:
    """Write moments, or a mapping {node path: moments}, to a new Zarr store, and return them computed.

    Parameters
    ----------
    moments : Moments or mapping
        Computed first where they are lazy.
    path : str or Path
        Must not exist; appears only when everything is written. Workers write the tiles of a matrix in tiles
        themselves, so they must be able to reach it.
    computed : callable
        Computes a mapping of lazy moments.

    Raises
    ------
    ResultError
        If ``path`` exists, or its folder does not.
    """
    target = free_path(path)
    found = {"": moments} if isinstance(moments, Moments) else dict(moments)
    with _renamed_when_done(target) as place:
        marks = {"covdist": _FORMAT, "nodes": _places(list(found)), **_provenance()}
        root = zarr.open_group(place, mode="w", zarr_format=3, attributes=marks)
        groups = {node: root.require_group(at) if at else root for node, at in marks["nodes"].items()}
        results = computed({node: _with_tiles(groups[node], one) for node, one in found.items()})
        for node, one in results.items():
            _write(groups[node], one)
    return results


def _with_tiles(group: zarr.Group, moments: Moments) -> Moments:
    return moments if moments.matrix is None else moments.matrix.written(moments, group)


def _places(nodes: list[str]) -> dict[str, str]:
    """Return a group for each node; none inside another, where an array could have the name of a layer."""
    if nodes == [""]:
        return {"": ""}
    flat = "" in nodes or any(node.startswith(f"{other}/") for node in nodes for other in nodes)
    places: dict[str, str] = {}
    for node in nodes:
        place = (node or "root").replace("/", ".") if flat else node
        while place in places.values():
            place += "_"
        places[node] = place
    return places


def free_path(path: str | Path) -> Path:
    """Return where a result can be written, or say why not."""
    target = Path(path).absolute()
    if target.exists():
        raise ResultError(f"{path} exists already: choose another output, or remove it first")
    if not target.parent.is_dir():
        raise ResultError(f"the folder {target.parent} for the output does not exist: make it first")
    if not os.access(target.parent, os.W_OK):
        raise ResultError(f"the folder {target.parent} for the output is not writable: choose another")
    return target


def check_room(path: str | Path, size: int) -> None:
    """Raise ResultError where the disk that a path lies on has less than ``size`` bytes free; a URL has no disk."""
    if "://" in str(path):
        return
    place = Path(path).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if size > free:
        raise ResultError(
            f"{path} would take {human_bytes(size)}, but its disk has {human_bytes(free)} free: choose another place, "
            "or fewer columns"
        )


@contextmanager
def _renamed_when_done(target: Path) -> Iterator[Path]:
    place = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield place
        os.rename(place, target)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise ResultError(f"{target} cannot be written ({error}): choose another place") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _provenance() -> dict[str, Any]:
    versions = {name: version(name) for name in ("covdist", "numpy", "dask", "distributed", "zarr", "xarray")}
    return {
        "versions": {"python": platform.python_version(), **versions},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _write(group: zarr.Group, moments: Moments) -> None:
    found = arrays.read(moments)
    # What xarray makes coordinates again when it opens the group.
    beside = [str(name) for name in found.coords if name not in found.dims and " " not in str(name)]
    group.attrs.update({**found.attrs, **_names(moments.layout), "coordinates": " ".join(beside)})
    for name, array in found.variables.items():
        values = _storable(array.to_numpy())
        group.create_array(
            str(name),
            data=values,
            chunks=_chunks(values),
            compressors=[Crc32cCodec()],
            dimension_names=[str(d) for d in array.dims],
            config={"write_empty_chunks": True},  # so that a chunk that is not there was lost
        )


def _names(layout: Layout) -> dict[str, Any]:
    """Return the names that the arrays do not carry: y's dim and coordinates may be stored under others."""
    first, second = layout.matrix_axes()
    stored = zip(layout.axes, (first, second), strict=False)
    axes = [
        {"dim": axis.dim, "size": axis.size, "coords": dict(zip(axis.coords, other.coords, strict=True))}
        for axis, other in stored
    ]
    return {"axes": axes} if layout.groups is None else {"axes": axes, "groups": layout.groups.dim}


def _storable(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "O":
        inferred = np.asarray(values.tolist())
        values = inferred if inferred.shape == values.shape else values.astype(str)
    return values.astype(np.dtypes.StringDType()) if values.dtype.kind in "OSU" else values


def _chunks(values: np.ndarray) -> tuple[int, ...]:
    chunks: list[int] = []
    room = _CHUNK // values.dtype.itemsize
    for size in reversed(values.shape):
        chunks.insert(0, max(1, min(size, room)))
        room //= chunks[0]
    return tuple(chunks)


def load(path: str | Path) -> Moments | dict[str, Moments]:
    """Read what :func:`save` or ``covdist run`` wrote, or a job that is done.

    Parameters
    ----------
    path : str or Path
        Of a result, or of a job's folder.

    Returns
    -------
    Moments or dict
        Moments where the result holds one state, else a mapping {node path: Moments}.

    Raises
    ------
    ResultError
        If there is nothing at ``path``, or no covdist result.

    Examples
    --------
    >>> import tempfile, numpy as np, covdist
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     covdist.moments(np.eye(3)).save(f"{folder}/m.zarr")
    ...     int(covdist.load(f"{folder}/m.zarr").count)
    3
    """
    if not Path(path).exists():
        raise ResultError(f"{path} does not exist: pass the path that `covdist run -o` or Moments.save wrote")
    path = _in_job(Path(path))
    try:
        root = zarr.open_group(path, mode="r")
    except (FileNotFoundError, ValueError, OSError) as error:
        raise ResultError(f"{path} is no covdist result, which is a Zarr group ({error})") from error
    if root.attrs.get("covdist") != _FORMAT or "versions" not in root.attrs:
        raise ResultError(
            f"{path} is no covdist result of format {_FORMAT}: pass what `covdist run -o` or Moments.save wrote"
        )
    try:
        nodes: Any = root.attrs["nodes"]
        found = {node: _read(_group(root, place)) for node, place in nodes.items()}
    except _BROKEN as error:
        said = " ".join(str(error).split())
        raise ResultError(f"{path} is damaged ({said}): restore it from a copy, or make it again") from error
    return found[""] if found.keys() == {""} else found


def _in_job(path: Path) -> Path:
    if not (path / "manifest.json").is_file():
        return path
    if not (path / "result.json").is_file():
        raise ResultError(f"{path} holds a job that is not done: see `covdist status {path}`")
    return path / JOB_RESULT


def _group(root: zarr.Group, place: str) -> zarr.Group:
    group = root[place] if place else root
    if not isinstance(group, zarr.Group):
        raise ValueError(f"{place} is no group")
    return group


def _read(group: zarr.Group) -> Moments:
    attrs: dict[str, Any] = dict(group.attrs)
    axes = [
        Axis(each["dim"], each["size"], {name: _values(group, stored) for name, stored in each["coords"].items()})
        for each in attrs["axes"]
    ]
    groups = Groups(attrs["groups"], _values(group, attrs["groups"])) if "groups" in attrs else None
    known = {key: value for key, value in attrs.items() if key not in _NOT_PROVENANCE}
    layout = Layout(attrs["kind"], tuple(axes), groups, known)
    matrix = StoredTiles(group) if layout.kind == "tiles" else None
    return Moments(arrays.from_arrays(partial(_values, group), layout), layout, matrix)


def _values(group: zarr.Group, name: str) -> np.ndarray:
    array: Any = group[name]
    if array.nchunks_initialized != array.nchunks:
        lost = array.nchunks - array.nchunks_initialized
        raise ValueError(f"{array.path} lacks {lost} of its {array.nchunks} chunks")
    values = np.asarray(array[...])
    return np.array(values.tolist(), str) if values.dtype.kind == "T" else values
