"""Arrays as streams of columns, each with all of its rows: the transpose of ``covdist.rows.stream``.

A piece is some columns, as an array (columns, rows). Chunks of few rows are joined inside the task.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import dask
import dask.array as da
import numpy as np

from covdist.errors import NonFiniteError
from covdist.limits import limits
from covdist.logs.dask_arrays import from_dask
from covdist.rows.fold import Part, Shard
from covdist.rows.stream import PlainStream, Unshared, stream


def column_stream(array: da.Array | np.ndarray, sample_ndim: int) -> PlainStream:
    """Return the stream of an array's columns; its leading ``sample_ndim`` axes are rows."""
    if not isinstance(array, np.ndarray) and array.ndim > sample_ndim and from_dask(array) is not None:
        return _SourceColumns(array, sample_ndim)
    rows = math.prod(array.shape[:sample_ndim])
    flat = array.reshape(rows, math.prod(array.shape[sample_ndim:]))
    if isinstance(flat, np.ndarray):
        return stream(flat.T, 1)
    with dask.config.set({"array.rechunk.method": "tasks"}):
        return stream(flat.rechunk({1: _split(flat)}).T, 1)


def _split(array: da.Array) -> tuple[int, ...]:
    most = max(1, limits().most_transposed_bytes // max(1, array.shape[0] * array.dtype.itemsize))
    cut: list[int] = []
    for width in array.chunks[1]:
        parts = max(1, -(-width // most))
        edges = np.linspace(0, width, parts + 1).astype(int)
        cut += np.diff(edges).tolist()
    return tuple(cut)


class _SourceColumns(Unshared):
    """Columns of a log that covdist opened: each piece reads its own from the chunks."""

    def __init__(self, array: da.Array, sample_ndim: int):
        self._array, self._sample_ndim = array, sample_ndim
        self.width = math.prod(array.shape[:sample_ndim])
        self.token = f"transposed-{array.name}"
        self._across = math.prod(array.shape[sample_ndim + 1 :])  # columns per index of the axis that is cut
        edges = self._edges()
        self.bounds = edges * self._across
        self._slices = [slice(int(a), int(b)) for a, b in pairwise(edges)]
        largest = int(np.diff(self.bounds).max()) * self.width * array.dtype.itemsize
        self.piece_bytes = largest + stream(array, sample_ndim, self._slices[0]).piece_bytes

    def _edges(self) -> np.ndarray:
        array, axis = self._array, self._sample_ndim
        length, chunk = array.shape[axis], max(array.chunks[axis])
        index_bytes = max(1, self.width * self._across * array.dtype.itemsize)
        step = max(chunk, limits().transposed_bytes // index_bytes // chunk * chunk)
        step = max(1, min(step, limits().most_transposed_bytes // index_bytes))
        return np.append(np.arange(0, length, step), length).astype(np.int64)

    def part(self, start: int, stop: int) -> Part:
        first = int(np.searchsorted(self.bounds, start, side="right")) - 1
        last = int(np.searchsorted(self.bounds, stop, side="left"))
        parts = {
            i: stream(self._array, self._sample_ndim, self._slices[i]).part(0, self.width) for i in range(first, last)
        }
        return Part(_ColumnReader(parts), first, last, start - int(self.bounds[first]), stop - start)


class _ColumnReader:
    def __init__(self, parts: dict[int, Part]):
        self._parts = parts

    def pieces(self, first: int, last: int) -> Iterator[np.ndarray]:
        for number in range(first, last):
            part, rows, start = self._parts[number], np.empty(0), 0
            for piece in part.pieces():
                if len(piece) == part.rows:
                    yield piece.T
                    break
                if start == 0:
                    rows = np.empty((part.rows, piece.shape[1]), piece.dtype)
                rows[start : start + len(piece)] = piece
                start += len(piece)
            else:
                yield rows.T


def fold_columns(shard: Shard, given: list[list[Any]]) -> Any:
    """Fold a shard's columns into its accumulator."""
    accumulator = shard.accumulator()
    try:
        for columns in _pieces(shard, given, accumulator.least_rows):
            accumulator.add(columns)
    except NonFiniteError as error:
        raise _located(error, next(iter(shard.blocks)), shard.start) from None
    return accumulator.state()


def map_columns(
    function: Callable[[np.ndarray, Any], np.ndarray], argument: Any, shard: Shard, given: list[list[Any]]
) -> np.ndarray:
    """Concatenate ``function(columns, argument)`` over the pieces of a shard."""
    return np.concatenate([function(columns, argument) for columns in _pieces(shard, given, 1)])


def _pieces(shard: Shard, given: list[list[Any]], least_columns: int) -> Iterator[np.ndarray]:
    (part,), (blocks,) = shard.blocks.values(), given
    return part.blocks(blocks, least_columns)


def _located(error: NonFiniteError, name: str, start: int) -> NonFiniteError:
    column = start + error.column
    message = (
        f"{name} holds {error} at row {error.row}, column {column} ({error.amount} NaN or infinite values in that "
        f"block of columns), but {error.advice}"
    )
    return NonFiniteError(message, row=error.row, column=column, amount=error.amount)
