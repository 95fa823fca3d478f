"""Variance of each column; never builds anything columns × columns."""

from __future__ import annotations

import numpy as np
import xarray as xr

from covdist.folding.fold import fold_rows
from covdist.results.labels import ArrayLike, Dims, Rows, Weights
from covdist.results.moments import Moments
from covdist.state.base import ColumnState
from covdist.state.variances import Variances


def var(
    x: ArrayLike,
    *,
    dim: Dims = None,
    ddof: float = 0,
    by: Rows = None,
    weights: Weights = None,
    missing: str = "raise",
    inf: str = "raise",
) -> xr.DataArray:
    """Variance of each column over the samples, in one pass and with nothing columns × columns.

    Parameters
    ----------
    x : DataArray, dask array or array_like, real
        Samples along ``dim``; all other dims are columns, stacked where there are several.
    dim : str, int or sequence of them
        Sample dims; for arrays without names an axis, 0 by default.
    ddof : float
        The divisor is N - ddof; 0, the default, gives the population variance.
    by, weights, missing, inf
        As for :func:`covdist.moments`.

    Returns
    -------
    DataArray
        float64, dims of the columns; lazy where ``x`` is.

    Raises
    ------
    DataError
        If dims or dtypes do not fit, or ``ddof`` leaves nothing to divide by.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> covdist.var(np.array([[1.0, 5.0], [3.0, 5.0]])).values
    array([1., 0.])
    """
    found = fold_rows(x, dim=dim, ddof=ddof, by=by, weights=weights, missing=missing, inf=inf, state=Variances)
    return read(found, ddof)


def read(moments: Moments, ddof: float = 0) -> xr.DataArray:
    """Read the variances off a state."""
    return moments.read_columns(variance, ddof, name="var", attrs={"ddof": ddof})


def variance(columns: ColumnState, ddof: float) -> np.ndarray:
    """Return the variances, (columns,)."""
    return columns.variance(ddof)
