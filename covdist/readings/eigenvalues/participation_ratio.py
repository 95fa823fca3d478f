"""Participation ratio of the covariance."""

from __future__ import annotations

import xarray as xr

from covdist.readings.spectrum.fields import number
from covdist.readings.spectrum.methods import read as spectrum
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def participation_ratio(m: Moments) -> xr.DataArray:
    """Participation ratio of the covariance: (Σλ)² / Σλ² of its eigenvalues.

    The same number as in :func:`covdist.spectrum`: how many directions of equal variance would have as large a sum of
    squares.

    Parameters
    ----------
    m : Moments
        Of x, with a matrix; a number for each group where there are groups.

    Returns
    -------
    DataArray
        float64, from 1 to the number of columns; lazy where ``m`` is; NaN where the matrix has NaN or nothing varies.

    Raises
    ------
    DataError
        If ``m`` holds no matrix.

    Notes
    -----
    As for the dimension of neural activity by Gao et al. (2017), A theory of multineuronal dimensionality.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> round(float(covdist.moments(x).participation_ratio()), 3)
    1.471
    """
    return number(spectrum(m, 1, vectors=False), "participation_ratio")


read = participation_ratio
