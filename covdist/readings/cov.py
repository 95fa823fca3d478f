"""Covariance matrix of the columns, or of x's columns with y's."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from covdist.readings.moments import fold_rows
from covdist.readings.result import Moments
from covdist.readings.var import divisor, variance
from covdist.state import triangle


def cov(
    x: Any,
    y: Any = None,
    *,
    dim: Any = None,
    ddof: float = 0,
    by: Any = None,
    weights: Any = None,
    missing: str = "raise",
) -> xr.DataArray:
    """Covariance matrix of x's columns, or of x's columns with y's.

    Parameters
    ----------
    x, y : DataArray, dask array or array_like, real
        Samples along ``dim``; all other dims are columns, stacked where there are several.
    dim : str, int or sequence of them
        Sample dims; for arrays without names an axis, 0 by default.
    ddof : float
        The divisor is N - ddof; 0, the default, gives the population covariance (1/N).
    by, weights, missing
        As for :func:`covdist.moments`.

    Returns
    -------
    DataArray
        float64; dims ``("unit", "unit_2")`` for x with columns ``unit``, ``("unit", "out")`` with y's ``out``;
        exactly symmetric without y; lazy where ``x`` is.

    Raises
    ------
    DataError
        If dims, rows or dtypes do not fit, or ``ddof`` leaves nothing to divide by.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(size=(100, 10)), rng.normal(size=(100, 1))
    >>> covdist.cov(X, Y).shape
    (10, 1)
    >>> bool(np.allclose(covdist.cov(X, ddof=1), np.cov(X.T)))
    True
    """
    return read(fold_rows(x, y, dim=dim, by=by, weights=weights, missing=missing, ddof=ddof), ddof)


def read(moments: Moments, ddof: float = 0) -> xr.DataArray:
    """Read the covariance matrix off a state."""
    axes = moments.layout.matrix_axes()
    return moments.read(covariance, axes, ddof, name="cov", kinds=("full", "cross"), attrs={"ddof": ddof})


def covariance(state: Any, ddof: float) -> np.ndarray:
    matrix, exponent, exponent_y = scatter_matrix(state)
    matrix /= divisor(state.columns, ddof)
    if exponent.any() or exponent_y.any():
        matrix = np.ldexp(np.ldexp(matrix, exponent[:, None]), exponent_y)
    if matrix is not None and not hasattr(state, "columns_y"):
        np.fill_diagonal(matrix, variance(state, ddof))
    return matrix


def scatter_matrix(state: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a new, full scatter matrix and the exponents of its rows and columns."""
    columns = state.columns
    if hasattr(state, "columns_y"):
        return state.rectangle.copy(), columns.exponent, state.columns_y.exponent
    return triangle.unpack(state.triangle, columns.width), columns.exponent, columns.exponent
