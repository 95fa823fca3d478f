"""Some rows of a request, drawn before the pass that they prepare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from dask.delayed import Delayed, delayed

from covdist.folding.in_memory import memory_plan
from covdist.folding.passes import Pass
from covdist.folding.request import Request
from covdist.folding.streams import whole_streams
from covdist.results.labels import Array
from covdist.rows.fold import Shard, columns_of, together


class DrawnRows(NamedTuple):
    """Those of one shard, or of several beside each other: (rows, columns) of each side."""

    sides: tuple[np.ndarray, ...]

    def merge(self, other: DrawnRows) -> DrawnRows:
        pairs = zip(self.sides, other.sides, strict=True)
        return DrawnRows(tuple(np.concatenate(pair) for pair in pairs))


def draw(request: Request, most: int, seed: int) -> list[Array]:
    """Return so many rows of each side, (rows, columns): drawn evenly without putting back, in their order.

    All rows where there are no more. Lazy where the request is; the same for any chunks along one sample dim. Shards
    read what they need for this alone, so that nothing of the log is held for the pass that follows.
    """
    wanted = np.arange(request.rows)
    if request.rows > most:
        wanted = np.sort(np.random.default_rng(seed).choice(request.rows, most, replace=False))
    widths = [math.prod(array.shape[request.sample_ndim :]) for array in request.blocks.values()]
    one = Pass(whole_streams(request), memory_plan(request), request.lazy)
    key = partial(one.key, "drawn", wanted.size, seed, request.sample_ndim)
    found = one.state(key, _no_accumulator, partial(_drawn, wanted, widths))
    if not isinstance(found, Delayed):
        return list(found.sides)
    if not request.lazy:
        return list(found.compute(scheduler="threads").sides)
    sides = [delayed(_side, pure=True, traverse=False)(found, number) for number in range(len(widths))]
    arrays = zip(sides, widths, request.blocks.values(), strict=True)
    return [da.from_delayed(side, (len(wanted), width), array.dtype) for side, width, array in arrays]


def _no_accumulator() -> Any:
    raise AssertionError("rows are drawn, not folded")


def _side(drawn: DrawnRows, number: int) -> np.ndarray:
    return drawn.sides[number]


def _drawn(wanted: np.ndarray, widths: Sequence[int], shard: Shard, given: Sequence[list[Any]]) -> DrawnRows:
    parts, start = list(shard.blocks.values()), shard.start
    taken = [[np.empty((0, width), bool)] for width in widths]
    for pieces in together([part.blocks(made, 1) for part, made in zip(parts, given, strict=False)]):
        rows = [columns_of(piece) for piece in pieces]
        first, last = np.searchsorted(wanted, [start, start + len(rows[0])])
        for own, block in zip(taken, rows, strict=True):
            own.append(block[wanted[first:last] - start])  # a copy: the next piece takes the buffer
        start += len(rows[0])
    return DrawnRows(tuple(np.concatenate(own) for own in taken))
