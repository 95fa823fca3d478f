"""Precision matrix: the inverse of the covariance."""

from __future__ import annotations

import xarray as xr

from covdist.readings.estimates.shrink import read_estimate
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def precision(m: Moments, *, ddof: float = 0, shrink: str | None = None) -> xr.DataArray:
    """Inverse of the covariance matrix.

    Parameters
    ----------
    m : Moments
        Of x, with a matrix; a matrix for each group where there are groups, NaN for a group that has none.
    ddof : float
        The divisor of the covariance is N - ddof; 0 by default.
    shrink : str, optional
        Shrink the covariance first, by a method of :func:`covdist.shrink`.

    Returns
    -------
    DataArray
        float64, dims as for :func:`covdist.cov`, exactly symmetric; lazy where ``m`` is.

    Raises
    ------
    DataError
        If ``m`` holds no matrix or one that is singular, which names the pivot that is zero to rounding.

    Notes
    -----
    Correlations are inverted by their Cholesky factor and divided by the deviations, so that the units of columns make
    no difference.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> covdist.moments(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])).precision().values
    array([[2. , 0. ],
           [0. , 0.5]])
    """
    attrs = {"ddof": ddof, "long_name": "precision", "units": "1 / products of the columns' units"}
    return read_estimate(m, "inverse", m.layout.matrix_axes(), ddof, shrink, name="precision", attrs=attrs)


read = precision
