"""Effective rank of the covariance."""

from __future__ import annotations

import xarray as xr

from covdist.readings.spectrum.fields import number
from covdist.readings.spectrum.methods import read as spectrum
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def effective_rank(m: Moments) -> xr.DataArray:
    """Effective rank of the covariance: exp of the entropy of its eigenvalues' shares.

    The same number as in :func:`covdist.spectrum`. Between 1, one direction, and the number of columns, all directions
    alike. :func:`covdist.rankme` is the entropy of singular values instead, of rows that are not centred.

    Parameters
    ----------
    m : Moments
        Of x, with a matrix; a number for each group where there are groups.

    Returns
    -------
    DataArray
        float64, lazy where ``m`` is; NaN where the matrix has NaN or nothing varies.

    Raises
    ------
    DataError
        If ``m`` holds no matrix.

    Notes
    -----
    Roy and Vetterli (2007), The effective rank: a measure of effective dimensionality, of the covariance.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> round(float(covdist.moments(x).effective_rank()), 3)
    1.649
    """
    return number(spectrum(m, 1, vectors=False), "effective_rank")


read = effective_rank
