"""``Request``: the arrays and options of one call, brought together before a row is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.utils import parse_bytes

from covdist import plugins
from covdist.engine.plan import Plan
from covdist.engine.room import Room, within
from covdist.errors import DataError
from covdist.folding.grouping import grouped_rows, labelling
from covdist.folding.inputs import aligned, check_labels, check_pairs, matching, side_names, y_dim
from covdist.folding.weights import Halflife, fading, weight_vectors
from covdist.given import one_of
from covdist.kernel.library import compiled, kind
from covdist.numerics.accumulator import Options
from covdist.numerics.blas import with_kernel
from covdist.numerics.em import Fit
from covdist.numerics.nonfinite import INFINITIES, RowPolicy
from covdist.numerics.products import PRECISIONS
from covdist.results.accepted import labels_along
from covdist.results.labels import Array, Dims, Groups, Labelled, Rows, Weights, label
from covdist.results.layout import Layout
from covdist.results.moments import Moments
from covdist.rows.stream import Stream, checksum_of, stream
from covdist.state.base import StateType
from covdist.state.cross import Cross
from covdist.state.named import Named, is_beside_matrix, is_paired, state_type
from covdist.state.scatter import Scatter

DEFAULT_FIT = Fit()
IN_MEMORY, IN_TILES = "memory", "tiles"
MATRICES = ("auto", IN_MEMORY, IN_TILES)


class SideRows(NamedTuple):
    """The rows of x (``number`` 0) or y (1), or a range of their first column axis."""

    side: Labelled
    data: Array
    columns: slice | None
    number: int
    inf: str
    lazy: bool  # whether the result is found again by its token, which costs a pass over a numpy array


def rows_as_they_are(rows: SideRows) -> Stream:
    return stream(rows.data, len(rows.side.sample_dims), rows.columns)


def as_asked(kind: StateType) -> StateType:
    return kind


def serves_all(request: Request) -> None:
    """Refuse nothing."""


class FillOptions(NamedTuple):
    """As for :func:`covdist.fill`; each policy takes what concerns it."""

    kind: str = "linear"
    along: str | None = None
    max_gap: float | str | np.timedelta64 | None = None
    ends: str | float | Sequence[float] = "keep"
    inf: str = "raise"
    limit: int | None = None
    tolerance: float = 1e-10
    max_iterations: int = 100
    ridge: float = 1e-8


@dataclass(frozen=True)
class Policy:
    """A policy for missing values; each file in ``covdist.missing`` makes one from functions.

    Attributes
    ----------
    rows : callable
        Decides which rows of a block are folded.
    whole_rows : bool
        Whether a value missing in one column leaves its row out of all, so that columns cannot be read apart.
    state, stream : callable
        Return the state type that answers in place of the one asked for, and the rows of one array as they are folded.
    check : callable
        Raises DataError at a request that the policy cannot serve.
    strategy : callable or None
        Returns the moments of a request where the policy takes passes of its own, one after the other.
    fill : callable or None
        Returns the array of :func:`covdist.fill`, sample axes in front, for an array, its dims and options.
    """

    rows: RowPolicy
    whole_rows: bool = False
    state: Callable[[StateType], StateType] = as_asked
    stream: Callable[[SideRows], Stream] = rows_as_they_are
    check: Callable[[Request], None] = serves_all
    strategy: Callable[[Request], Moments] | None = None
    fill: Callable[[Labelled, FillOptions], Array] | None = None


def policy(name: str) -> Policy:
    try:
        return _policy(name)
    except (LookupError, TypeError):
        one_of("missing", name, plugins.names("missing"))
        raise


@cache
def _policy(name: str) -> Policy:
    return plugins.find("missing", name).POLICY


@dataclass(eq=False)  # nothing writes to it; made frozen it takes 4 us more of each call
class Request:
    """Names, arrays and options of one call."""

    sides: tuple[Labelled, ...]  # x, and y where there is one
    blocks: Mapping[str, Array]  # the sides' arrays by the names that messages know
    vectors: Mapping[str, Array]  # one value a row: group codes "by", "frequency" and "reliability"
    groups: Groups | None
    state: StateType  # as the policy gives it
    missing: str
    policy: Policy
    options: Options
    rows: int
    widths: tuple[int, ...]  # of the sides
    lazy: bool  # whether any of the arrays is
    group_rows: np.ndarray | None = None  # of groups of rows
    weighted: bool = False
    halflife: Halflife = None
    matrix: str = "auto"  # one of MATRICES
    memory: int | None = None  # bytes that one worker may hold, as the caller named it
    workers: Room | None = None  # those at hand, where the caller named no memory
    fit: Fit = DEFAULT_FIT
    known: dict[Hashable, Stream] = field(default_factory=dict, repr=False)  # looking through a graph takes a while

    @property
    def sample_ndim(self) -> int:
        return len(self.sides[0].sample_dims)

    @property
    def x(self) -> Array:
        return next(iter(self.blocks.values()))

    @property
    def positions(self) -> int:
        """States whose columns lie side by side, each ``widths`` wide; 0 where there is one of all columns."""
        return self.groups.size if self.groups is not None and self.groups.positions else 0

    @property
    def source(self) -> str:
        return " with ".join([side.name for side in self.sides])

    @property
    def room(self) -> Room | None:
        """What one worker may hold, if that is known."""
        return self.workers if self.memory is None else Room(self.memory, 1)

    def check_room(self, plan: Plan) -> None:
        """Raise PlanError where a plan does not fit into the memory that was named, or in no way into the workers."""
        plan.check(self.memory)
        if self.workers is not None:
            plan.check_workers(self.workers.memory)

    def in_turn(self, plan: Plan, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function that folds, such that a worker runs no more at once than it has memory for."""
        if self.room is None or (beyond := plan.peak(self.room.threads) - self.room.memory) <= 0:
            return function
        return partial(within, plan.at_once(self.room.threads) * plan.fold_bytes - beyond, plan.fold_bytes, function)

    def layout(self) -> Layout:
        blas = not compiled() or self.policy.strategy is not None
        provenance = {
            "rows": self.rows,
            "source": self.source,
            "dims": ", ".join(self.sides[0].sample_dims),
            "dtype": ", ".join([_name_of(side.data.dtype) for side in self.sides]),
            "missing": self.missing,
            "inf": self.options.inf,
            "precision": self.options.precision,
            "kernel": with_kernel() if blas else kind(),
        }
        if self.lazy and (checksums := dict.fromkeys(filter(None, [checksum_of(side.data) for side in self.sides]))):
            provenance["checksum"] = ", ".join(checksums)
        if self.halflife is not None:
            provenance["halflife"] = str(self.halflife)
        if self.groups is not None:
            provenance |= self.groups.cuts
        return Layout(self.state, tuple([side.axis for side in self.sides]), self.groups, provenance)

    def stream_of(self, array: Array) -> Stream:
        return self._once(id(array), stream, array, self.sample_ndim)

    def side_stream(self, number: int, columns: slice | None = None) -> Stream:
        """Return the rows of a side as they are folded."""
        data = self.x if number == 0 else list(self.blocks.values())[number]
        rows = SideRows(self.sides[number], data, columns, number, self.options.inf, self.lazy)
        key = self.policy.stream, number, columns and (columns.start, columns.stop)
        return self._once(key, self.policy.stream, rows)

    def _once(self, key: Hashable, make: Callable[..., Stream], *arguments: object) -> Stream:
        if key not in self.known:
            self.known[key] = make(*arguments)
        return self.known[key]


_name_of = lru_cache(maxsize=64)(str)  # of a dtype takes 2 us
_options = lru_cache(maxsize=64)(Options)


def of_rows_alone(request: Request, data: Array) -> bool:
    """Return whether a request is of these data as they are, with nothing beside them."""
    return len(request.sides) == 1 and not request.vectors and request.sides[0].data is data


def another(request: Request, data: Array, name: str) -> Request:
    """Return a request ``of_rows_alone`` for another array, which differs in its name and values alone."""
    (side,) = request.sides
    return replace(request, sides=(replace(side, data=data, name=name),), blocks={name: data}, known={})


def make_request(
    x: npt.ArrayLike,
    y: npt.ArrayLike | None = None,
    *,
    dim: Dims = None,
    by: Rows = None,
    blocks: int | None = None,
    weights: Weights = None,
    halflife: Halflife = None,
    each: Dims = None,
    missing: str = "raise",
    inf: str = "raise",
    precision: str = "high",
    state: Named | Sequence[Named] | None = None,
    matrix: str = "auto",
    memory: int | str | None = None,
    fit: Fit = DEFAULT_FIT,
) -> Request:
    """Bring a call's arrays and options together; those of :func:`covdist.moments`, or DataError."""
    one_of("matrix", matrix, MATRICES)
    for what, given in (("x", x), ("y", y)):
        if isinstance(given, Moments):
            raise DataError(f"{what} is Moments, not an array: read them by their own methods, such as m.cov()")
    chosen = policy(missing)
    one_of("inf", inf, INFINITIES)
    one_of("precision", precision, PRECISIONS)
    sides = [label(x, dim, fallback="x", each=each)]
    if y is not None:
        sides.append(matching(sides[0], label(y, y_dim(x, y, dim), fallback="y")))
    kind = _kind(state, sides)
    grouping = grouped_rows(by, blocks, *sides)
    groups = None if grouping is None else grouping.groups
    if sides[0].positions is not None:
        _check_each(each, y, groups, chosen, missing)
        groups = sides[0].positions
    names = side_names(sides)
    if y is not None or by is not None or weights is not None:
        _check_rows(dict(zip(names, sides, strict=True)), by, weights)
    vectors = fading(halflife, sides[0], weight_vectors(weights, sides[0]))
    weighted = bool(vectors)
    if grouping is not None:
        vectors["by"] = grouping.codes
    data = aligned([*[side.data for side in sides], *vectors.values()], len(sides[0].sample_dims))
    request = Request(
        sides=tuple(sides),
        blocks=dict(zip(names, data, strict=False)),
        vectors=dict(zip(vectors, data[len(sides) :], strict=True)),
        groups=groups,
        group_rows=None if grouping is None else grouping.rows,
        state=chosen.state(kind),
        missing=missing,
        policy=chosen,
        options=_options(chosen.rows, precision, inf),
        rows=math.prod(sides[0].sample_shape),
        widths=tuple([side.axis.size for side in sides]),
        lazy=any([isinstance(array, da.Array) for array in data]),
        weighted=weighted,
        halflife=halflife,
        matrix=matrix,
        memory=_size(memory),
        fit=fit,
    )
    chosen.check(request)
    return request


def _check_each(each: Dims, y: object, groups: Groups | None, chosen: Policy, missing: str) -> None:
    plain = chosen.strategy is None and chosen.stream is rows_as_they_are
    if y is not None or groups is not None or not plain:
        found = "y" if y is not None else f"missing={missing!r}" if groups is None else f"groups by {groups.dim!r}"
        raise DataError(
            f"each={each!r} makes a state of every position by itself, which {found} does not go with: leave one of "
            "them out, or pass the rows of one position"
        )


def _check_rows(sides: Mapping[str, Labelled], by: Rows, weights: Weights) -> None:
    """Raise DataError where what goes with the rows of x has other labels for them."""
    beside: dict[str, Any] = {} if by is None else dict(labelling(by))
    if weights is not None:
        beside |= weights if isinstance(weights, Mapping) else {"weights": weights}
    dims = next(iter(sides.values())).sample_dims
    labels = {name: side.labels for name, side in sides.items()}
    check_labels(labels | {what: labels_along(each, dims) for what, each in beside.items()})


def _size(memory: int | str | None) -> int | None:
    if memory is None:
        return None
    try:
        size = int(parse_bytes(memory))
    except (TypeError, ValueError, AttributeError, OverflowError):
        size = 0
    if size <= 0:
        raise DataError(f"memory={memory!r} is not a size: pass bytes, or text such as '3GiB'")
    return size


def _kind(state: Named | Sequence[Named] | None, sides: list[Labelled]) -> StateType:
    if state is None:
        return (Scatter, Cross)[len(sides) - 1]
    kind = state_type(state)
    if is_beside_matrix(kind):
        raise DataError(
            "the state 'tiles' is what is kept beside a matrix in tiles: pass matrix='tiles' in place of it, to "
            "`covdist run` --beyond tiles with --max-columns"
        )
    if kind.sides != len(sides):
        raise DataError(
            f"the state {kind.name!r} is of {('x alone', 'x and y')[kind.sides - 1]}, found "
            f"{' and '.join(side.name for side in sides)}: {('leave out y', 'pass y')[kind.sides - 1]} (--against)"
        )
    if is_paired(kind):
        check_pairs(*sides)
    return kind
