"""Rows whose covariance is made the identity."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.given import one_of
from covdist.numerics.matrices.shrinkage import METHODS
from covdist.numerics.shifted_columns import less_mean
from covdist.readings.estimates.shrink import asking_for, estimate_of
from covdist.results.applied import RowArray
from covdist.results.deferred import apply
from covdist.results.labels import ArrayLike, Dims
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.results.reading import check_moments

_METHODS = ("zca", "pca", "cholesky")


@own_names
def whiten(
    x: ArrayLike, m: Moments, *, method: str = "zca", dim: Dims = None, ddof: float = 0, shrink: str | None = None
) -> xr.DataArray:
    """Rows less the mean, turned and scaled so that their covariance is the identity.

    Parameters
    ----------
    x : DataArray, dask array or array_like, real
        Rows of the columns of ``m``, those it was made of or others.
    m : Moments
        With a matrix, without groups.
    method : str
        "zca": W = S^-½, which leaves each column as close to itself as can be. "pca": along the eigenvectors, by
        descending eigenvalue, a component each. "cholesky": W = L⁻¹ of S = L Lᵀ, where a column depends on those
        before it only.
    dim : str, int or sequence of them, optional
        Sample dims; of a DataArray those that are no columns of ``m``, else axis 0.
    ddof : float
        The divisor of the covariance is N - ddof; 0 by default.
    shrink : str, optional
        Shrink the covariance first, by a method of :func:`covdist.shrink`.

    Returns
    -------
    DataArray
        float64, dims and chunks of ``x``, lazy where ``x`` or ``m`` is; with "pca" the dim of the columns is
        ``component``.

    Raises
    ------
    DataError
        If the columns differ, or the covariance is singular, which names the pivot or the eigenvalue.

    Notes
    -----
    Kessy, Lewin and Strimmer (2018), Optimal whitening and decorrelation.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(100, 3)) @ np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0], [0.0, 0.0, 5]])
    >>> white = covdist.whiten(x, covdist.moments(x))
    >>> bool(np.allclose(covdist.cov(white, dim="sample"), np.eye(3)))
    True
    """
    one_of("method", method, _METHODS)
    check_ungrouped(m, "whiten")
    check_method(shrink)
    axis = m.layout.axes[0]
    rows = RowArray.of(x, dim, axis)
    make = partial(Whitening.of, method=method, ddof=ddof, shrink=shrink)
    parameters = apply(make, asking_for(m, shrink).parts[0])
    about: dict[str, Any] = {"long_name": f"rows whitened by {method}", "units": "1", "ddof": ddof}
    if method != "pca" or axis.dim is None:
        return rows.like(rows.mapped(Whitening.applied, parameters, rows.shape), "whiten", **about)
    data = rows.mapped(Whitening.applied, parameters, (axis.size,) if len(rows.shape) != 1 else rows.shape)
    return rows.labelled(data, ["component"], {"component": np.arange(axis.size)}, "whiten", **about)


class Whitening(NamedTuple):
    """What turns and scales rows; the means of their columns in two parts, the scale (columns,)."""

    mean: np.ndarray
    mean_low: np.ndarray
    scale: np.ndarray
    matrix: np.ndarray

    @classmethod
    def of(cls, state: Any, method: str, ddof: float, shrink: str | None) -> Whitening:
        columns = state.side(0)
        return cls(columns.mean(), columns.mean_low(), *estimate_of(state, ddof, shrink).whitening(method))

    @staticmethod
    def applied(rows: np.ndarray, by: Whitening) -> np.ndarray:
        return (less_mean(rows, by.mean, by.mean_low) / by.scale) @ by.matrix.T


def check_ungrouped(m: Any, what: str) -> None:
    check_moments(m, what)
    if (groups := m.layout.groups) is not None:
        raise DataError(
            f"{what} takes one state, found a {m.layout.describe()}: choose a group, such as by "
            f"m.sel({(groups.levels or (groups.dim,))[0]}=...), or join them by m.merge({groups.dim!r})"
        )


def check_method(shrink: str | None) -> None:
    if shrink is not None:
        one_of("shrink", shrink, METHODS)
