"""Covariance of each row with the row some steps later."""

from __future__ import annotations

import xarray as xr

from covdist.folding.fold import fold_rows
from covdist.given import one_of
from covdist.results.labels import PRODUCTS, ArrayLike, Dims, Rows
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.state.series.lagged import ESTIMATORS, Lagged


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
    estimator: str = "pairs",
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
    estimator : str
        "pairs": each side has the mean of its own rows. "reversible": of the pairs and the same pairs turned round, a
        symmetric matrix with one mean and the divisor 2 (N - lag) - ``ddof``. "series": with the mean of all rows and
        the divisor N - ``ddof``, as textbooks have it for stationary series; ``ddof=lag`` divides by the pairs.

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
    "pairs" is equal to ``covdist.cov(x[:-lag], x[lag:])``, as in Noé and Nüske (2013), A variational approach to
    modeling slow processes, and "reversible" to the estimator of Wu and others (2017), Variational Koopman models, as
    deeptime's ``Covariance(lag, reversible=True, remove_data_mean=True)``; the covariance of the same rows at no lag
    is that of ``covdist.moments(x[:-lag]) + covdist.moments(x[lag:])``. "series" is statsmodels' ``acovf`` and
    ``ccovf``, with ``ddof=lag`` those with ``adjusted=True``.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[0.0], [1.0], [0.0], [1.0], [0.0]])
    >>> covdist.autocov(x, 1).values, covdist.autocov(x, 2).values.round(4)
    (array([[-0.25]]), array([[0.2222]]))
    >>> covdist.autocov(x, 1, estimator="series").values
    array([[-0.192]])
    """
    one_of("estimator", estimator, tuple(ESTIMATORS))
    return read(fold_rows(x, dim=dim, by=by, missing=missing, inf=inf, state=Lagged(lag)), ddof, estimator)


def read(moments: Moments, ddof: float = 0, estimator: str = "pairs") -> xr.DataArray:
    one_of("estimator", estimator, tuple(ESTIMATORS))
    attrs = {"ddof": ddof, "estimator": estimator, "long_name": "autocovariance", "units": PRODUCTS}
    return moments.read_matrix("autocovariance", ddof, estimator, name="autocov", attrs=attrs)
