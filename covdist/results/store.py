"""Results on disk: one Zarr group per state, written whole or not at all."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec

from covdist.engine.plan import human_bytes
from covdist.errors import ResultError
from covdist.limits import limits

# How arrays are made: chunks have checksums, and are written where they are empty: one that is not there was lost.
CHECKED: dict[str, Any] = {"compressors": [Crc32cCodec()], "config": {"write_empty_chunks": True}}
_FORMAT = 1
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_BROKEN = (OSError, ValueError, TypeError, KeyError, RuntimeError)  # what zarr raises for bad bytes and metadata


@contextmanager
def new_result(path: str | Path, nodes: Sequence[str]) -> Iterator[dict[str, zarr.Group]]:
    """Yield a Zarr group for each node of a result, which appears at ``path`` when the block has ended."""
    target = free_path(path)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    versions = {name: version(name) for name in ("covdist", "numpy", "dask", "distributed", "zarr", "xarray")}
    places = _places(nodes)
    attrs: dict[str, Any] = {
        "covdist": _FORMAT,
        "nodes": places,
        "versions": {"python": platform.python_version(), **versions},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        root = zarr.open_group(partial, mode="w", zarr_format=3, attributes=attrs)
        yield {node: root.require_group(at) if at else root for node, at in places.items()}
        os.rename(partial, target)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise ResultError(f"{target} cannot be written ({error}): choose another place") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _places(nodes: Sequence[str]) -> dict[str, str]:
    """Return a group for each node; none inside another, where an array could have the name of a layer."""
    if list(nodes) == [""]:
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
    """Return the absolute path of a new result; ResultError where it cannot be written."""
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


def write(group: zarr.Group, dataset: xr.Dataset, attrs: Mapping[str, Any]) -> None:
    """Write the arrays and attributes of a dataset, and further attributes."""
    # xarray makes coordinates of these again when it opens the group.
    beside = [str(name) for name in dataset.coords if name not in dataset.dims and " " not in str(name)]
    group.attrs.update({**dataset.attrs, **attrs, "coordinates": " ".join(beside)})
    for name, array in dataset.variables.items():
        values = _storable(array.to_numpy())
        dims = [str(dim) for dim in array.dims]
        group.create_array(str(name), data=values, chunks=_chunks(values), dimension_names=dims, **CHECKED)


def _storable(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "O":
        inferred = np.asarray(values.tolist())
        values = inferred if inferred.shape == values.shape else values.astype(str)
    return values.astype(np.dtypes.StringDType()) if values.dtype.kind in "OSU" else values


def _chunks(values: np.ndarray) -> tuple[int, ...]:
    chunks: list[int] = []
    room = limits().store_chunk_bytes // values.dtype.itemsize
    for size in reversed(values.shape):
        chunks.insert(0, max(1, min(size, room)))
        room //= chunks[0]
    return tuple(chunks)


@contextmanager
def open_result(path: str | Path) -> Iterator[dict[str, zarr.Group]]:
    """Yield the groups of a result by node; what zarr raises within the block says that the result is damaged."""
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
        yield {node: _group(root, place) for node, place in nodes.items()}
    except _BROKEN as error:
        said = " ".join(str(error).split())
        raise ResultError(f"{path} is damaged ({said}): restore it from a copy, or make it again") from error


def _group(root: zarr.Group, place: str) -> zarr.Group:
    group = root[place] if place else root
    if not isinstance(group, zarr.Group):
        raise ValueError(f"{place} is no group")
    return group


def stored_array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """Return an array of a group without reading it."""
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise ValueError(f"{name} is no array")
    return array


def read_array(group: zarr.Group, name: str) -> np.ndarray:
    """Return an array of a group; ValueError where a chunk is lost."""
    array = stored_array(group, name)
    if lost := array.nchunks - array.nchunks_initialized:
        raise ValueError(f"{array.path} lacks {lost} of its {array.nchunks} chunks")
    values = np.asarray(array[...])
    return np.array(values.tolist(), str) if values.dtype.kind == "T" else values
