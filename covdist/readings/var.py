"""Variance of each column; never builds a matrix."""

from __future__ import annotations

import xarray as xr

from covdist.folding.fold import fold_rows
from covdist.results.labels import SQUARES, ArrayLike, Dims, Rows, Weights
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.state.base import ask
from covdist.state.variances import Variances


@own_names
def var(
    x: ArrayLike,
    *,
    dim: Dims = None,
    ddof: float = 0,
    by: Rows = None,
    each: Dims = None,
    weights: Weights = None,
    missing: str = "raise",
    inf: str = "raise",
) -> xr.DataArray:
    """Variance of each column over the samples, in one pass and without a matrix.

    Parameters
    ----------
    x, dim, by, each, weights, missing, inf
        As for :func:`covdist.moments`.
    ddof : float
        The divisor is N - ddof; 0, the default, gives the population variance.

    Returns
    -------
    DataArray
        float64, dims of the columns; lazy where ``x`` is.

    Raises
    ------
    DataError
        If dims or dtypes do not fit, or ``ddof`` leaves no divisor.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> covdist.var(np.array([[1.0, 5.0], [3.0, 5.0]])).values
    array([1., 0.])
    """
    found = fold_rows(
        x, dim=dim, ddof=ddof, by=by, each=each, weights=weights, missing=missing, inf=inf, state=Variances
    )
    return read(found, ddof)


def read(moments: Moments, ddof: float = 0) -> xr.DataArray:
    return moments.read_columns(
        ask, "variance", ddof, name="var", attrs={"ddof": ddof, "long_name": "variance", "units": SQUARES}
    )
