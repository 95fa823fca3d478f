"""``Streams``: the rows of a request, whole or in strips of columns."""

from __future__ import annotations

import math
from typing import NamedTuple

import dask.array as da
import numpy as np
from dask.typing import DaskCollection

from covdist.folding.request import Request, rows_as_they_are
from covdist.limits import limits
from covdist.rows.readers import as_rows
from covdist.rows.stream import PIECE, Stream
from covdist.state.variances import Variances


class Streams(NamedTuple):
    """The arrays of one strip, or of two, of columns, by the names that messages and accumulators know."""

    blocks: dict[str, Stream]
    vectors: dict[str, Stream]

    @property
    def all(self) -> dict[str, Stream]:
        return {**self.blocks, **self.vectors}

    @property
    def first(self) -> Stream:
        return next(iter(self.blocks.values()))

    @property
    def shared(self) -> bool:
        """Whether pieces share work, so that dask makes them in tasks of their own."""
        return any(each.shared for held in self for each in held.values())

    @property
    def collections(self) -> list[DaskCollection]:
        return [each for stream in self.all.values() for each in stream.collections]

    def keys(self, start: int, stop: int) -> list[list[object]]:
        """Return, stream by stream, the keys of the blocks that dask makes for a shard."""
        return [each.keys(start, stop) for each in self.all.values()]

    def ready(self) -> list[list[object]]:
        """Return, stream by stream, the values of those keys where pieces share no work."""
        return [each.ready() for held in self for each in held.values()]

    def tokens(self) -> tuple[list[str], dict[str, str]]:
        """Return names of the rows: equal only where the rows are equal."""
        return [s.token for s in self.blocks.values()], {name: s.token for name, s in self.vectors.items()}


def rows_at_once(request: Request) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]] | None:
    """Return the rows of blocks and vectors where all lie in memory and are one piece each, else None."""
    found: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = {}, {}
    if request.policy.stream is not rows_as_they_are or request.widths[0] > limits().strip_columns:
        return None
    for arrays, rows in zip((request.blocks, request.vectors), found, strict=True):
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray) or array.nbytes > PIECE:
                return None
            rows[name] = as_rows(array, request.sample_ndim)
    return found


def streams_of(request: Request, *strips: slice) -> Streams:
    """Return the streams of a request's arrays; of x one or several strips of its first column axis."""
    x, *others = request.blocks
    blocks = {x + " " * i: request.side_stream(0, strip) for i, strip in enumerate(strips)}
    for name in others:
        blocks[name] = request.side_stream(1)
    return Streams(blocks, {name: request.stream_of(array) for name, array in request.vectors.items()})


def whole_streams(request: Request) -> Streams:
    return streams_of(request, slice(0, column_axis(request)))


def column_axis(request: Request) -> int:
    """Return the length of x's first axis that is not a sample axis."""
    shape, first = request.x.shape, request.sample_ndim
    return shape[first] if len(shape) > first else 1


def column_strips(request: Request) -> list[slice]:
    """Return ranges of that axis, one for each state: only variances are folded strip by strip."""
    most = limits().strip_columns
    if request.state is not Variances or request.widths[0] <= most or request.positions:
        return [slice(0, column_axis(request))]
    array, axis = request.x, request.sample_ndim
    length, inner = array.shape[axis], math.prod(array.shape[axis + 1 :])
    step = max(1, most // inner)
    chunk = array.chunks[axis][0] if isinstance(array, da.Array) else 1
    if chunk <= 4 * step:  # else every strip must read more than it needs
        step = max(1, round(step / chunk)) * chunk
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def strip_widths(request: Request, strip: slice) -> tuple[int, ...]:
    """Return the number of columns on each side, for x that of a strip."""
    first, *others = request.widths
    length, wanted = column_axis(request), strip.stop - strip.start
    whole = wanted == length or request.positions
    return request.widths if whole else (first // length * wanted, *others)
