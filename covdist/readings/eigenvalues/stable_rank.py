"""Stable rank of the centred rows."""

from __future__ import annotations

import xarray as xr

from covdist.readings.spectrum.fields import number
from covdist.readings.spectrum.methods import read as spectrum
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def stable_rank(m: Moments) -> xr.DataArray:
    """Stable rank of the centred rows: the sum of the covariance's eigenvalues over the largest.

    The same number as in :func:`covdist.spectrum`. It is the squared Frobenius norm of the centred rows over their
    squared spectral norm, and changes little with small singular values.

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
    Rudelson and Vershynin (2007), Sampling from large matrices.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> round(float(covdist.moments(x).stable_rank()), 3)
    1.25
    """
    return number(spectrum(m, 1, vectors=False), "stable_rank")


read = stable_rank
