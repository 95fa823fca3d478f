"""Arrays of a result: with checksums, and whole or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from covdist.limits import limits

# How arrays are made: chunks have checksums, and are written where they are empty: one that is not there was lost.
CHECKED: dict[str, Any] = {"compressors": [Crc32cCodec()], "config": {"write_empty_chunks": True}}
# What zarr raises for bad bytes and metadata.
BROKEN = (OSError, ValueError, TypeError, LookupError, RuntimeError, AttributeError, ArithmeticError, MemoryError)
_SMALL = 1 << 20  # bytes of an array that no memory lacks
_TEXT = 4  # bytes of a text in a file, at least


def storable(values: np.ndarray) -> np.ndarray:
    """Return labels as numbers, dates or text of any length."""
    if values.dtype.kind == "O":
        inferred = np.asarray(values.tolist())
        values = inferred if inferred.shape == values.shape else values.astype(str)
    return values.astype(np.dtypes.StringDType()) if values.dtype.kind in "OSU" else values


@dataclass(frozen=True)
class ByGroup:
    """An array whose entries along the first axis, one a group, are made when they are asked for."""

    shape: tuple[int, ...]
    dtype: np.dtype
    make: Callable[[int], np.ndarray]

    def __getitem__(self, codes: slice) -> np.ndarray:
        made = range(*codes.indices(self.shape[0]))
        return np.array([self.make(code) for code in made], self.dtype).reshape(len(made), *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:]


Values = np.ndarray | ByGroup
Check = Callable[[np.ndarray], None]  # raises ValueError


def write_array(group: zarr.Group, name: str, values: Values, dims: tuple[str, ...] | None = None) -> None:
    """Write an array; one by group as few groups at a time as a chunk holds."""
    about: Any = {"chunks": _chunks(values), "dimension_names": dims, **CHECKED}
    if isinstance(values, np.ndarray):
        group.create_array(name, data=values, **about)
        return
    array = group.create_array(name, shape=values.shape, dtype=values.dtype, **about)
    height = array.chunks[0]
    for start in range(0, array.shape[0], height):
        array[start : start + height] = values[start : start + height]


def write_npy(path: Path, values: np.ndarray) -> None:
    """Write a file of NumPy, which hands an open file to C, where errors lose their number."""
    with path.open("wb") as file:  # nor is a name given, which np.save would add to
        np.save(cast(Any, SimpleNamespace(write=file.write)), values)


def _chunks(values: Values) -> tuple[int, ...]:
    chunks: list[int] = []
    room = limits().store_chunk_bytes // values.dtype.itemsize
    for size in reversed(values.shape):
        chunks.insert(0, max(1, min(size, room)))
        room //= chunks[0]
    return tuple(chunks)


def stored_array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """Return an array of a group without reading it."""
    array = opened(group, name)
    if not isinstance(array, zarr.Array):
        raise ValueError(f"{name} is not an array")
    return array


def opened(group: zarr.Group, name: str) -> zarr.Group | zarr.Array[Any]:
    """Return what a group holds under a name; ValueError where it cannot be opened."""
    try:
        return group[name]
    except BROKEN as error:
        raise ValueError(f"{name} cannot be opened: {type(error).__name__} {error}") from error


def read_array(group: zarr.Group, name: str) -> np.ndarray:
    """Return an array of a group; ValueError where a chunk is lost or changed."""
    return _part(_whole(group, name), ...)


def read_rows(group: zarr.Group, name: str, check: Check) -> Iterator[np.ndarray]:
    """Yield what an array holds along its first axis; read, and check, a chunk of it at a time, as ``read_array``."""
    array = _whole(group, name)
    height = array.chunks[0]
    for start in range(0, array.shape[0], height):
        rows = _part(array, slice(start, start + height))
        check(rows)
        yield from rows


def _whole(group: zarr.Group, name: str) -> zarr.Array[Any]:
    array = stored_array(group, name)
    try:
        lost = array.nchunks - array.nchunks_initialized
        least = array.size * (array.dtype.itemsize if array.dtype.kind not in "OT" else _TEXT)
        short = least > _SMALL and least > array.nbytes_stored()  # no memory is taken for what is not there
    except BROKEN as error:
        raise ValueError(f"{array.path}: {error}") from error
    if lost:
        raise ValueError(f"{array.path} lacks {lost} of its {array.nchunks} chunks")
    if short:
        raise ValueError(f"{array.path} has the shape {array.shape}, for which its files are too small")
    return array


def _part(array: zarr.Array[Any], which: Any) -> np.ndarray:
    try:
        return np.asarray(array[which])
    except BROKEN as error:
        raise ValueError(f"{array.path}: {error}") from error


def plain(values: np.ndarray) -> np.ndarray:
    """Return labels as they were before ``storable``."""
    return np.array(values.tolist(), str) if values.dtype.kind == "T" else values
