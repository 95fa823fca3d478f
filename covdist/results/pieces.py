"""Lazy arrays too large for one worker: fine in pieces, refused where dask would put all of them together.

``whole.compute()`` is refused, and ``dask.compute(whole, other)`` as well. What is computed from the pieces one by one,
such as ``whole + 1``, is an array of dask's own, which asks nobody before it puts it together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import dask.array as da
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.typing import Key

from covdist.engine.dask_private import PiecesLayer
from covdist.engine.room import check_whole


def array_in_pieces(
    name: str, tasks: Mapping[Key, Any], chunks: tuple[tuple[int, ...], ...], dependencies: Sequence[Any]
) -> da.Array:
    """Return the float64 array whose pieces ``tasks`` make."""
    pieces: set[Key] = {(name, *place) for place in product(*(range(len(sizes)) for sizes in chunks))}
    check = partial(check_whole, 8 * math.prod(map(sum, chunks)))
    layer = PiecesLayer(tasks, pieces, check)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=dependencies)
    return da.Array(graph, name, chunks=chunks, dtype=float)


def in_pieces(array: da.Array) -> da.Array:
    """Return the same array, with that check."""
    name = f"pieces-{tokenize(array.name)}"
    places = product(*map(range, array.numblocks))
    tasks: dict[Key, Any] = {(name, *place): (_same, (array.name, *place)) for place in places}
    return array_in_pieces(name, tasks, array.chunks, [array])


def _same(piece: Any) -> Any:
    return piece
