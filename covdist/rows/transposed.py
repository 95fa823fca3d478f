"""Arrays as streams of columns, each with all of its rows: the transpose of ``covdist.rows.stream``.

A piece is some columns, as an array (columns, rows). Chunks of few rows are joined inside the task.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import dask
import dask.array as da
import numpy as np

from covdist.limits import limits
from covdist.logs.dask_arrays import from_dask
from covdist.rows.fold import Part, Shard, fold
from covdist.rows.stream import PieceStream, PlainStream, stream


def column_stream(array: da.Array | np.ndarray, sample_ndim: int) -> PlainStream:
    """Return the stream of an array's columns; its leading ``sample_ndim`` axes are rows."""
    if not isinstance(array, np.ndarray) and array.ndim > sample_ndim and from_dask(array) is not None:
        return _source_columns(array, sample_ndim)
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


def _source_columns(array: da.Array, sample_ndim: int) -> PieceStream:
    """Columns of a log that covdist opened: each piece reads its own from the chunks."""
    rows, across = math.prod(array.shape[:sample_ndim]), math.prod(array.shape[sample_ndim + 1 :])
    length, chunk = array.shape[sample_ndim], max(array.chunks[sample_ndim])
    index_bytes = max(1, rows * across * array.dtype.itemsize)
    step = max(chunk, limits().transposed_bytes // index_bytes // chunk * chunk)
    step = max(1, min(step, limits().most_transposed_bytes // index_bytes))
    cuts = [slice(start, min(start + step, length)) for start in range(0, length, step)]

    def reader(first: int, last: int) -> _ColumnReader:
        return _ColumnReader({i: stream(array, sample_ndim, cuts[i]).part(0, rows) for i in range(first, last)})

    bounds = np.append(np.arange(0, length, step), length) * across
    largest = int(np.diff(bounds).max()) * rows * array.dtype.itemsize
    piece_bytes = largest + stream(array, sample_ndim, cuts[0]).piece_bytes
    return PieceStream(bounds, rows, f"transposed-{array.name}", piece_bytes, array.dtype, reader)


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


def fold_columns(shard: Shard, given: list[list[Any]]) -> object:
    return fold(shard, given, "columns")


def map_columns(
    function: Callable[[np.ndarray, Any], np.ndarray], argument: Any, shard: Shard, given: list[list[Any]]
) -> np.ndarray:
    """Concatenate ``function(columns, argument)`` over the pieces of a shard."""
    (part,), (blocks,) = shard.blocks.values(), given
    return np.concatenate([function(columns, argument) for columns in part.blocks(blocks, 1)])
