"""An array seen as columns, each with all of its rows: the transpose of what ``covdist.rows.stream`` sees.

A piece is a *slab*: some columns, (columns, rows). Chunks that hold few rows are put together inside the task.
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


def slab_stream(array: da.Array | np.ndarray, sample_ndim: int) -> PlainStream:
    """Return the stream of an array's columns; its leading ``sample_ndim`` axes are rows."""
    if not isinstance(array, np.ndarray) and array.ndim > sample_ndim and from_dask(array) is not None:
        return _SourceSlabs(array, sample_ndim)
    rows = math.prod(array.shape[:sample_ndim])
    flat = array.reshape(rows, math.prod(array.shape[sample_ndim:]))
    if isinstance(flat, np.ndarray):
        return stream(flat.T, 1)
    with dask.config.set({"array.rechunk.method": "tasks"}):
        return stream(flat.rechunk({1: _split(flat)}).T, 1)


def _split(array: da.Array) -> tuple[int, ...]:
    """Return the chunks of the columns, those that make too large a slab cut into equal parts."""
    most = max(1, limits().most_slab_bytes // max(1, array.shape[0] * array.dtype.itemsize))
    cut: list[int] = []
    for width in array.chunks[1]:
        parts = max(1, -(-width // most))
        edges = np.linspace(0, width, parts + 1).astype(int)
        cut += np.diff(edges).tolist()
    return tuple(cut)


class _SourceSlabs(Unshared):
    """Of a log that covdist opened: each slab reads its own columns of the chunks that hold them."""

    def __init__(self, array: da.Array, sample_ndim: int):
        self._array, self._sample_ndim = array, sample_ndim
        self.width = math.prod(array.shape[:sample_ndim])
        self.token = f"slabs-{array.name}"
        self._across = math.prod(array.shape[sample_ndim + 1 :])  # columns for each index of the axis that is cut
        edges = self._edges()
        self.bounds = edges * self._across
        self._slices = [slice(int(a), int(b)) for a, b in pairwise(edges)]
        slab = int(np.diff(self.bounds).max()) * self.width * array.dtype.itemsize
        self.piece_bytes = slab + stream(array, sample_ndim, self._slices[0]).piece_bytes

    def _edges(self) -> np.ndarray:
        array, axis = self._array, self._sample_ndim
        length, chunk = array.shape[axis], max(array.chunks[axis])
        index_bytes = max(1, self.width * self._across * array.dtype.itemsize)
        step = max(chunk, limits().slab_bytes // index_bytes // chunk * chunk)
        step = max(1, min(step, limits().most_slab_bytes // index_bytes))
        return np.append(np.arange(0, length, step), length).astype(np.int64)

    def part(self, start: int, stop: int) -> Part:
        first = int(np.searchsorted(self.bounds, start, side="right")) - 1
        last = int(np.searchsorted(self.bounds, stop, side="left"))
        slabs = {
            i: stream(self._array, self._sample_ndim, self._slices[i]).part(0, self.width) for i in range(first, last)
        }
        return Part(_SlabReader(slabs), first, last, start - int(self.bounds[first]), stop - start)


class _SlabReader:
    def __init__(self, slabs: dict[int, Part]):
        self._slabs = slabs

    def pieces(self, first: int, last: int) -> Iterator[np.ndarray]:
        for number in range(first, last):
            part, slab, start = self._slabs[number], np.empty(0), 0
            for piece in part.pieces():
                if len(piece) == part.rows:
                    yield piece.T
                    break
                if start == 0:
                    slab = np.empty((part.rows, piece.shape[1]), piece.dtype)
                slab[start : start + len(piece)] = piece
                start += len(piece)
            else:
                yield slab.T


def fold_slabs(shard: Shard, given: list[list[Any]]) -> Any:
    """Fold a shard's columns into its accumulator."""
    accumulator = shard.accumulator()
    try:
        for slab in _slabs(shard, given, accumulator.least_rows):
            accumulator.add(slab)
    except NonFiniteError as error:
        raise _located(error, next(iter(shard.blocks)), shard.start) from None
    return accumulator.state()


def map_slabs(
    function: Callable[[np.ndarray, Any], np.ndarray], argument: Any, shard: Shard, given: list[list[Any]]
) -> np.ndarray:
    """Join what ``function(slab, argument)`` makes of a shard's slabs."""
    return np.concatenate([function(slab, argument) for slab in _slabs(shard, given, 1)])


def _slabs(shard: Shard, given: list[list[Any]], least_columns: int) -> Iterator[np.ndarray]:
    (part,), (made,) = shard.blocks.values(), given
    return part.blocks(made, least_columns)


def _located(error: NonFiniteError, name: str, start: int) -> NonFiniteError:
    column = start + error.column
    message = (
        f"{name} holds {error} at row {error.row}, column {column} ({error.amount} NaN or infinite values in that "
        f"block of columns), but {error.advice}"
    )
    return NonFiniteError(message, row=error.row, column=column, amount=error.amount)
