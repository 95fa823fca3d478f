"""Logarithm of the determinant of the covariance."""

from __future__ import annotations

import xarray as xr

from covdist.readings.estimates.shrink import read_estimate
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def logdet(m: Moments, *, ddof: float = 0, shrink: str | None = None) -> xr.DataArray:
    """Natural logarithm of the determinant of the covariance matrix.

    Parameters
    ----------
    m : Moments
        Of x, with a matrix; a number for each group where there are groups, NaN for a group that has none.
    ddof : float
        The divisor of the covariance is N - ddof; 0 by default.
    shrink : str, optional
        Shrink the covariance first, by a method of :func:`covdist.shrink`.

    Returns
    -------
    DataArray
        float64; lazy where ``m`` is. The determinant itself may be too small or too large for a float.

    Raises
    ------
    DataError
        If ``m`` holds no matrix or one that is singular, which names the pivot that is zero to rounding.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> [round(float(covdist.moments(rows).logdet()), 6) for rows in (x, x * 1e-200)]
    [0.0, -1842.068074]
    """
    attrs = {"ddof": ddof, "long_name": "log-determinant of the covariance", "units": "1"}
    return read_estimate(m, "logdet", (), ddof, shrink, name="logdet", attrs=attrs)


read = logdet
