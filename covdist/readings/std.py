"""Standard deviation of each column, right also where the variance underflows; never builds a matrix."""

from __future__ import annotations

import xarray as xr

from covdist.folding.fold import fold_rows
from covdist.results.labels import COLUMNS, ArrayLike, Dims, Rows, Weights
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.state.base import ask
from covdist.state.variances import Variances


@own_names
def std(
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
    """Standard deviation of each column over the samples, in one pass and without a matrix.

    Parameters
    ----------
    x, dim, ddof, by, each, weights, missing, inf
        As for :func:`covdist.var`.

    Returns
    -------
    DataArray
        float64, dims of the columns; lazy where ``x`` is. Right also where the variance is too small for a float.

    Raises
    ------
    DataError
        If dims or dtypes do not fit, or ``ddof`` leaves no divisor.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> covdist.std(np.array([[1e-200, 5.0], [3e-200, 5.0]])).values
    array([1.e-200, 0.e+000])
    """
    found = fold_rows(
        x, dim=dim, ddof=ddof, by=by, each=each, weights=weights, missing=missing, inf=inf, state=Variances
    )
    return read(found, ddof)


def read(moments: Moments, ddof: float = 0) -> xr.DataArray:
    return moments.read_columns(
        ask, "deviation", ddof, name="std", attrs={"ddof": ddof, "long_name": "standard deviation", "units": COLUMNS}
    )
