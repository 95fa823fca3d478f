"""The spectrum of few rows of very many columns, from the products of the rows."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph
from dask.typing import Key

from covdist.engine.plan import Plan, Work, make_plan
from covdist.folding.passes import Pass
from covdist.folding.streams import Streams
from covdist.limits import limits
from covdist.numerics import packed
from covdist.results.deferred import Deferred, apply
from covdist.results.labels import Labelled
from covdist.rows.stream import Stream
from covdist.rows.transposed import column_stream, fold_columns, map_columns
from covdist.state.gram import LEAST_COLUMNS, Gram, GramAccumulator, eigenvectors


class Dual:
    """Two passes over the columns: the first for the eigenvalues, the second, where asked for, for the vectors."""

    def __init__(self, side: Labelled, k: int, refuse: bool):
        rows = math.prod(side.sample_shape)
        stream = column_stream(side.data, len(side.sample_dims))
        lazy = not isinstance(side.data, np.ndarray)
        self._pass = Pass(Streams({side.name: stream}, {}), make_plan(_work(side, stream, k)), lazy)
        self._accumulator, self._k = partial(GramAccumulator, rows, refuse), k
        state = self._pass.tree(self._pass.key("gram", rows, refuse), self._accumulator, function=fold_columns)
        self._spectrum: Delayed = apply(partial(Gram.spectrum, k=k), state)

    @property
    def spectrum(self) -> Deferred:
        """The eigenvalues, and the vectors of the rows."""
        return Deferred((self._spectrum,), (self._pass.plan.work.rows,))

    @property
    def plan(self) -> Plan:
        """Plan the first pass."""
        return replace(self._pass.plan, strategy="dual")

    def vectors(self) -> da.Array:
        """Return the covariance's eigenvectors (columns, k), chunked along the columns."""
        key = self._spectrum.key
        name = f"eigenvectors-{tokenize(key)}"
        tasks: dict[Key, object] = {
            (name, i, 0): (map_columns, eigenvectors, key, *item)
            for i, item in enumerate(self._pass.items(self._accumulator))
        }
        dependencies: list[Any] = [self._spectrum, *self._pass.streams.collections]
        graph = HighLevelGraph.from_collections(name, tasks, dependencies=dependencies)
        heights = tuple(stop - start for start, stop in self._pass.cuts)
        return da.Array(graph, name, chunks=(heights, (self._k,)), dtype=float)


def dual_plan(side: Labelled, k: int) -> Plan:
    """Plan the first pass from sizes alone, without looking at the chunks."""
    height = max(1, limits().transposed_bytes // max(1, math.prod(side.sample_shape) * side.data.dtype.itemsize))
    pieces = -(-side.axis.size // height)
    return replace(make_plan(_work_of(side, k, pieces, limits().transposed_bytes, shared=False)), strategy="dual")


def _work(side: Labelled, stream: Stream, k: int) -> Work:
    return _work_of(side, k, len(stream.bounds) - 1, stream.piece_bytes, stream.shared)


def _work_of(side: Labelled, k: int, pieces: int, piece_bytes: int, shared: bool) -> Work:
    rows = math.prod(side.sample_shape)
    row_bytes = rows * side.data.dtype.itemsize
    return Work(
        rows=side.axis.size,
        pieces=pieces,
        columns=f"{rows:,} (the data's rows; its columns are counted as rows here)",
        row_bytes=row_bytes,
        piece_bytes=max(piece_bytes, row_bytes),
        row_flops=float(rows) * rows + 8.0 * rows,
        state_bytes=8 * packed.size(rows),
        block_bytes=2 * 8 * max(LEAST_COLUMNS * rows, 1 << 18),
        shared=shared,
        result_bytes=8 * k * side.axis.size,
    )
