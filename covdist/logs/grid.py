"""Arithmetic of a regular chunk grid, shared by the sources."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from covdist.logs.source import Source

Index = tuple[int, ...]
Slices = tuple[slice, ...]


def chunk_slices(index: Index, chunks: Index, shape: Index) -> Slices:
    """Return where a chunk lies in its array, cut to the array's shape."""
    return tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in zip(index, chunks, shape, strict=True))


def rectangle(source: Source, index: Slices) -> np.ndarray:
    """Assemble any rectangle of a source from its chunks."""
    bounds = [each.indices(size)[:2] for each, size in zip(index, source.shape, strict=True)]
    wanted = tuple(slice(start, max(start, stop)) for start, stop in bounds)
    grid = list(_overlapping(wanted, source.chunks))
    if len(grid) == 1 and chunk_slices(grid[0], source.chunks, source.shape) == wanted:
        return source.read_chunk(grid[0])
    result = np.empty([each.stop - each.start for each in wanted], source.dtype)
    for position in grid:
        held = chunk_slices(position, source.chunks, source.shape)
        common = [slice(max(h.start, w.start), min(h.stop, w.stop)) for h, w in zip(held, wanted, strict=True)]
        result[_relative(common, wanted)] = source.read_chunk(position)[_relative(common, held)]
    return result


def _overlapping(wanted: Slices, chunks: Index) -> Iterator[Index]:
    if any(each.start == each.stop for each in wanted):
        return iter(())
    return product(*(range(w.start // c, (w.stop - 1) // c + 1) for w, c in zip(wanted, chunks, strict=True)))


def _relative(inner: list[slice], outer: Slices) -> Slices:
    return tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
