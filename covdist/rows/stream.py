"""``Stream``: an array seen as rows cut into pieces, on the client; hands each shard its ``Part``.

Three kinds: arrays of a log that covdist opened itself are read straight into a reused buffer; any other dask
array travels as the part of its graph that makes the shard's chunks; numpy arrays are sliced.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import dask.array as da
import numpy as np
from dask.base import optimize, tokenize
from dask.core import flatten
from dask.typing import Key

from covdist.engine.dask_private import computed_keys, needed_by
from covdist.logs.dask_arrays import from_dask, range_from_dask, with_sources
from covdist.logs.source import Source, in_slabs
from covdist.rows.fold import Blocks, Part, Reader
from covdist.rows.readers import ArrayReader, GivenReader, GraphReader, Promised, SourceReader, as_rows

PIECE = 1 << 23  # bytes of a piece of an array that has no chunks of its own


class Stream(Protocol):
    """Rows of the leading ``sample_ndim`` axes (in chunk order), the other axes flattened to columns."""

    bounds: np.ndarray  # int64 (pieces + 1,): first row of each piece, and the number of rows
    width: int
    piece_bytes: int  # largest piece in memory, with what reading it takes
    shared: bool  # whether pieces share work, so that dask makes them and a shard holds all of its own

    @property
    def token(self) -> str:
        """Equal for equal rows."""

    @property
    def collections(self) -> Sequence[Any]:
        """Collections that dask computes for shards."""

    def part(self, start: int, stop: int) -> Blocks: ...

    def keys(self, start: int, stop: int) -> list[Any]:
        """Return the keys of what dask makes for a shard."""

    def ready(self) -> list[Any]:
        """Return the values of those keys where they need no dask; equal for all shards."""


class PlainStream(Stream, Protocol):
    """Rows as they are, some perhaps in a dtype as they are stored that ``dtype`` holds."""

    dtype: np.dtype

    def part(self, start: int, stop: int) -> Part: ...


def stream(array: da.Array | np.ndarray, sample_ndim: int, columns: slice | None = None) -> PlainStream:
    """Return the rows of an array whose leading ``sample_ndim`` axes are samples; ``columns`` cuts the first other."""
    whole = slice(0, array.shape[sample_ndim] if array.ndim > sample_ndim else 1)
    columns = whole if columns is None else columns
    every = columns == whole or array.ndim == sample_ndim
    cut: Any = array if every else array[(slice(None),) * sample_ndim + (columns,)]
    if isinstance(array, np.ndarray):
        return ArrayStream(cut, sample_ndim)
    if (source := source_of(array)) is not None:
        reader = SourceReader(source, sample_ndim, columns)
    elif array.ndim > sample_ndim and (part := range_from_dask(array, sample_ndim)) is not None:
        source, own = part
        reader = SourceReader(source, sample_ndim, slice(own.start + columns.start, own.start + columns.stop))
    else:
        return _graph_stream(cut, sample_ndim)
    return _pieces(cut, sample_ndim, lambda *_: reader, reader.piece_bytes)


def source_of(array: da.Array | np.ndarray) -> Source | None:
    """Return the source whose rows an array is, None if it is something else."""
    return from_dask(array) if isinstance(array, da.Array) else None


def checksum_of(array: da.Array | np.ndarray) -> str | None:
    """Return what verifies rows of a log when they are read, "unverified" if nothing does; None of other rows."""
    source = source_of(array)
    # A format of another package may have sources that do not tell.
    return None if source is None else getattr(source, "checksum", None) or "unverified"


def kind_of(array: da.Array | np.ndarray) -> Hashable:
    """Return what is equal only for arrays whose streams have as many pieces, as wide and as large."""
    if isinstance(array, np.ndarray):
        return array.shape, array.dtype
    source = source_of(array)
    if source is None:
        return id(array)
    return array.shape, array.dtype, source.chunks, source.buffer_size, in_slabs(source) and source.slab_size


@dataclass(eq=False)
class PieceStream:
    """Pieces that ``reader(first, last)`` reads; those that share work, from the blocks that dask makes."""

    bounds: np.ndarray
    width: int
    token: str
    piece_bytes: int
    dtype: np.dtype
    reader: Callable[[int, int], Reader]
    shared: bool = False
    collections: Sequence[Any] = ()
    piece_keys: Sequence[Any] = ()

    def part(self, start: int, stop: int) -> Part:
        first, last = self._range(start, stop)
        return Part(self.reader(first, last), first, last, start - int(self.bounds[first]), stop - start)

    def keys(self, start: int, stop: int) -> list[Any]:
        return list(self.piece_keys[slice(*self._range(start, stop))])

    def ready(self) -> list[Any]:
        return []

    def _range(self, start: int, stop: int) -> tuple[int, int]:
        return bisect_right(self.bounds, start) - 1, bisect_left(self.bounds, stop)


class ArrayStream:
    """Rows in memory."""

    shared = False
    collections: Sequence[Any] = ()

    def __init__(self, array: np.ndarray, sample_ndim: int):
        self.rows = as_rows(array, sample_ndim)
        self.width = self.rows.shape[1] if self.rows.ndim == 2 else 1
        row_bytes = max(1, self.width * array.itemsize)
        height, n = max(1, PIECE // row_bytes), len(self.rows)
        self.bounds = np.array([0, n] if 0 < n <= height else [*range(0, n, height), n])
        self.piece_bytes, self.dtype = height * row_bytes, array.dtype

    @cached_property
    def token(self) -> str:
        """Of the content: costs a pass, so only lazy results ask for it."""
        return str(tokenize(self.rows))

    def part(self, start: int, stop: int) -> Part:
        return Part(ArrayReader(self.rows[start:stop]), 0, 1, 0, stop - start)

    def keys(self, start: int, stop: int) -> list[Any]:
        return []

    def ready(self) -> list[Any]:
        return []


def _pieces(
    array: da.Array, sample_ndim: int, reader: Callable[[int, int], Reader], piece_bytes: int | None = None
) -> PieceStream:
    """Return a stream with one piece a cell of the sample axes' chunk grid, in C order."""
    heights = _heights(array, sample_ndim)
    width = math.prod(array.shape[sample_ndim:])
    # A user's own graph is assumed to make each piece from something as large.
    made = 2 * int(heights.max(initial=0)) * width * array.dtype.itemsize
    bounds = np.concatenate([[0], np.cumsum(heights)])
    return PieceStream(bounds, width, array.name, piece_bytes or made, array.dtype, reader)


def _heights(array: da.Array, sample_ndim: int) -> np.ndarray:
    """Return the number of rows of each piece."""
    heights = np.ones(1, np.int64)
    for axis in array.chunks[:sample_ndim]:
        heights = np.multiply.outer(heights, np.asarray(axis, np.int64)).ravel()
    return heights


def _promised(array: da.Array, sample_ndim: int) -> Promised:
    columns = (math.prod(array.shape[sample_ndim:]),) if array.ndim > sample_ndim else ()
    return Promised(sample_ndim, columns, array.dtype)


def _graph_stream(array: da.Array, sample_ndim: int) -> PieceStream:
    (optimised,) = optimize(array)
    graph = with_sources(dict(optimised.__dask_graph__()))
    keys: list[Any] = [optimised.__dask_keys__()]
    for _ in range(sample_ndim):
        keys = [inner for outer in keys for inner in outer]
    for _ in range(sample_ndim):
        keys = [[key] for key in keys]  # nested one level an axis
    try:
        graphs = [culled(graph, piece) for piece in keys]
    except KeyError:  # of what a cluster keeps: optimising leaves it out
        return replace(_given_stream(array, sample_ndim, keys), token=f"{array.name}-kept")
    if share_work(graphs):
        return _given_stream(optimised, sample_ndim, keys)
    pieces = list(zip(graphs, keys, _heights(array, sample_ndim).tolist(), strict=True))
    promised = _promised(array, sample_ndim)
    return _pieces(
        array, sample_ndim, lambda first, last: GraphReader({i: pieces[i] for i in range(first, last)}, promised)
    )


def _given_stream(array: da.Array, sample_ndim: int, keys: Sequence[Any]) -> PieceStream:
    """Return a stream whose pieces dask makes, or has already."""
    heights, promised = _heights(array, sample_ndim).tolist(), _promised(array, sample_ndim)
    plain = _pieces(array, sample_ndim, lambda first, last: GivenReader(promised, heights[first:last]))
    return replace(plain, shared=True, collections=[array], piece_keys=keys)


def culled(graph: dict[Key, Any], keys: Any) -> dict[Key, Any]:
    """Return the part of a graph that makes ``keys``; KeyError where it lacks something."""
    needed: dict[Key, Any] = {}
    waiting = list(flatten([keys]))
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed[key] = graph[key]
            waiting.extend(needed_by(graph, key))
    return needed


def share_work(pieces: list[dict[Key, Any]]) -> bool:
    """Return whether two pieces need the same task; constants in the graph do not count."""
    seen: set[Key] = set()
    for graph in pieces:
        work = computed_keys(graph)
        if not seen.isdisjoint(work):
            return True
        seen |= work
    return False
