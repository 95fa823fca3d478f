"""Sources as dask arrays, and the sources behind dask arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np

from covdist.engine.dask_private import constants_replaced, one_block, wrapped_by
from covdist.logs.formats import adopted
from covdist.logs.source import Source, is_source


def to_dask(source: Source) -> da.Array:
    """Wrap a source as a lazy dask array with one block per chunk of the log."""
    meta, name = np.empty((0,) * len(source.shape), source.dtype), f"log-{source.token}"
    if all(length <= size for length, size in zip(source.shape, source.chunks, strict=True)):
        return one_block(source, name, meta)
    return da.from_array(source, source.chunks, name, asarray=True, fancy=False, meta=meta)


def from_dask(array: da.Array) -> Source | None:
    """Return the source behind an array; None if there is none, or the array was sliced or changed since."""
    wrapped = wrapped_by(array)
    source = wrapped if is_source(wrapped) else adopted(wrapped)
    if source is None:
        return None
    whole = all(map(_is_cut, array.chunks, source.shape, source.chunks))
    return source if whole and array.ndim == len(source.shape) else None


def _is_cut(blocks: tuple[int, ...], length: int, size: int) -> bool:
    whole, rest = divmod(length, size)
    return blocks == (size,) * whole + ((rest,) if rest or not length else ())


def with_sources(graph: dict[Any, Any]) -> dict[Any, Any]:
    """Return a graph that reads arrays opened by zarr or xarray through sources of covdist."""
    return constants_replaced(graph, _reopened)


def _reopened(value: Any) -> Reopened | None:
    source = adopted(value)
    return None if source is None else Reopened(value, source)


@dataclass(frozen=True)
class Reopened:
    """An array in a graph; plain rectangles of it are read through a source."""

    array: Any
    source: Source

    def __getitem__(self, index: Any) -> Any:
        whole = isinstance(index, tuple) and len(index) == len(self.source.shape)
        plain = whole and all(isinstance(part, slice) and part.step in (None, 1) for part in index)
        return self.source[index] if plain else self.array[index]
