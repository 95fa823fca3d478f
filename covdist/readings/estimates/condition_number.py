"""Condition number of the covariance."""

from __future__ import annotations

import xarray as xr

from covdist.readings.estimates.shrink import read_estimate
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def condition_number(m: Moments, *, shrink: str | None = None) -> xr.DataArray:
    """Largest eigenvalue of the covariance matrix over its smallest.

    Parameters
    ----------
    m : Moments
        Of x, with a matrix; a number for each group where there are groups, NaN for a group that has none.
    shrink : str, optional
        Shrink the covariance first, by a method of :func:`covdist.shrink`.

    Returns
    -------
    DataArray
        float64, 1 or more; lazy where ``m`` is. There is no ddof, it cancels.

    Raises
    ------
    DataError
        If ``m`` holds no matrix or one that is singular, which names the eigenvalue; ``condition`` of
        :func:`covdist.spectrum`, the same number, is infinite then.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> float(covdist.moments(x).condition_number())
    4.0
    """
    attrs = {"long_name": "condition number of the covariance", "units": "1"}
    return read_estimate(m, "condition", (), 0, shrink, name="condition_number", attrs=attrs)


read = condition_number
