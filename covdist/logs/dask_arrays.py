"""Sources as dask arrays, and the sources behind dask arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import dask.array as da
import numpy as np

from covdist.engine.dask_private import constants_replaced, one_block, sliced_from, wrapped_by
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
    source = _source(wrapped_by(array))
    if source is None:
        return None
    whole = all(map(_is_cut, array.chunks, source.shape, source.chunks))
    return source if whole and array.ndim == len(source.shape) else None


def range_from_dask(array: da.Array, axis: int) -> tuple[Source, slice] | None:
    """Return the source of which an array is a range along one axis, and the range; None if it is not."""
    if not array.size or (sliced := sliced_from(array)) is None:
        return None
    name, cuts = sliced
    source = _source(wrapped_by(array, name))
    if source is None or len(source.shape) != array.ndim:
        return None
    size, first = source.chunks[axis], cuts[(0,) * array.ndim]
    start = first.place[axis] * size + (first.part[axis].start or 0)
    begins = list(accumulate(array.chunks[axis], initial=start))
    whole = [number for number in range(array.ndim) if number != axis]
    plain = all(
        cut.part[axis].step in (None, 1)
        and cut.place[axis] * size + (cut.part[axis].start or 0) == begins[place[axis]]
        and all(cut.place[number] == place[number] and cut.part[number] == slice(None) for number in whole)
        for place, cut in cuts.items()
    ) and all(_is_cut(array.chunks[number], source.shape[number], source.chunks[number]) for number in whole)
    return (source, slice(start, begins[-1])) if plain else None


def _source(wrapped: object) -> Source | None:
    return wrapped if is_source(wrapped) else adopted(wrapped)


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
