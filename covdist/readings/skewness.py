"""Skewness of each column."""

from __future__ import annotations

import xarray as xr

from covdist.folding.fold import fold_rows
from covdist.results.labels import ArrayLike, Dims, Rows, Weights
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.state.fourth_order.higher import HigherMoments


@own_names
def skewness(
    x: ArrayLike,
    *,
    dim: Dims = None,
    by: Rows = None,
    each: Dims = None,
    weights: Weights = None,
    missing: str = "raise",
    inf: str = "raise",
) -> xr.DataArray:
    """Skewness of each column over the samples, in one pass.

    Parameters
    ----------
    x, dim, by, each, weights, missing, inf
        As for :func:`covdist.moments`; ``missing="pairwise"`` and ``"maxent"`` are refused.

    Returns
    -------
    DataArray
        float64, dims of the columns; NaN for a constant column; lazy where ``x`` is.

    Raises
    ------
    DataError
        If dims or dtypes do not fit.

    Notes
    -----
    m₃ / m₂^1.5 of the central moments m₂, ... with the divisor N, as ``scipy.stats.skew`` with ``bias=True``. Blocks
    are merged by the formulas of Pébay (2008), Formulas for robust, one-pass parallel computation of covariances
    and arbitrary-order statistical moments.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> covdist.skewness(np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [4.0, 4.0]])).values.round(4)
    array([1.1547, 0.    ])
    """
    found = fold_rows(x, dim=dim, by=by, each=each, weights=weights, missing=missing, inf=inf, state=HigherMoments)
    return read(found)


def read(moments: Moments) -> xr.DataArray:
    return moments.read(
        "skewness", moments.layout.axes[:1], name="skewness", attrs={"long_name": "skewness", "units": "1"}
    )
