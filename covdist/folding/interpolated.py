"""Gaps filled along the sample dim: of an array, lazily where it is lazy, or while rows are folded."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast
from uuid import uuid4

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.typing import Key

from covdist.errors import DataError, NonFiniteError
from covdist.folding.inputs import one_of
from covdist.numerics.interpolation import (
    ENDS,
    KINDS,
    InterpolationOptions,
    NearestValue,
    filled,
    first_values,
    last_values,
)
from covdist.numerics.nonfinite import all_finite, refuse_infinity
from covdist.results.labels import Labelled
from covdist.rows.chunks import Chunk, chunks_apart
from covdist.rows.filled import FilledStream, PrefilledStream
from covdist.rows.masked_arrays import unmasked
from covdist.rows.neighbours import Places, between
from covdist.rows.stream import Stream, stream


def interpolated(
    side: Labelled,
    *,
    kind: str = "linear",
    along: str | None = None,
    max_gap: Any = None,
    ends: str = "keep",
    inf: str = "raise",
) -> Any:
    """Return the array of ``side``, its sample axis in front, with gaps filled as :func:`covdist.fill` says."""
    one_of("kind", kind, KINDS)
    one_of("ends", ends, ENDS)
    places, unit = _places(side, along)
    longest = float("inf") if max_gap is None else float(max_gap / unit)
    how = InterpolationOptions(kind, ends, inf, longest, float(places[0]), float(places[-1]))
    positions = between(places, 0, len(places))
    if isinstance(side.data, da.Array):
        return _lazy(side.data, positions, how, side.name)
    nothing = NearestValue.none(side.data.shape[1:])
    rows = _checked(side.name, inf, (0,) * side.data.ndim, side.data.shape, side.data)
    return filled(rows, positions, nothing, nothing, how)


def filled_stream(side: Labelled, inf: str, lazy: bool, columns: slice | None = None, number: int = 0) -> Stream:
    """Return the rows of ``side``, or a range of its first column axis, as statistics have them.

    Parameters
    ----------
    side : Labelled
    inf : "raise" or "missing"
    lazy : bool
        Whether the result is to be found again by its token, which of a numpy array costs a pass.
    columns : slice, optional
    number : int
        0 for x, 1 for y.
    """
    places, _ = _places(side, None)
    rows = stream(side.data, 1, columns)
    if rows.shared:
        return PrefilledStream(stream(interpolated(side, ends="nearest", inf=inf), 1, columns), rows)
    how = InterpolationOptions("linear", "nearest", inf, float("inf"), float(places[0]), float(places[-1]))
    first = 0 if columns is None else columns.start * (side.axis.size // side.data.shape[1])
    token = tokenize(rows.token, places, how) if lazy else uuid4().hex
    return FilledStream(rows, places, how, token, (number, first))


def _places(side: Labelled, along: str | None) -> tuple[Places, Any]:
    """Return where the rows lie, and what 1 is there."""
    if len(side.sample_dims) != 1:
        raise DataError(
            f"method='interpolate' runs along one dim, found {len(side.sample_dims)}, {', '.join(side.sample_dims)}: "
            "pass one of them, or stack them first"
        )
    dim, n = side.sample_dims[0], side.sample_shape[0]
    name = dim if along is None else along
    if name not in side.coords:
        if along is None:
            return range(n), 1
        raise DataError(
            f"{side.name} has no coordinate {along!r} along {dim} to interpolate by, there are: "
            f"{', '.join(map(repr, side.coords)) or 'none'}"
        )
    values, unit = np.asarray(side.coords[name]), cast(Any, 1)
    if values.dtype.kind in "mM":
        unit = np.timedelta64(1, "ns")
        values = (values - values[0]) / unit
    if values.dtype.kind not in "iuf" or not (np.diff(values.astype(np.float64)) > 0).all():
        raise DataError(
            f"the coordinate {name!r} of {side.name} does not rise from row to row: sort by it, or leave it out to "
            "interpolate by the rows' numbers"
        )
    return values.astype(np.float64), unit


def _checked(name: str, inf: str, corner: Sequence[int], shape: tuple[int, ...], rows: Any) -> np.ndarray:
    """Return rows, which begin at ``corner`` of an array of ``shape``, or raise at an infinity."""
    plain = np.asarray(unmasked(rows))
    if all_finite(plain):
        return plain
    try:
        refuse_infinity([plain.reshape(len(plain), math.prod(plain.shape[1:]))], inf)
    except NonFiniteError as error:
        place = np.add(np.unravel_index(error.column, plain.shape[1:]), corner[1:]).tolist()
        row, column = corner[0] + error.row, sum(i * math.prod(shape[n:]) for n, i in enumerate(place, 2))
        message = f"{name} holds {error} at row {row}, column {column}, but {error.advice}"
        raise NonFiniteError(message, row=row, column=column, amount=error.amount) from None
    return plain


def _edges(
    checked: Callable[[Any], np.ndarray], inf: str, chunk: np.ndarray | Chunk, positions: np.ndarray
) -> tuple[NearestValue, NearestValue]:
    rows = checked(chunk.read() if isinstance(chunk, Chunk) else chunk)
    return first_values(rows, positions, inf), last_values(rows, positions, inf)


def _lazy(data: da.Array, positions: np.ndarray, how: InterpolationOptions, name: str) -> da.Array:
    """Fill chunk by chunk, told the nearest values before and after each.

    Those run through the chunks from both sides as one row each. The chunks are made twice, so that none waits in
    memory until what follows it is known; but for chunks that share work, such as those of a rechunked array.
    """
    token = tokenize(data.name, positions, how)
    apart = chunks_apart(data)
    starts = [np.concatenate([[0], np.cumsum(sizes)]).astype(int).tolist() for sizes in data.chunks]
    where = [positions[a:b] for a, b in itertools.pairwise(starts[0])]
    graph: dict[Key, Any] = {}
    for index in itertools.product(*(range(n) for n in data.numblocks[1:])):
        shape = tuple(sizes[i] for sizes, i in zip(data.chunks[1:], index, strict=True))
        corners = [(start, *(starts[k][i] for k, i in enumerate(index, 1))) for start in starts[0]]
        checked = [partial(_checked, name, how.inf, corner, data.shape) for corner in corners]
        _add_column(graph, token, data.name, apart, index, shape, where, checked, how)
    key = f"filled-{token}"
    layers = HighLevelGraph.from_collections(key, graph, dependencies=cast(Any, [data]))
    return da.Array(layers, key, chunks=data.chunks, dtype=data.dtype)


def _add_column(
    graph: dict[Key, Any],
    token: str,
    source: str,
    apart: dict[tuple[int, ...], Chunk] | None,
    index: tuple[int, ...],
    shape: tuple[int, ...],
    where: list[np.ndarray],
    checked: Sequence[Callable[[Any], np.ndarray]],
    how: InterpolationOptions,
) -> None:
    """Add the tasks of the chunks that lie behind each other."""
    nothing, count = NearestValue.none(shape), len(where)
    for i in range(count):
        at = (i, *index)
        rows: Any = (source, *at) if apart is None else apart[at]
        graph[f"edges-{token}", *at] = (partial(_edges, checked[i], how.inf), rows, where[i])
        graph[f"before-{token}", *at] = nothing if i == 0 else (
            _passed, 1, (f"edges-{token}", i - 1, *index), (f"before-{token}", i - 1, *index)
        )  # fmt: skip
        graph[f"after-{token}", *at] = nothing if i == count - 1 else (
            _passed, 0, (f"edges-{token}", i + 1, *index), (f"after-{token}", i + 1, *index)
        )  # fmt: skip
        graph[f"filled-{token}", *at] = (
            partial(_filled, checked[i], how), (source, *at), where[i],
            (f"before-{token}", *at), (f"after-{token}", *at),
        )  # fmt: skip


def _passed(which: int, nearer: tuple[NearestValue, NearestValue], farther: NearestValue) -> NearestValue:
    return nearer[which].or_else(farther)


def _filled(
    checked: Callable[[Any], np.ndarray],
    how: InterpolationOptions,
    rows: Any,
    positions: np.ndarray,
    before: NearestValue,
    after: NearestValue,
) -> np.ndarray:
    return filled(checked(rows), positions, before, after, how)
