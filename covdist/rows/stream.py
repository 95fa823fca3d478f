"""``Stream``: an array seen as rows cut into pieces, on the client; hands each shard its ``Part``.

Three kinds: arrays of a log that covdist opened itself are read straight into a reused buffer; any other dask
array travels as the part of its graph that makes the shard's chunks; numpy arrays are sliced.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol

import dask.array as da
import numpy as np
from dask.base import optimize, tokenize
from dask.core import get_dependencies
from dask.typing import Key

from covdist.engine.dask_private import computed_keys
from covdist.logs.dask_arrays import from_dask, with_sources
from covdist.rows.fold import Blocks, Part, Reader
from covdist.rows.readers import ArrayReader, GivenReader, GraphReader, SourceReader, as_rows

_PIECE = 1 << 23  # bytes of a piece of an array that has no chunks of its own


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
    """Rows as they are."""

    def part(self, start: int, stop: int) -> Part: ...


def stream(array: da.Array | np.ndarray, sample_ndim: int, columns: slice | None = None) -> PlainStream:
    """Choose the kind of stream for an array whose leading ``sample_ndim`` axes are samples.

    ``columns`` picks a range of the first other axis, all of it by default.
    """
    if columns is None:
        columns = slice(0, array.shape[sample_ndim] if array.ndim > sample_ndim else 1)
    if isinstance(array, np.ndarray):
        return _ArrayStream(_cut_columns(array, sample_ndim, columns), sample_ndim)
    source = from_dask(array)
    cut = _cut_columns(array, sample_ndim, columns)
    if source is None:
        return _graph_stream(cut, sample_ndim)
    reader = SourceReader(source, sample_ndim, columns)
    return _PieceStream(cut, sample_ndim, lambda *_: reader, reader.piece_bytes)


def _cut_columns(array: Any, sample_ndim: int, columns: slice) -> Any:
    whole = array.ndim == sample_ndim or columns == slice(0, array.shape[sample_ndim])
    return array if whole else array[(slice(None),) * sample_ndim + (columns,)]


def _bounds(chunks: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """First rows of the pieces, one piece per cell of the sample axes' chunk grid in C order."""
    heights = np.ones(1, np.int64)
    for axis in chunks:
        heights = np.multiply.outer(heights, np.asarray(axis, np.int64)).ravel()
    return np.concatenate([[0], np.cumsum(heights)])


class Unshared:
    """For streams whose pieces share no work: dask computes none of them."""

    shared = False
    collections: Sequence[Any] = ()

    def keys(self, start: int, stop: int) -> list[Any]:
        """Return no keys."""
        return []

    def ready(self) -> list[Any]:
        """Return an empty list."""
        return []


class _PieceStream(Unshared):
    def __init__(
        self, array: da.Array, sample_ndim: int, reader: Callable[[int, int], Reader], piece_bytes: int | None = None
    ):
        self.bounds = _bounds(array.chunks[:sample_ndim])
        self.width = math.prod(array.shape[sample_ndim:])
        self.token = array.name
        self._reader = reader
        heights = int(np.diff(self.bounds).max(initial=0))
        # A user's own graph is assumed to make each piece from something as large.
        self.piece_bytes = piece_bytes or 2 * heights * self.width * array.dtype.itemsize

    def part(self, start: int, stop: int) -> Part:
        first = int(np.searchsorted(self.bounds, start, side="right")) - 1
        last = int(np.searchsorted(self.bounds, stop, side="left"))
        return Part(self._reader(first, last), first, last, start - int(self.bounds[first]), stop - start)


class _ArrayStream(Unshared):
    def __init__(self, array: np.ndarray, sample_ndim: int):
        self._rows = as_rows(array, sample_ndim)
        row_bytes = max(1, self._rows[:1].nbytes)
        height = max(1, _PIECE // row_bytes)
        n = len(self._rows)
        self.bounds = np.append(np.arange(0, n, height), n)
        self.width = math.prod(array.shape[sample_ndim:])
        self.piece_bytes = height * row_bytes

    @cached_property
    def token(self) -> str:
        """Of the content: costs a pass, so only lazy results ask for it."""
        return str(tokenize(self._rows))

    def part(self, start: int, stop: int) -> Part:
        return Part(ArrayReader(self._rows[start:stop]), 0, 1, 0, stop - start)


class SharedStream(_PieceStream):
    shared = True

    def __init__(self, array: da.Array, sample_ndim: int, keys: list[Any]):
        super().__init__(array, sample_ndim, lambda *_: GivenReader(sample_ndim))
        self._keys, self.collections = keys, [array]

    def keys(self, start: int, stop: int) -> list[Any]:
        part = self.part(start, stop)
        return self._keys[part.first : part.last]


def _graph_stream(array: da.Array, sample_ndim: int) -> _PieceStream:
    (optimised,) = optimize(array)
    graph = with_sources(dict(optimised.__dask_graph__()))
    keys = list(_piece_keys(optimised.__dask_keys__(), sample_ndim, sample_ndim))
    graphs = [culled(graph, piece) for piece in keys]
    if share_work(graphs):
        return SharedStream(optimised, sample_ndim, keys)
    pieces = list(zip(graphs, keys, strict=True))
    return _PieceStream(
        array,
        sample_ndim,
        lambda first, last: GraphReader({i: pieces[i] for i in range(first, last)}, sample_ndim),
    )


def _piece_keys(keys: Any, depth: int, levels: int) -> Iterator[Any]:
    """Yield, per cell of the leading axes, the keys of its blocks, nested one level an axis."""
    if depth == 0:
        for _ in range(levels):
            keys = [keys]
        yield keys
    else:
        for inner in keys:
            yield from _piece_keys(inner, depth - 1, levels)


def culled(graph: dict[Key, Any], keys: Any) -> dict[Key, Any]:
    """Return the tasks that ``keys`` need."""
    needed: dict[Key, Any] = {}
    waiting = list(_flat(keys))
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed[key] = graph[key]
            waiting.extend(get_dependencies(graph, key))
    return needed


def _flat(keys: Any) -> Iterator[Key]:
    if isinstance(keys, list):
        for key in keys:
            yield from _flat(key)
    else:
        yield keys


def share_work(pieces: list[dict[Key, Any]]) -> bool:
    """Return whether two pieces need the same task; constants in the graph do not count."""
    seen: set[Key] = set()
    for graph in pieces:
        work = computed_keys(graph)
        if not seen.isdisjoint(work):
            return True
        seen |= work
    return False
