"""Excess kurtosis of each column."""

from __future__ import annotations

import xarray as xr

from covdist.folding.fold import fold_rows
from covdist.results.labels import ArrayLike, Dims, Rows, Weights
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.state.fourth_order.higher import HigherMoments


@own_names
def kurtosis(
    x: ArrayLike,
    *,
    dim: Dims = None,
    by: Rows = None,
    each: Dims = None,
    weights: Weights = None,
    missing: str = "raise",
    inf: str = "raise",
) -> xr.DataArray:
    """Excess kurtosis of each column over the samples, 0 for a Gaussian, in one pass.

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
    m₄ / m₂² - 3 of the central moments m₂, ... with the divisor N, as ``scipy.stats.kurtosis`` with ``bias=True``.
    Blocks are merged as for :func:`covdist.skewness`.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> covdist.kurtosis(np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [4.0, 4.0]])).values.round(4)
    array([-0.6667, -1.36  ])
    """
    found = fold_rows(x, dim=dim, by=by, each=each, weights=weights, missing=missing, inf=inf, state=HigherMoments)
    return read(found)


def read(moments: Moments) -> xr.DataArray:
    return moments.read(
        "kurtosis", moments.layout.axes[:1], name="kurtosis", attrs={"long_name": "excess kurtosis", "units": "1"}
    )
