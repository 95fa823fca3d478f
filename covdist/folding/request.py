"""``Request``: the arrays and options of one call, brought together before a row is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import dask.array as da
import numpy.typing as npt
from dask.utils import parse_bytes

from covdist import plugins
from covdist.errors import DataError
from covdist.folding.inputs import aligned, grouping, matching, one_of, side_names, y_dim
from covdist.folding.weights import Halflife, fading, weight_vectors
from covdist.numerics.accumulator import Options
from covdist.numerics.em import Fit
from covdist.numerics.nonfinite import INFINITIES, RowPolicy
from covdist.numerics.products import PRECISIONS
from covdist.results.labels import Array, Dims, Groups, Labelled, Weights, label
from covdist.results.layout import Layout
from covdist.results.moments import Moments
from covdist.rows.stream import Stream, stream
from covdist.state.base import StateType
from covdist.state.cross import Cross
from covdist.state.named import Named, state_type
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
    """Return the stream of an array's own rows."""
    return stream(rows.data, len(rows.side.sample_dims), rows.columns)


def _as_asked(kind: StateType) -> StateType:
    return kind


def _accept(request: Request) -> None:
    pass


@dataclass(frozen=True)
class Policy:
    """A policy for missing values; each file in ``covdist.missing`` makes one from functions.

    Attributes
    ----------
    rows : callable
        Decides which rows of a block are folded.
    whole_rows : bool
        Whether a value that is missing in one column leaves its row out of all of them, so that columns cannot be
        read apart from each other.
    state : callable
        Returns the state type that answers in place of the one asked for.
    stream : callable
        Returns the rows of one array as they are folded.
    check : callable
        Raises DataError at a request that the policy cannot serve.
    strategy : callable or None
        Returns the moments of a request where the policy takes passes of its own, one after the other.
    fill : callable or None
        Returns the array of :func:`covdist.fill`, sample axes in front, for an array, its dims and options.
    """

    rows: RowPolicy
    whole_rows: bool = False
    state: Callable[[StateType], StateType] = _as_asked
    stream: Callable[[SideRows], Stream] = rows_as_they_are
    check: Callable[[Request], None] = _accept
    strategy: Callable[[Request], Moments] | None = None
    fill: Callable[..., Array] | None = None


def policy(name: str) -> Policy:
    """Return the policy of that name; DataError where there is none."""
    one_of("missing", name, tuple(plugins.names("missing")))
    found: Policy = plugins.find("missing", name).POLICY
    return found


@dataclass(frozen=True, eq=False)
class Request:
    """Names, arrays and options of one call.

    Attributes
    ----------
    sides : tuple of Labelled
        x, and y where there is one.
    blocks : dict
        The sides' arrays by the names that messages know.
    vectors : dict
        Arrays with one value a row: group codes "by", "frequency" and "reliability".
    groups : Groups or None
    state : StateType
        As the policy gives it.
    missing : str
    policy : Policy
    options : Options
    weighted : bool
    halflife : float or timedelta64, optional
    matrix : str
        One of ``MATRICES``.
    memory : int or None
        Bytes that one worker may hold.
    fit : Fit
    """

    sides: tuple[Labelled, ...]
    blocks: Mapping[str, Array]
    vectors: Mapping[str, Array]
    groups: Groups | None
    state: StateType
    missing: str
    policy: Policy
    options: Options
    weighted: bool = False
    halflife: Halflife = None
    matrix: str = "auto"
    memory: int | None = None
    fit: Fit = DEFAULT_FIT
    known: dict[str, Stream] = field(default_factory=dict, repr=False)  # looking through a graph takes a while

    @property
    def sample_ndim(self) -> int:
        """Number of sample axes, which come first."""
        return len(self.sides[0].sample_dims)

    @property
    def rows(self) -> int:
        return math.prod(self.sides[0].sample_shape)

    @property
    def widths(self) -> tuple[int, ...]:
        """Columns of each side."""
        return tuple(side.axis.size for side in self.sides)

    @property
    def lazy(self) -> bool:
        """Whether an array is still to be computed."""
        return any(isinstance(array, da.Array) for array in (*self.blocks.values(), *self.vectors.values()))

    @property
    def source(self) -> str:
        return " with ".join(side.name for side in self.sides)

    def layout(self) -> Layout:
        """Return the names and the provenance of the result."""
        provenance = {
            "rows": self.rows,
            "source": self.source,
            "dims": ", ".join(self.sides[0].sample_dims),
            "dtype": ", ".join(str(side.data.dtype) for side in self.sides),
            "missing": self.missing,
            "inf": self.options.inf,
            "precision": self.options.precision,
        }
        if self.halflife is not None:
            provenance["halflife"] = str(self.halflife)
        return Layout(self.state, tuple(side.axis for side in self.sides), self.groups, provenance)

    def stream_of(self, array: Array, columns: slice | None = None) -> Stream:
        """Return an array's own rows, or a range of its first column axis."""
        return self._once(f"{id(array)} {columns}", stream, array, self.sample_ndim, columns)

    def side_stream(self, number: int, columns: slice | None = None) -> Stream:
        """Return the rows of a side as they are folded."""
        side, data = self.sides[number], list(self.blocks.values())[number]
        rows = SideRows(side, data, columns, number, self.options.inf, self.lazy)
        return self._once(f"{self.policy.stream} {number} {columns}", self.policy.stream, rows)

    def _once(self, key: str, make: Callable[..., Stream], *arguments: object) -> Stream:
        if key not in self.known:
            self.known[key] = make(*arguments)
        return self.known[key]


def make_request(
    x: npt.ArrayLike,
    y: npt.ArrayLike | None = None,
    *,
    dim: Dims = None,
    by: npt.ArrayLike | None = None,
    weights: Weights = None,
    halflife: Halflife = None,
    missing: str = "raise",
    inf: str = "raise",
    precision: str = "high",
    state: Named | Sequence[Named] | None = None,
    matrix: str = "auto",
    memory: int | str | None = None,
    fit: Fit = DEFAULT_FIT,
) -> Request:
    """Bring a call's arrays and options together; those of :func:`covdist.moments`.

    Raises
    ------
    DataError
        If they do not fit together.
    """
    one_of("matrix", matrix, MATRICES)
    chosen = policy(missing)
    one_of("inf", inf, INFINITIES)
    one_of("precision", precision, PRECISIONS)
    sides = [label(x, dim, fallback="x")]
    if y is not None:
        sides.append(matching(sides[0], label(y, y_dim(x, y, dim), fallback="y")))
    kind = _kind(state, sides)
    groups, codes = grouping(by, *sides)
    vectors = fading(halflife, sides[0], weight_vectors(weights, sides[0]))
    weighted = bool(vectors)
    if codes is not None:
        vectors["by"] = codes
    ndim = len(sides[0].sample_dims)
    data = aligned([side.data for side in sides] + list(vectors.values()), ndim)
    request = Request(
        sides=tuple(sides),
        blocks=dict(zip(side_names(sides), data, strict=False)),
        vectors=dict(zip(vectors, data[len(sides) :], strict=True)),
        groups=groups,
        state=chosen.state(kind),
        missing=missing,
        policy=chosen,
        options=Options(chosen.rows, precision, inf),
        weighted=weighted,
        halflife=halflife,
        matrix=matrix,
        memory=None if memory is None else parse_bytes(memory),
        fit=fit,
    )
    chosen.check(request)
    return request


def _kind(state: Named | Sequence[Named] | None, sides: list[Labelled]) -> StateType:
    kind = state_type((Scatter, Cross)[len(sides) - 1] if state is None else state)
    if kind.sides != len(sides):
        raise DataError(
            f"the state {kind.name!r} is of {('x alone', 'x and y')[kind.sides - 1]}, found "
            f"{' and '.join(side.name for side in sides)}: {('leave out y', 'pass y')[kind.sides - 1]}"
        )
    return kind
