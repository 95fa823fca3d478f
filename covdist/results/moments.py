"""``Moments``: a state, or the promise of one, with the names of its rows and columns."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import compute, persist, tokenize
from dask.delayed import Delayed

from covdist.errors import DataError, MergeError
from covdist.numerics.divisors import column_mean
from covdist.numerics.segments import State
from covdist.results.counts import COUNTS, SIDES, rows_folded, without_matrix
from covdist.results.deferred import Deferred
from covdist.results.groups import all_groups, by_group, joined, map_groups, one_group
from covdist.results.labels import Axis, Groups, labelled
from covdist.state.cross import Cross
from covdist.state.fitted import Fitted, FittedCross
from covdist.state.pairwise import Pairwise, PairwiseCross
from covdist.state.pairwise_variances import PairwiseVariances
from covdist.state.scatter import Scatter
from covdist.state.variances import Variances

STATES: dict[str, Any] = {
    "full": Scatter,
    "cross": Cross,
    "variances": Variances,
    "tiles": Variances,
    "pairwise": Pairwise,
    "pairwise cross": PairwiseCross,
    "pairwise variances": PairwiseVariances,
}


@dataclass(frozen=True)
class Layout:
    """Everything about a state that is known before it is computed.

    Attributes
    ----------
    kind : str
        "full" (scatter matrix of x), "cross" (scatter of x with y), "variances" (no matrix) or "tiles" (a matrix
        too large for a state, beside it); or one of the first three as "pairwise", "pairwise cross" and "pairwise
        variances".
    axes : tuple of Axis
        The columns of x, and of y where there is one.
    groups : Groups or None
    provenance : dict
        Where the rows come from and how they were folded.
    """

    kind: str
    axes: tuple[Axis, ...]
    groups: Groups | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    def empty(self) -> State:
        return STATES[self.kind].empty(*(axis.size for axis in self.axes))

    def matrix_axes(self) -> tuple[Axis, Axis]:
        first = self.axes[0]
        return first, self.axes[-1].second(first)

    def describe(self) -> str:
        grouped = f" by {self.groups.dim} ({len(self.groups.values)})" if self.groups else ""
        return f"{self.kind} state of {' × '.join(map(str, self.axes))}{grouped}"


class Moments:
    """Count, mean and centred scatter of the rows of an array, as :func:`covdist.moments` returns them.

    Two of them add up: the sum is that of all rows. Every result is read from it without touching data;
    results are lazy where this object is. Built by :func:`covdist.moments` and :func:`covdist.load`.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> whole = covdist.moments(x)
    >>> halves = covdist.moments(x[:50]) + covdist.moments(x[50:])
    >>> bool(np.allclose(whole.cov(), halves.cov(), rtol=1e-14))
    True
    """

    def __init__(self, state: Any, layout: Layout, matrix: Any = None):
        self._held, self._layout, self._matrix = Deferred.of(state, layout.axes[0].size), layout, matrix

    # ---- readings

    @property
    def count(self) -> xr.DataArray:
        """Rows folded, int64, per group where there are groups; under ``missing="pairwise"`` those of each pair."""
        function, axes = COUNTS.get(self._layout.kind, (rows_folded, 0))
        return self.read(function, self._layout.matrix_axes()[:axes], name="count", dtype=np.int64)

    @property
    def rows(self) -> xr.DataArray:
        """Rows folded, int64, whatever they hold; per group where there are groups."""
        return self.read(rows_folded, (), name="rows", dtype=np.int64)

    def mean(self) -> xr.DataArray:
        """Mean of each column of x, float64."""
        return self.read(column_mean, (self._layout.axes[0],), name="mean")

    def var(self, ddof: float = 0) -> xr.DataArray:
        """Variance of each column of x, float64; ``ddof=0`` divides by the number of rows."""
        return self._reading("var")(self, ddof=ddof)

    def std(self, ddof: float = 0) -> xr.DataArray:
        """Standard deviation of each column of x, right also where the variance underflows."""
        return self._reading("std")(self, ddof=ddof)

    def cov(self, ddof: float = 0, **options: Any) -> xr.DataArray:
        """Covariance matrix; ``ddof=0`` divides by the number of rows; options as for :func:`covdist.cov`."""
        return self._reading("cov")(self, ddof=ddof, **options)

    def corr(self, method: str = "pearson", **options: Any) -> xr.DataArray:
        """Correlation matrix, within [-1, 1]; NaN in the row and column of a constant column."""
        return self._reading("corr")(self, method=method, **options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        # A further reading is one file in covdist/readings with a function `read`; none is listed here.
        if name.startswith("_"):
            raise AttributeError(name)
        return partial(self._reading(name), self)

    @staticmethod
    def _reading(name: str) -> Callable[..., Any]:
        try:
            return importlib.import_module(f"covdist.readings.{name}").read
        except (ModuleNotFoundError, AttributeError):
            raise AttributeError(f"Moments has no reading {name!r}") from None

    def read(
        self,
        function: Callable[..., Any],
        axes: Sequence[Axis],
        *arguments: Any,
        name: str | None = None,
        kinds: Sequence[str] = tuple(STATES),
        dtype: Any = np.float64,
        attrs: dict[str, Any] | None = None,
    ) -> xr.DataArray:
        """Apply ``function(state, *arguments)``, once a group, and label what it returns.

        Parameters
        ----------
        function : callable
            Takes an ungrouped state; returns an array whose shape is the sizes of ``axes``.
        axes : sequence of Axis
        *arguments
            Passed on; part of the lazy result's key.
        name, dtype, attrs
            Of the result.
        kinds : sequence of str
            Kinds of state the function can read.

        Raises
        ------
        DataError
            If this state is of another kind.
        """
        if self._layout.kind not in kinds:
            raise DataError(
                f"this needs a state of kind {' or '.join(kinds)}, found a {self._layout.describe()}: fold the data "
                "with covdist.moments(x, dim=...) for a full one, covdist.moments(x, y, dim=...) for a cross one"
            )
        shape = tuple(axis.size for axis in axes)
        groups = self._layout.groups
        if groups is not None:
            shape = (len(groups.values), *shape)
            function, arguments = by_group, (function, shape, *arguments)
        data = self._held.array(function, arguments, shape, np.dtype(dtype), per_column=bool(axes))
        return labelled(data, list(axes), groups, name, attrs)

    # ---- algebra

    def merge(self, other: Moments | str) -> Moments:
        """Return the moments of all rows of both, or of all groups.

        Parameters
        ----------
        other : Moments or str
            Moments of other rows of the same columns; or the name of the groups' dim, which disappears.

        Raises
        ------
        MergeError
            If the columns or groups differ.
        """
        if isinstance(other, str):
            return self._merge_groups(other)
        mine, its = self._layout, other._layout
        if "tiles" in (mine.kind, its.kind):
            raise MergeError(
                f"cannot merge a {mine.describe()} with a {its.describe()}: a matrix in tiles does not add up; "
                "join the rows and fold them together"
            )
        if (
            mine.kind != its.kind
            or not all(map(Axis.same, mine.axes, its.axes))
            or bool(mine.groups) != bool(its.groups)
        ):
            raise MergeError(
                f"cannot merge a {mine.describe()} with a {its.describe()}: both must have the same columns, "
                "with the same coordinates"
            )
        groups, states = mine.groups, (self._held, other._held)
        if mine.groups is not None and its.groups is not None and not mine.groups.same(its.groups):
            groups, recodings = joined(mine.groups, its.groups)
            states = states[0].map(recodings[0]), states[1].map(recodings[1])
        layout = replace(mine, groups=groups, provenance=_joint(mine.provenance, its.provenance))
        return Moments(states[0].merge(states[1]), layout)

    def __add__(self, other: Moments) -> Moments:
        return self.merge(other) if isinstance(other, Moments) else NotImplemented

    def _merge_groups(self, dim: str) -> Moments:
        groups = self._layout.groups
        if groups is None or groups.dim != dim:
            found = "no groups" if groups is None else f"groups by {groups.dim!r}"
            raise MergeError(f"cannot merge over {dim!r}: this state has {found}")
        state = self._held.map(all_groups)
        return Moments(state, replace(self._layout, groups=None))

    def sel(self, **labels: Any) -> Moments:
        """Return one group's moments, such as ``m.sel(epoch=3)``.

        Raises
        ------
        KeyError
            If there is no such group.
        DataError
            If not exactly one label is given.
        """
        groups = self._layout.groups
        if len(labels) != 1:
            raise DataError(
                f"sel() takes one label, such as sel(epoch=3), found {len(labels)}: {self._layout.describe()}"
            )
        ((dim, value),) = labels.items()
        if groups is None or groups.dim != dim:
            raise KeyError(f"no groups by {dim!r}: {self._layout.describe()}")
        found = np.flatnonzero(groups.values == value)
        if not len(found):
            raise KeyError(f"no group {dim}={value!r}, there are {groups.values.tolist()}")
        state = self._held.map(partial(one_group, code=int(found[0])))
        return Moments(state, replace(self._layout, groups=None))

    def _side(self, side: int) -> Moments:
        axis = self._layout.axes[side]
        take = partial(without_matrix, side=side)
        over = take if self._layout.groups is None else partial(map_groups, function=take)
        parts = self._held.map(over).parts
        return Moments(
            parts[0] if len(parts) == 1 else Deferred(parts, self._held.widths),
            replace(self._layout, kind=SIDES.get(self._layout.kind, "variances"), axes=(axis,)),
        )

    @property
    def x(self) -> Moments:
        """Means and variances of x alone."""
        return self._side(0)

    @property
    def y(self) -> Moments:
        """Means and variances of y alone."""
        return self._side(len(self._layout.axes) - 1)

    # ---- as data

    @property
    def dataset(self) -> xr.Dataset:
        """The state itself as labelled arrays: what :meth:`save` writes."""
        return importlib.import_module("covdist.results.arrays").read(self)

    def save(self, path: str | Path) -> None:
        """Write to a new Zarr store that :func:`covdist.load` reads.

        Raises
        ------
        ResultError
            If something exists at ``path``; nothing is changed then.
        """
        importlib.import_module("covdist.results.store").save(self, path)

    @property
    def layout(self) -> Layout:
        """Names, kind and provenance; known without computing."""
        return self._layout

    @property
    def state(self) -> Any:
        """The state: arrays without names, or a ``dask.delayed.Delayed`` of them."""
        return self._held.parts[0] if len(self._held.parts) == 1 else self._held

    @property
    def matrix(self) -> Any:
        """What computes or reads the tiles of a matrix too large for a state, if this is of kind "tiles"."""
        return self._matrix

    @property
    def parts(self) -> tuple[Any, ...]:
        """States, or ``Delayed`` of them, of neighbouring columns: more than one only for very many columns."""
        return self._held.parts

    # ---- dask collection

    def compute(self, **options: Any) -> Moments:
        """Return the same with the state computed; options as for ``dask.compute``."""
        return compute(self, **options)[0]

    def persist(self, **options: Any) -> Moments:
        """Return the same with the state kept on the cluster."""
        return persist(self, **options)[0]

    def __dask_graph__(self) -> Any:
        return self._held.graph()

    def __dask_keys__(self) -> Any:
        return [part.key for part in self._held.parts]

    def __dask_layers__(self) -> Sequence[str]:
        return [layer for part in self._held.parts for layer in part.__dask_layers__()]

    # dask merges the graphs of collections that share this function: so a pass is shared with lazy arrays too.
    __dask_optimize__ = staticmethod(da.Array.__dask_optimize__)
    __dask_scheduler__ = staticmethod(Delayed.__dask_scheduler__)

    def __dask_postcompute__(self) -> tuple[Callable[..., Moments], tuple[Any, ...]]:
        return computed, (self._held.widths, self._layout, self._matrix)

    def __dask_postpersist__(self) -> tuple[Callable[..., Moments], tuple[Any, ...]]:
        return _persisted, (self.__dask_keys__(), self._held.widths, self._layout, self._matrix)

    def __dask_tokenize__(self) -> Any:
        return tokenize(self._held.parts, self._layout.kind)

    # ---- looks

    def __repr__(self) -> str:
        if self._held.lazy:
            return f"<covdist.Moments, lazy: {self._layout.describe()}>"
        return f"<covdist.Moments of {int(self.rows.sum()):,} rows: {self._layout.describe()}>"

    def _repr_html_(self) -> str:
        provenance = "".join(
            f"<tr><td>{key}</td><td>{escape(str(value))}</td></tr>" for key, value in self._layout.provenance.items()
        )
        arrays = "" if self._held.lazy else self.dataset._repr_html_()
        return f"<div><b>{escape(repr(self))}</b><table>{provenance}</table>{arrays}</div>"


def computed(states: Sequence[Any], widths: tuple[int, ...], layout: Layout, matrix: Any = None) -> Moments:
    """Return the moments of neighbouring columns' states; of one that was estimated they say how."""
    state = Deferred(tuple(states), widths).joined()
    if isinstance(state, Fitted | FittedCross):
        layout = replace(layout, provenance={**layout.provenance, **state.record})
    return Moments(state, layout, matrix)


def _persisted(
    graph: Any, keys: list[Any], widths: Any, layout: Layout, matrix: Any, *, rename: Mapping[Any, Any] | None = None
) -> Moments:
    names = rename or {}
    parts = tuple(Delayed(names.get(key, key), graph) for key in keys)
    return Moments(Deferred(parts, widths), layout, matrix)


def _joint(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """Provenance of a sum: what both agree on, and the rest side by side."""
    joint = {}
    for key in {**a, **b}:
        values = list(dict.fromkeys(str(p[key]) for p in (a, b) if key in p))
        joint[key] = a.get(key, b.get(key)) if len(values) == 1 else "; ".join(values)
    if "rows" in a and "rows" in b:
        joint["rows"] = a["rows"] + b["rows"]
    return joint
