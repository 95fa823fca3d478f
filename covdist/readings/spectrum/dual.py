"""The spectrum of few rows of very many columns, from the products of the rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from covdist.engine.plan import Plan, Work, make_plan
from covdist.folding.passes import Pass
from covdist.folding.streams import Streams
from covdist.limits import limits
from covdist.numerics import packed
from covdist.readings.spectrum.fields import component, fields
from covdist.results.deferred import Deferred, apply
from covdist.results.labels import Labelled, labelled
from covdist.rows.transposed import column_stream, fold_columns, map_columns
from covdist.state.gram import LEAST_COLUMNS, Gram, GramAccumulator, eigenvectors


def dual_spectrum(
    side: Labelled, k: int, refuse: bool, vectors: bool, check_room: Callable[[Plan], None]
) -> xr.Dataset:
    """Read the columns once for the eigenvalues, and where asked for once more, for the vectors."""
    once, rows = dual_pass(side, k), math.prod(side.sample_shape)
    check_room(once.plan)
    accumulator = partial(GramAccumulator, rows, refuse)
    gram = once.tree(once.key("gram", rows, refuse), accumulator, function=fold_columns)
    spectrum = apply(partial(Gram.spectrum, k=k, vectors=vectors), gram)
    found = fields(Deferred((spectrum,), (side.axis.size,)), side.axis, k, False)
    if vectors:
        name = f"eigenvectors-{tokenize(spectrum.key)}"
        items = enumerate(once.items(accumulator))
        tasks: Any = {(name, i, 0): (map_columns, eigenvectors, spectrum.key, *item) for i, item in items}
        graph = HighLevelGraph.from_collections(name, tasks, dependencies=[spectrum, *once.streams.collections])
        heights = tuple(stop - start for start, stop in once.cuts)
        columns = da.Array(graph, name, chunks=(heights, (k,)), dtype=float)
        found["eigenvector"] = labelled(columns.T, [component(k), side.axis], None)
    return found


def dual_pass(side: Labelled, k: int) -> Pass:
    """Plan the first pass."""
    stream = column_stream(side.data, len(side.sample_dims))
    plan = _plan(side, k, len(stream.bounds) - 1, stream.piece_bytes, stream.shared)
    return Pass(Streams({side.name: stream}, {}), plan, lazy=not isinstance(side.data, np.ndarray))


def dual_plan(side: Labelled, k: int) -> Plan:
    """Plan the first pass from sizes alone, without looking at the chunks."""
    height = max(1, limits().transposed_bytes // max(1, math.prod(side.sample_shape) * side.data.dtype.itemsize))
    return _plan(side, k, -(-side.axis.size // height), limits().transposed_bytes, shared=False)


def _plan(side: Labelled, k: int, pieces: int, piece_bytes: int, shared: bool) -> Plan:
    rows = math.prod(side.sample_shape)
    row_bytes = rows * side.data.dtype.itemsize
    work = Work(
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
    return replace(make_plan(work), strategy="dual")
