"""The spectrum of few rows of very many columns, from the products of the rows."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph
from dask.typing import Key

from covdist.engine.plan import Work, make_plan
from covdist.engine.slabs import fold_slabs, map_slabs, slab_stream
from covdist.engine.streams import SharedStream
from covdist.readings.held import apply
from covdist.readings.labels import Labelled
from covdist.readings.passes import Pass
from covdist.state import triangle
from covdist.state.eigen import Spectrum
from covdist.state.gram import LEAST_COLUMNS, Gram, GramAccumulator, eigenvectors


class Dual:
    """Two passes over the columns: the first for the eigenvalues, the second, where asked for, for the vectors."""

    def __init__(self, side: Labelled, k: int, missing: str):
        self._rows = math.prod(side.sample_shape)
        stream = slab_stream(side.data, len(side.sample_dims))
        self._pass = Pass(side.name, isinstance(side.data, np.ndarray), stream, make_plan(self._work(side, stream)))
        self._accumulator = partial(GramAccumulator, self._rows, missing)
        self._k = k
        token = self._pass.token(self._rows, missing)
        state = self._pass.fold(fold_slabs, self._accumulator, f"gram-{token}")
        self.spectrum: Delayed = apply(partial(_spectrum, k=k), state)

    def _work(self, side: Labelled, stream: Any) -> Work:
        rows, itemsize = self._rows, side.data.dtype.itemsize
        return Work(
            rows=side.axis.size,
            pieces=len(stream.bounds) - 1,
            columns=f"{rows:,} (the data's rows; its columns are counted as rows here)",
            row_bytes=rows * itemsize,
            piece_bytes=stream.piece_bytes,
            row_flops=float(rows) * rows + 8.0 * rows,
            state_bytes=8 * triangle.size(rows),
            block_bytes=2 * 8 * max(LEAST_COLUMNS * rows, 1 << 18),
            shared=isinstance(stream, SharedStream),
        )

    def vectors(self) -> da.Array:
        """Return the covariance's eigenvectors (columns, k), chunked along the columns."""
        key = self.spectrum.key
        items = self._pass.items(self._accumulator)
        name = f"eigenvectors-{tokenize(key)}"
        tasks: dict[Key, Any] = {(name, i, 0): (map_slabs, eigenvectors, key, *item) for i, item in enumerate(items)}
        dependencies = [self.spectrum, *self._pass.dependencies]
        graph = HighLevelGraph.from_collections(name, tasks, dependencies=dependencies)
        heights = tuple(stop - start for start, stop in self._pass.cuts)
        return da.Array(graph, name, chunks=(heights, (self._k,)), dtype=float)


def _spectrum(state: Gram, k: int) -> Spectrum:
    return state.spectrum(k)
