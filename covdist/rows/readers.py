"""Readers: the part of an array that travels with a shard, and its pieces as rows on a worker."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from dask.local import get_sync
from dask.typing import Key

from covdist.errors import LogError
from covdist.kernel.threads import at_hand
from covdist.kernel.workspace import empty_bytes
from covdist.logs.source import Source, in_slabs, is_compressed
from covdist.numerics.nonfinite import unmasked
from covdist.rows.promised import check_chunk

_LARGE = 1 << 18  # values of a chunk; smaller ones are decoded before another thread has begun
_DECODED_BYTES = 1 << 26  # of chunks that are decoded at once, and of what they are decoded from: a process has room


class SourceReader:
    """Reads chunks of a log into one buffer that is reused for each piece, some rows at a time if possible.

    ``columns`` is a range along the first axis after the sample axes.
    """

    def __init__(self, source: Source, sample_ndim: int, columns: slice):
        self._source, self._sample_ndim, self._columns = source, sample_ndim, columns

    def like(self, source: Source) -> SourceReader:
        """Return the reader of another source of the same shape, dtype and chunks."""
        return SourceReader(source, self._sample_ndim, self._columns)

    def beside(self, other: SourceReader) -> tuple[SourceReader, list[slice]] | None:
        """Return the reader of this one's columns and another's, and where in its rows they lie.

        None where they lie in no chunk together, or have others between them.
        """
        source, n, ranges = self._source, self._sample_ndim, [self._columns, other._columns]
        both = slice(min(each.start for each in ranges), max(each.stop for each in ranges))
        apart = both.stop - both.start > sum(each.stop - each.start for each in ranges)
        same = (source.token, source.dtype, n) == (other._source.token, other._source.dtype, other._sample_ndim)
        if apart or not same or set(self._across()).isdisjoint(other._across()):
            return None
        inner = math.prod(source.shape[n + 1 :])
        cuts = [slice((each.start - both.start) * inner, (each.stop - both.start) * inner) for each in ranges]
        return SourceReader(source, n, both), cuts

    @property
    def piece_bytes(self) -> int:
        """Most memory for one piece: the chunks read, and a copy if several lie side by side."""
        source, across = self._source, self._across()
        if len(across) == 1:
            return _slab_size(source) if in_slabs(source) else 2 * _chunk_bytes(source)
        return (len(across) + 1) * _chunk_bytes(source)

    def _grid(self) -> list[int]:
        return [-(-n // size) for n, size in zip(self._source.shape, self._source.chunks, strict=True)]

    def _across(self) -> list[tuple[int, ...]]:
        """Return the indices, after the sample axes, of the chunks that hold the columns."""
        grid, n = self._grid(), self._sample_ndim
        ranges = [range(count) for count in grid[n:]]
        if ranges:
            size = self._source.chunks[n]
            ranges[0] = range(self._columns.start // size, -(-self._columns.stop // size))
        return list(itertools.product(*ranges))

    def pieces(self, first: int, last: int) -> Iterator[np.ndarray]:
        pieces = self._pieces_of(first, last)
        # Without a buffer each piece has memory of its own, so a thread can read the next one from a remote store.
        return ahead(pieces) if self._source.buffer_size == 0 else pieces

    def _pieces_of(self, first: int, last: int) -> Iterator[np.ndarray]:
        source, n, across = self._source, self._sample_ndim, self._across()
        if len(across) == 1 and is_compressed(source):
            yield from self._decoded(first, last, across[0])
            return
        slabs = source if in_slabs(source) else None
        buffer = _buffer(source, _slab_size(source) if n == 1 else source.buffer_size)
        for number in range(first, last):
            self._announce(range(number + 1, last)[:1])
            position = (*self._cell(number), *across[0])
            if len(across) > 1:
                yield as_rows(source[self._rectangle(number)], n)
            elif slabs is not None and n == 1:
                for slab in slabs.read_slabs(position, buffer):
                    yield self._cut(slab, across[0])
            else:
                yield self._cut(source.read_chunk(position, buffer), across[0])

    def _decoded(self, first: int, last: int, index: tuple[int, ...]) -> Iterator[np.ndarray]:
        """Read chunks that are decoded as a whole: large ones by all threads, as it takes longer than to keep them."""
        source, numbers = self._source, range(first, last)
        large = math.prod(source.chunks) >= _LARGE
        threads = min(at_hand(), len(numbers), _DECODED_BYTES // source.buffer_size - 1) if large else 1

        def read(number: int, buffer: np.ndarray) -> np.ndarray:
            return self._cut(source.read_chunk((*self._cell(number), *index), buffer), index)

        if threads > 1:
            yield from by_threads(read, numbers, [_buffer(source, source.buffer_size) for _ in range(threads + 1)])
            return
        buffer = _buffer(source, source.buffer_size)
        for number in numbers:
            self._announce(range(number + 1, last)[:1])
            yield read(number, buffer)

    def _announce(self, numbers: range) -> None:
        if in_slabs(self._source):
            for number, index in itertools.product(numbers, self._across()):
                self._source.announce((*self._cell(number), *index))

    def _cell(self, number: int) -> tuple[int, ...]:
        return tuple(map(int, np.unravel_index(number, self._grid()[: self._sample_ndim])))

    def _rectangle(self, number: int) -> tuple[slice, ...]:
        source, n = self._source, self._sample_ndim
        rows = [slice(i * size, (i + 1) * size) for i, size in zip(self._cell(number), source.chunks, strict=False)]
        return (*rows, self._columns, *[slice(None)] * (len(source.shape) - n - 1))

    def _cut(self, chunk: np.ndarray, index: tuple[int, ...]) -> np.ndarray:
        """Return the columns of this reader, with the sample axes flattened to rows."""
        n = self._sample_ndim
        if chunk.ndim > n:
            start = index[0] * self._source.chunks[n]
            columns = slice(self._columns.start - start, self._columns.stop - start)
            chunk = chunk[(slice(None),) * n + (columns,)]
        return as_rows(chunk, n)


def by_threads(
    read: Callable[[int, np.ndarray], np.ndarray], numbers: range, buffers: Sequence[np.ndarray]
) -> Iterator[np.ndarray]:
    """Yield what ``read`` returns of each number, by so many threads as are at hand, but one fewer than buffers.

    While one is used, the others are filled.
    """
    pool, waiting = ThreadPoolExecutor(len(buffers) - 1, "covdist-decode"), deque[Future[np.ndarray]]()
    try:
        for place, number in enumerate(numbers):
            waiting.append(pool.submit(read, number, buffers[place % len(buffers)]))
            while len(waiting) > min(len(buffers) - 1, at_hand()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # as in ``ahead``


def _chunk_bytes(source: Source) -> int:
    return math.prod(source.chunks) * source.dtype.itemsize


def _buffer(source: Source, size: int) -> np.ndarray:
    try:
        return empty_bytes(size)
    except MemoryError as error:
        raise LogError(
            f"{source.name} has chunks of {size:,} bytes, more than this process can have: write smaller ones, or "
            "restore its metadata."
        ) from error


def _slab_size(source: Source) -> int:
    return source.slab_size if in_slabs(source) else source.buffer_size


def as_rows(array: np.ndarray, sample_ndim: int) -> np.ndarray:
    if sample_ndim == 1 and array.ndim <= 2:
        return array
    rows = math.prod(array.shape[:sample_ndim])
    columns = [math.prod(array.shape[sample_ndim:])] if array.ndim > sample_ndim else []
    return array.reshape(rows, *columns)  # not -1: numpy cannot tell the width of an empty chunk


def ahead(pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Prepare the next piece while the last one is folded; each must have memory of its own."""
    pool = ThreadPoolExecutor(1, "covdist-ahead")
    try:
        waiting = pool.submit(next, pieces, None)
        while (piece := waiting.result()) is not None:
            waiting = pool.submit(next, pieces, None)
            yield piece
    finally:
        pool.shutdown(wait=False)  # garbage may be collected in its own thread, which cannot wait for itself


class ArrayReader(NamedTuple):
    rows: np.ndarray

    def pieces(self, first: int, last: int) -> Iterator[np.ndarray]:
        yield self.rows


class Promised(NamedTuple):
    """What a dask array says of its chunks, which a function that it maps over them need not keep to."""

    sample_ndim: int
    columns: tuple[int, ...]  # how many, or () of a vector
    dtype: np.dtype

    def rows(self, blocks: Any, height: int) -> np.ndarray:
        """Return blocks as rows; DataError where they are not what was promised, over which kernels would run."""
        found = as_rows(_joined(blocks), self.sample_ndim)
        check_chunk(found, (height, *self.columns), self.dtype)
        return found


class GraphReader(NamedTuple):
    """Evaluates the pieces' own graphs, one after the other, inside the task."""

    graphs: dict[int, tuple[dict[Key, Any], Any, int]]  # each with its keys and its number of rows
    promised: Promised

    def pieces(self, first: int, last: int) -> Iterator[np.ndarray]:
        graphs = (self.graphs[number] for number in range(first, last))
        return ahead(self.promised.rows(get_sync(graph, keys), height) for graph, keys, height in graphs)


class GivenReader(NamedTuple):
    """Takes pieces that dask tasks computed, because they share work; a shard holds all of its pieces at once."""

    promised: Promised
    heights: Sequence[int]  # rows of each piece
    blocks: Sequence[Any] = ()

    def given(self, blocks: list[Any]) -> GivenReader:
        return self._replace(blocks=blocks)

    def pieces(self, first: int, last: int) -> Iterator[np.ndarray]:
        for blocks, height in zip(self.blocks, self.heights, strict=True):
            yield self.promised.rows(blocks, height)


def _joined(blocks: Any, axis: int = 0) -> np.ndarray:
    """Join nested sequences of blocks, one level an axis."""
    if isinstance(blocks, np.ndarray) or not isinstance(blocks, list | tuple):
        return unmasked(blocks)
    inner = [_joined(block, axis + 1) for block in blocks]
    return inner[0] if len(inner) == 1 else np.concatenate(inner, axis)
