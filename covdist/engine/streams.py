"""``Stream``: an array seen as rows cut into pieces, on the client; hands each shard its ``Part``.

Three kinds: arrays of a log that covdist opened itself are read straight into a reused buffer; any other dask
array travels as the part of its graph that makes the shard's chunks; numpy arrays are sliced.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Protocol

import dask.array as da
import numpy as np
from dask._task_spec import DataNode
from dask.base import optimize, tokenize
from dask.core import get_dependencies
from dask.local import get_sync
from dask.typing import Key

from covdist.engine.shard import Part, Reader
from covdist.logs.source import Source, from_dask

_PIECE = 1 << 23  # bytes of a piece of an array that has no chunks of its own


class Stream(Protocol):
    """Rows of the leading ``sample_ndim`` axes (in chunk order), the other axes flattened to columns."""

    bounds: np.ndarray  # int64 (pieces + 1,): first row of each piece, and the number of rows
    width: int
    piece_bytes: int  # largest piece in memory, with what reading it takes

    @property
    def token(self) -> str:
        """Equal for equal rows."""

    def part(self, start: int, stop: int) -> Part: ...


def stream(array: da.Array | np.ndarray, sample_ndim: int) -> Stream:
    """Choose the kind of stream for an array whose leading ``sample_ndim`` axes are samples."""
    if isinstance(array, np.ndarray):
        return _ArrayStream(array, sample_ndim)
    source = from_dask(array)
    if source is not None:
        return _PieceStream(array, sample_ndim, lambda *_: _SourceReader(source, sample_ndim))
    return _graph_stream(array, sample_ndim)


def _bounds(chunks: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """First rows of the pieces, one piece per cell of the sample axes' chunk grid in C order."""
    heights = np.ones(1, np.int64)
    for axis in chunks:
        heights = np.multiply.outer(heights, np.asarray(axis, np.int64)).ravel()
    return np.concatenate([[0], np.cumsum(heights)])


class _PieceStream:
    def __init__(self, array: da.Array, sample_ndim: int, reader: Callable[[int, int], Reader]):
        self.bounds = _bounds(array.chunks[:sample_ndim])
        self.width = math.prod(array.shape[sample_ndim:])
        self.token = array.name
        self._reader = reader
        heights = int(np.diff(self.bounds).max(initial=0))
        self.piece_bytes = 2 * heights * self.width * array.dtype.itemsize  # as stored and as an array

    def part(self, start: int, stop: int) -> Part:
        first = int(np.searchsorted(self.bounds, start, side="right")) - 1
        last = int(np.searchsorted(self.bounds, stop, side="left"))
        return Part(self._reader(first, last), first, last, start - int(self.bounds[first]), stop - start)


class _SourceReader:
    """Reads chunks of a log into one buffer, used again for each piece."""

    def __init__(self, source: Source, sample_ndim: int):
        self._source, self._sample_ndim = source, sample_ndim

    def pieces(self, first: int, last: int) -> Iterator[np.ndarray]:
        source, n = self._source, self._sample_ndim
        buffer = np.empty(source.buffer_size, np.uint8)
        grid = [-(-length // chunk) for length, chunk in zip(source.shape, source.chunks, strict=True)]
        across = list(itertools.product(*map(range, grid[n:])))
        for number in range(first, last):
            cell = tuple(map(int, np.unravel_index(number, grid[:n])))
            if len(across) == 1:
                yield _as_rows(source.read_chunk((*cell, *across[0]), buffer), n)
            else:
                yield _as_rows(self._side_by_side(cell, across, buffer), n)

    def _side_by_side(self, cell: tuple[int, ...], across: list[tuple[int, ...]], buffer: np.ndarray) -> np.ndarray:
        source = self._source
        widths = source.chunks[len(cell) :]
        heights = [
            min(size, length - i * size) for i, size, length in zip(cell, source.chunks, source.shape, strict=False)
        ]
        out = np.empty((*heights, *source.shape[len(cell) :]), source.dtype)
        for index in across:
            chunk = source.read_chunk((*cell, *index), buffer)
            starts = [i * width for i, width in zip(index, widths, strict=True)]
            place: Any = [slice(s, s + n) for s, n in zip(starts, chunk.shape[len(cell) :], strict=True)]
            out[(..., *place)] = chunk
        return out


def _as_rows(array: np.ndarray, sample_ndim: int) -> np.ndarray:
    rows = math.prod(array.shape[:sample_ndim])
    columns = [math.prod(array.shape[sample_ndim:])] if array.ndim > sample_ndim else []
    return array.reshape(rows, *columns)  # not -1: numpy cannot tell the width of an empty chunk


class _ArrayStream:
    def __init__(self, array: np.ndarray, sample_ndim: int):
        self._rows = _as_rows(array, sample_ndim)
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
        return Part(_ArrayReader(self._rows[start:stop]), 0, 1, 0, stop - start)


class _ArrayReader:
    def __init__(self, rows: np.ndarray):
        self._rows = rows

    def pieces(self, first: int, last: int) -> Iterator[np.ndarray]:
        yield self._rows


class _GraphReader:
    """Evaluates the pieces' own graphs, one after the other, inside the task."""

    def __init__(self, pieces: dict[int, tuple[dict[Key, Any], Any]], sample_ndim: int):
        self._pieces, self._sample_ndim = pieces, sample_ndim

    def pieces(self, first: int, last: int) -> Iterator[np.ndarray]:
        for number in range(first, last):
            graph, keys = self._pieces[number]
            yield _as_rows(_joined(get_sync(graph, keys)), self._sample_ndim)


class _GivenReader:
    """Takes pieces that dask made, because they share work; a shard then holds all of its pieces."""

    def __init__(self, sample_ndim: int, blocks: list[Any] | None = None):
        self._sample_ndim, self._blocks = sample_ndim, blocks or []

    def given(self, blocks: list[Any]) -> _GivenReader:
        return _GivenReader(self._sample_ndim, blocks)

    def pieces(self, first: int, last: int) -> Iterator[np.ndarray]:
        for blocks in self._blocks:
            yield _as_rows(_joined(blocks), self._sample_ndim)


def _joined(blocks: Any, axis: int = 0) -> np.ndarray:
    """Join nested sequences of blocks, one level an axis."""
    if isinstance(blocks, np.ndarray) or not isinstance(blocks, list | tuple):
        return np.asarray(blocks)
    inner = [_joined(block, axis + 1) for block in blocks]
    return inner[0] if len(inner) == 1 else np.concatenate(inner, axis)


class SharedStream(_PieceStream):
    def __init__(self, array: da.Array, sample_ndim: int, keys: list[Any]):
        super().__init__(array, sample_ndim, lambda *_: _GivenReader(sample_ndim))
        self._keys, self.collection = keys, array

    def keys(self, start: int, stop: int) -> list[Any]:
        part = self.part(start, stop)
        return self._keys[part.first : part.last]


def _graph_stream(array: da.Array, sample_ndim: int) -> _PieceStream:
    (optimised,) = optimize(array)
    graph = dict(optimised.__dask_graph__())
    keys = list(_piece_keys(optimised.__dask_keys__(), sample_ndim, sample_ndim))
    culled = [_culled(graph, piece) for piece in keys]
    if _share_work(culled):
        return SharedStream(optimised, sample_ndim, keys)
    pieces = list(zip(culled, keys, strict=True))
    return _PieceStream(
        array,
        sample_ndim,
        lambda first, last: _GraphReader({i: pieces[i] for i in range(first, last)}, sample_ndim),
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


def _culled(graph: dict[Key, Any], keys: Any) -> dict[Key, Any]:
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


def _share_work(pieces: list[dict[Key, Any]]) -> bool:
    """Say whether two pieces need the same task; data that stands in the graph is no work."""
    seen: set[Key] = set()
    for graph in pieces:
        work = {key for key, task in graph.items() if not isinstance(task, DataNode)}
        if not seen.isdisjoint(work):
            return True
        seen |= work
    return False
