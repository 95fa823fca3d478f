"""``Moments``: a state, or the promise of one, with the names of its rows and columns."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr

from covdist.errors import DataError, MergeError
from covdist.results.labelled_state import LabelledState
from covdist.results.labels import COLUMNS, readable
from covdist.results.looks.moments import page, text
from covdist.results.names import own_names
from covdist.results.readings import Readings
from covdist.results.saving import export, save
from covdist.state.base import ColumnState, State, StateType, ask, of_no_columns, scaled
from covdist.state.grouped import Grouped


class Moments(Readings, LabelledState):
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

    # ---- readings

    def mean(self) -> xr.DataArray:
        """Mean of each column of x, float64.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.array([[1.0, 2.0], [3.0, 6.0]])).mean().values
        array([2., 4.])
        """
        return self.read_columns(ask, "mean", name="mean", attrs={"long_name": "mean", "units": COLUMNS})

    @own_names
    def var(self, ddof: float = 0) -> xr.DataArray:
        """Variance of each column of x, float64; ``ddof=0`` divides by the number of rows.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.array([[1.0, 5.0], [3.0, 5.0]])).var().values
        array([1., 0.])
        """
        return self._reading("var")(ddof=ddof)

    @own_names
    def std(self, ddof: float = 0) -> xr.DataArray:
        """Standard deviation of each column of x, right also where the variance underflows.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> float(covdist.moments(np.array([1e-200, 3e-200])).std())
        1e-200
        """
        return self._reading("std")(ddof=ddof)

    @own_names
    def cov(self, ddof: float = 0, min_periods: int = 1, nearest_psd: bool = False) -> xr.DataArray:
        """Covariance matrix; ``ddof=0`` divides by the number of rows; options as for :func:`covdist.cov`.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.array([[1.0, 2.0], [3.0, 6.0]])).cov().values
        array([[1., 2.],
               [2., 4.]])
        """
        return self._reading("cov")(ddof=ddof, min_periods=min_periods, nearest_psd=nearest_psd)

    @own_names
    def corr(self, method: str = "pearson", min_periods: int = 1) -> xr.DataArray:
        """Correlation matrix, within [-1, 1]; NaN in the row and column of a constant column.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.array([[1.0, 2.0], [3.0, 1.0]])).corr().values
        array([[ 1., -1.],
               [-1.,  1.]])
        """
        return self._reading("corr")(method=method, min_periods=min_periods)

    @own_names
    def spectrum(self, k: int, vectors: bool = True) -> xr.Dataset:
        """The k leading eigenpairs of the covariance, as :func:`covdist.spectrum` gives them.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.diag([1.0, 2.0])).spectrum(1)["eigenvalue"].values
        array([1.25])
        """
        return cast(xr.Dataset, self._reading("spectrum")(k, vectors=vectors))

    @own_names
    def smallest_eigenvalue(self, ddof: float = 0, min_periods: int = 1) -> xr.DataArray:
        """Smallest eigenvalue of the covariance matrix, NaN where an entry is NaN.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> float(covdist.moments(np.array([[1.0, 0.0], [-1.0, 0.0]])).smallest_eigenvalue())
        0.0
        """
        return self._reading("smallest_eigenvalue")(ddof=ddof, min_periods=min_periods)

    # ---- algebra

    def merge(self, other: Moments | str) -> Moments:
        """Return the moments of all rows of both, or of all groups.

        Parameters
        ----------
        other : Moments or str
            Moments of other rows of the same columns; or the name of the groups' dim, which disappears. The sum
            of a state "both" and a state "cross" is "cross".

        Raises
        ------
        MergeError
            If the columns or groups differ.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> m = covdist.moments(np.eye(4), by=np.array([0, 0, 1, 1]))
        >>> int(m.merge("group").count), int(m.merge(m).merge("group").count)
        (4, 8)
        """
        if isinstance(other, str):
            return self._merge_groups(other)
        if not isinstance(other, Moments):
            raise DataError(f"merge takes moments, or the name of groups, found a {type(other).__name__}: pass those")
        if self.matrix is not None or other.matrix is not None:
            raise MergeError(
                f"cannot merge a {self.layout.describe()} with a {other.layout.describe()}: a matrix in tiles does "
                "not add up; join the rows and fold them together"
            )
        one, another = self._narrowed_to(other.layout.state), other._narrowed_to(self.layout.state)
        layout, recodings = one.layout.merge(another.layout)
        first, second = one.deferred, another.deferred
        if recodings is not None:
            first, second = first.map(recodings[0]), second.map(recodings[1])
        return Moments(first.merge(second), layout)

    def _narrowed_to(self, kind: StateType) -> Moments:
        """Return the moments by another type of state, which this one's extends; else the same."""
        found = self
        while found.layout.state != kind and found.can_answer("narrowed"):
            layout = replace(found.layout, state=cast(Any, found.layout.state).EXTENDS)
            found = Moments(found.deferred.map_groups(partial(ask, answer="narrowed")), layout)
        return found if found.layout.state == kind else self

    def __add__(self, other: Moments) -> Moments:
        return self.merge(other) if isinstance(other, Moments) else NotImplemented

    def __radd__(self, other: object) -> Moments:
        """Return the moments themselves for 0, with which ``sum`` begins."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def scaled(self, factor: float) -> Moments:
        """Return the moments with all weights times ``factor``, such as to let older rows count less in a sum.

        Parameters
        ----------
        factor : float
            0 or more. Counts of rows stay as they are; weights count as reliabilities, and rows that weigh 0 count for
            nothing in a sum.

        Raises
        ------
        DataError
            If the factor is negative or not finite, or the state's sums are not those of weighted rows.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> old, new = covdist.moments(np.array([[0.0]])), covdist.moments(np.array([[3.0]]))
        >>> (old.scaled(0.5) + new).mean().values
        array([2.])
        """
        given: Any = factor
        if not isinstance(given, Real) or not 0 <= float(given) < np.inf:
            raise DataError(f"factor={factor!r} is not a weight: pass a number, 0 or more")
        if self.layout.state.ordered:
            raise DataError(f"a {self.layout.describe()} cannot be scaled: its rows have no weights")
        if self.matrix is not None:
            raise DataError(
                f"a {self.layout.describe()} cannot be scaled: a matrix in tiles does not add up; pass weights= where "
                "the rows are folded"
            )
        return Moments(self.deferred.map_groups(partial(scaled, self.layout.state, factor=float(factor))), self.layout)

    def _merge_groups(self, dim: str) -> Moments:
        groups = self.layout.groups
        if groups is None or dim not in (groups.dim, *groups.levels):
            raise MergeError(f"cannot merge over {dim!r}: this state has {self.layout.grouped()}")
        if self.layout.state.ordered:
            raise MergeError(
                f"cannot merge over {dim!r}: a {self.layout.describe()} depends on the order of the rows, which groups "
                "do not keep; fold the rows without by="
            )
        if dim in groups.levels:
            return self._regrouped(dim, np.ones(len(groups.values), bool))
        return Moments(self.deferred.map(Grouped.union), replace(self.layout, groups=None))

    def _regrouped(self, without: str, taken: np.ndarray) -> Moments:
        """Return some of the groups by several coordinates, summed over one of these."""
        groups = self.layout.groups
        assert groups is not None
        found, codes = groups.without(without, taken)
        return Moments(self.deferred.map(partial(Grouped.regrouped, codes=codes)), replace(self.layout, groups=found))

    def sel(self, **labels: object) -> Moments:
        """Return one group's moments, such as ``m.sel(epoch=3)``.

        Raises
        ------
        KeyError
            If there is no such group.
        DataError
            If not exactly one label is given.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> m = covdist.moments(np.eye(4), by=np.array([0, 0, 0, 1]))
        >>> int(m.sel(group=0).count)
        3
        """
        groups = self.layout.groups
        if len(labels) != 1:
            found = f"found {len(labels)}: {self.layout.describe()}"
            raise DataError(f"sel() takes one label, such as sel(epoch=3), {found}")
        ((dim, value),) = labels.items()
        if groups is not None and dim in groups.levels:
            taken = groups.at(value, dim)
            if not np.any(taken):
                raise KeyError(f"no group {dim}={value!r}, there are {readable(np.unique(groups.values[dim]))}")
            return self._regrouped(dim, taken)
        if groups is None or groups.dim != dim:
            raise KeyError(f"no groups by {dim!r}: {self.layout.describe()}")
        codes = np.flatnonzero(groups.at(value))
        if not len(codes):
            raise KeyError(f"no group {dim}={value!r}, there are {readable(groups.values)}")
        return Moments(self.deferred.map(partial(Grouped.group, code=int(codes[0]))), replace(self.layout, groups=None))

    @property
    def x(self) -> Moments:
        """Means and variances of x alone.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.eye(2), np.ones((2, 3))).x.mean().sizes["unit"]
        2
        """
        return self._side(0)

    @property
    def y(self) -> Moments:
        """Means and variances of y alone.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.eye(2), np.ones((2, 3))).y.mean().sizes["unit"]
        3
        """
        return self._side(len(self.layout.axes) - 1)

    def _side(self, number: int) -> Moments:
        kind = type(of_no_columns(self.layout.state).side(number))
        layout = replace(self.layout, state=cast(StateType, kind), axes=(self.layout.axes[number],))
        deferred = self.deferred.map_groups(partial(_side_of, number=number))
        return Moments(deferred if number == 0 else deferred._replace(widths=layout.widths), layout)

    def save(self, path: str | Path) -> None:
        """Write to a new Zarr store that :func:`covdist.load` reads.

        Raises
        ------
        ResultError
            If ``path`` exists; it is left as it is.

        Examples
        --------
        >>> import tempfile, numpy as np, covdist
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     covdist.moments(np.eye(3)).save(f"{folder}/m.zarr")
        ...     covdist.load(f"{folder}/m.zarr")
        <covdist.Moments of 3 rows: full state of unit (3)>
        """
        save({"": self}, path)

    def export(self, path: str | Path, format: str, **options: Any) -> None:
        """Write to a new file that another tool loads: :func:`covdist.export` of one state.

        Examples
        --------
        >>> import tempfile, numpy as np, covdist
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     covdist.moments(np.eye(3)).export(f"{folder}/stats.npz", "fid")
        ...     sorted(np.load(f"{folder}/stats.npz"))
        ['count', 'mu', 'sigma']
        """
        export(self, path, format, **options)

    def __repr__(self) -> str:
        return text(self)

    def _repr_html_(self) -> str:
        return page(self)


def _side_of(state: State, number: int) -> ColumnState:
    return state.side(number)
