"""Gaps filled along the sample dim: of an array, lazily where it is lazy, or while rows are folded."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import dask.array as da
import numpy as np
from dask.base import optimize, tokenize
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph
from dask.local import get_sync
from dask.typing import DaskCollection, Key

from covdist.engine import small_arrays
from covdist.errors import DataError, NonFiniteError
from covdist.folding.inputs import calendar_steps, length
from covdist.given import one_of
from covdist.numerics import interpolation
from covdist.numerics.interpolation import (
    InterpolationOptions,
    NearestValue,
    TwoNearest,
    first_values,
    last_values,
    two_values,
)
from covdist.numerics.nonfinite import all_finite, refuse_infinity, unmasked
from covdist.results.labels import Array, Labelled
from covdist.rows.filled import FilledStream, PrefilledStream
from covdist.rows.neighbours import Places, between
from covdist.rows.stream import Stream, culled, share_work, stream

Ends = str | float | Sequence[float]  # one of ENDS, a number, or one for each end
Tasks = dict[Key, object]
Nearest = NearestValue | TwoNearest  # the second where it is to be extrapolated


def interpolated(
    side: Labelled,
    *,
    kind: str = "linear",
    along: str | None = None,
    max_gap: float | str | np.timedelta64 | None = None,
    ends: Ends = "keep",
    inf: str = "raise",
    limit: int | None = None,
) -> Array:
    """Return the array of ``side``, its sample axis first, with gaps filled as by :func:`covdist.fill`."""
    one_of("kind", kind, interpolation.KINDS)
    ends = _ends(ends)
    if limit is not None and not (isinstance(limit, int | np.integer) and limit > 0):
        raise DataError(f"limit={limit!r} is not a number of rows: pass a whole number greater than 0")
    places, unit = _places(side, along)
    longest = float("inf") if max_gap is None else length("max_gap", max_gap, unit)
    most = np.inf if limit is None else limit
    options = InterpolationOptions(kind, ends, inf, longest, float(places[0]), float(places[-1]), most)
    positions = between(places, 0, len(places))
    if isinstance(side.data, da.Array):
        return _lazy(side.data, side.name, positions, options)
    none = _looked_for(options).none(side.data.shape[1:])
    return _Chunk(side.name, side.data.shape, (0,) * side.data.ndim, positions, options).filled(side.data, none, none)


def _ends(given: Ends) -> str | tuple[float, float]:
    if isinstance(given, str) and given in interpolation.ENDS:
        return given
    try:
        left, right = map(float, given if isinstance(given, Sequence) else (given, given))
    except (TypeError, ValueError):
        raise DataError(
            f"ends={given!r} is unknown: pass one of {', '.join(map(repr, interpolation.ENDS))}, a number, or one for "
            "each end"
        ) from None
    return left, right


def filled_stream(side: Labelled, inf: str, lazy: bool, columns: slice | None = None, number: int = 0) -> Stream:
    """Return the rows of ``side``, or a range of its first column axis, as statistics have them; see ``SideRows``."""
    places, _ = _places(side, None)
    rows = stream(side.data, 1, columns)
    if rows.shared:
        return PrefilledStream(stream(interpolated(side, ends="nearest", inf=inf), 1, columns), rows)
    options = InterpolationOptions("linear", "nearest", inf, float("inf"), float(places[0]), float(places[-1]))
    first = 0 if columns is None else columns.start * (side.axis.size // side.data.shape[1])
    token = tokenize(rows.token, places, options) if lazy else uuid4().hex
    return FilledStream(rows, places, options, token, (number, first))


def _places(side: Labelled, along: str | None) -> tuple[Places, float | np.timedelta64]:
    """Return the positions of the rows, and their unit."""
    if len(side.sample_dims) != 1:
        raise DataError(
            f"method='interpolate' runs along one dim, found {len(side.sample_dims)}, {', '.join(side.sample_dims)}: "
            "pass one of them, or stack them first"
        )
    dim, n = side.sample_dims[0], side.sample_shape[0]
    name = dim if along is None else along
    if name not in list(side.coords):  # also what cannot be hashed
        if along is None:
            return range(n), 1
        raise DataError(
            f"{side.name} has no coordinate {along!r} along {dim} to interpolate by, there are: "
            f"{', '.join(map(repr, side.coords)) or 'none'}"
        )
    values, unit = calendar_steps(small_arrays.values(side.coords[name]))
    unit = np.timedelta64(1, "ns") if values.dtype.kind in "mM" else unit
    if values.dtype.kind in "mM":
        values = (values - values[0]) / unit
    if values.dtype.kind not in "iuf" or not (values[1:] > values[:-1]).all():
        raise DataError(
            f"the coordinate {name!r} of {side.name} does not rise from row to row: sort by it, or leave it out to "
            "interpolate by the rows' numbers"
        )
    if values.dtype.kind in "iu":  # nanosecond stamps are beyond what float64 tells apart
        values = values.astype(np.uint64) - values[:1].astype(np.uint64)
    return values.astype(np.float64), unit


def _looked_for(options: InterpolationOptions) -> type[NearestValue] | type[TwoNearest]:
    return TwoNearest if options.ends == "extrapolate" else NearestValue


class _Graph:
    """The graph of a chunk, hidden from dask, which would take its keys for dependencies."""

    def __init__(self, graph: dict[Key, Any], key: Key):
        self.graph, self.key = graph, key


@dataclass(frozen=True)
class _Chunk:
    """Fills one chunk, whose first entry lies at ``corner`` of an array of ``shape``, called ``name`` in messages."""

    name: str
    shape: tuple[int, ...]
    corner: tuple[int, ...]
    positions: np.ndarray
    options: InterpolationOptions

    def edges(self, rows: np.ndarray | _Graph) -> tuple[Nearest, Nearest]:
        made = get_sync(rows.graph, rows.key) if isinstance(rows, _Graph) else rows
        return self._edges(self._checked(made))

    def _edges(self, rows: np.ndarray) -> tuple[Nearest, Nearest]:
        numbers = np.arange(self.corner[0], self.corner[0] + len(rows), dtype=np.float64)
        about = rows, self.positions, self.options.inf, numbers
        if self.options.ends == "extrapolate":
            return two_values(first_values, *about), two_values(last_values, *about)
        return first_values(*about), last_values(*about)

    def filled(self, rows: np.ndarray, before: Any, after: Any) -> np.ndarray:
        checked, second = self._checked(rows), None
        if self.options.ends == "extrapolate":
            first, last = cast(tuple[TwoNearest, TwoNearest], self._edges(checked))
            second = last.or_else(before).second, first.or_else(after).second
            before, after = before.nearest, after.nearest
        return interpolation.filled(checked, self.positions, before, after, self.options, self.corner[0], second)

    def _checked(self, rows: np.ndarray) -> np.ndarray:
        plain = np.asarray(unmasked(rows))
        if all_finite(plain):
            return plain
        try:
            refuse_infinity([plain.reshape(len(plain), math.prod(plain.shape[1:]))], self.options.inf)
        except NonFiniteError as error:
            place = np.add(np.unravel_index(error.column, plain.shape[1:]), self.corner[1:]).tolist()
            row = self.corner[0] + error.row
            column = sum(i * math.prod(self.shape[n:]) for n, i in enumerate(place, 2))
            message = f"{self.name} holds {error} at row {row}, column {column}, but {error.advice}"
            raise NonFiniteError(message, row=row, column=column, amount=error.amount) from None
        return plain


def _lazy(data: da.Array, name: str, positions: np.ndarray, options: InterpolationOptions) -> da.Array:
    """Fill chunk by chunk, given the nearest values before and after each.

    Those run through the chunks from both sides as one row each. Chunks are made twice, so that none waits in memory
    for later ones, unless they share work, as those of a rechunked array do.
    """
    token = tokenize(data.name, positions, options)
    key, edges, before, after = (f"{what}-{token}" for what in ("filled", "edges", "before", "after"))
    graphs = _graphs(data)
    starts = [np.cumsum([0, *sizes]).tolist() for sizes in data.chunks]
    graph: Tasks = {}
    for at in itertools.product(*map(range, data.numblocks)):
        corner = tuple(starts[axis][i] for axis, i in enumerate(at))
        rows = positions[corner[0] : starts[0][at[0] + 1]]
        chunk = _Chunk(name, data.shape, corner, rows, options)
        graph[edges, *at] = chunk.edges, (data.name, *at) if graphs is None else graphs[at]
        graph[key, *at] = chunk.filled, *((each, *at) for each in (data.name, before, after))
    for across in itertools.product(*map(range, data.numblocks[1:])):
        shape = tuple(sizes[i] for sizes, i in zip(data.chunks[1:], across, strict=True))
        order = range(data.numblocks[0])
        none = _looked_for(options).none(shape)
        graph |= _carried(before, edges, 1, [(i, *across) for i in order], none)
        graph |= _carried(after, edges, 0, [(i, *across) for i in reversed(order)], none)
    layers = HighLevelGraph.from_collections(key, graph, dependencies=cast(Sequence[DaskCollection], [data]))
    return da.Array(layers, key, chunks=data.chunks, dtype=data.dtype)


def _graphs(array: da.Array) -> dict[tuple[int, ...], _Graph] | None:
    """Return what makes each chunk, by its index; None if they share work, or a cluster keeps it: best left to dask."""
    (optimised,) = optimize(array)
    whole = dict(optimised.__dask_graph__())
    try:
        graphs = {key: culled(whole, key) for key in flatten(optimised.__dask_keys__())}
    except KeyError:
        return None
    if share_work(list(graphs.values())):
        return None
    return {key[1:]: _Graph(graph, key) for key, graph in graphs.items()}


def _carried(name: str, edges: str, side: int, chunks: list[tuple[int, ...]], none: Nearest) -> Tasks:
    """Return the tasks that carry the nearest values from chunk to chunk, from the ``side`` that each passes last."""
    tasks: Tasks = {}
    nearest: object = none
    for at in chunks:
        tasks[name, *at] = nearest
        nearest = _passed, side, (edges, *at), (name, *at)
    return tasks


def _passed(side: int, edges: tuple[Any, Any], farther: Nearest) -> Nearest:
    return edges[side].or_else(farther)
