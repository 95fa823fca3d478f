"""Covariance of each row with the row some steps later."""

from __future__ import annotations

import xarray as xr

from covdist.folding.fold import fold_rows
from covdist.results.labels import ArrayLike, Dims, Rows
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.state.lagged import Lagged


@own_names
def autocov(
    x: ArrayLike,
    lag: int,
    *,
    dim: Dims = None,
    ddof: float = 0,
    by: Rows = None,
    missing: str = "raise",
    inf: str = "raise",
) -> xr.DataArray:
    """Covariance of x's columns in row t with x's columns in row t + lag, in one pass and for any chunking.

    Parameters
    ----------
    x, dim, by, missing, inf
        As for :func:`covdist.moments`; samples in their order, of which those of one group follow each other.
        ``missing="drop"`` leaves out the pairs of which one row has a missing value; ``"pairwise"`` and ``"maxent"``
        are refused.
    lag : int
        Rows, 0 or more.
    ddof : float
        The divisor is the number of pairs of rows, N - lag, less ``ddof``; 0 by default.

    Returns
    -------
    DataArray
        float64, dims ``("unit", "unit_2")``: rows for the columns at t, columns for those at t + lag; lazy where ``x``
        is.

    Raises
    ------
    DataError
        If dims, dtypes or the lag do not fit, or ``ddof`` leaves no divisor.

    Notes
    -----
    Equal to ``covdist.cov(x[:-lag], x[lag:])``: each side has the mean of its own rows, as the estimator of Noé and
    Nüske (2013) has it for reversible or irreversible dynamics; statistics of time series often take one mean and
    the divisor N for both instead.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[0.0], [1.0], [0.0], [1.0], [0.0]])
    >>> covdist.autocov(x, 1).values, covdist.autocov(x, 2).values.round(4)
    (array([[-0.25]]), array([[0.2222]]))
    """
    return read(fold_rows(x, dim=dim, by=by, missing=missing, inf=inf, state=Lagged(lag)), ddof)


def read(moments: Moments, ddof: float = 0) -> xr.DataArray:
    return moments.read_matrix("autocovariance", ddof, name="autocov", attrs={"ddof": ddof})
