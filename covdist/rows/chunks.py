"""``Chunk``: one chunk of a dask array, computed and freed inside a task."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
from dask.base import optimize
from dask.core import flatten
from dask.local import get_sync
from dask.typing import Key

from covdist.rows.stream import culled, share_work


class Chunk:
    """The graph of a chunk, hidden from dask, which would take its keys for dependencies."""

    def __init__(self, graph: dict[Key, Any], key: Key):
        self._graph, self._key = graph, key

    def read(self) -> np.ndarray:
        """Compute it."""
        chunk: np.ndarray = get_sync(self._graph, self._key)
        return chunk


def chunks_apart(array: da.Array) -> dict[tuple[int, ...], Chunk] | None:
    """Return the chunks of an array by their index; None if they share work, which is best left to dask."""
    (optimised,) = optimize(array)
    graph = dict(optimised.__dask_graph__())
    keys = list(flatten(optimised.__dask_keys__()))
    graphs = [culled(graph, key) for key in keys]
    if share_work(graphs):
        return None
    return {key[1:]: Chunk(part, key) for part, key in zip(graphs, keys, strict=True)}
