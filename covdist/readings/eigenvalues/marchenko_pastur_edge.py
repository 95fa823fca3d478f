"""Upper edge of the eigenvalues of noise."""

from __future__ import annotations

import xarray as xr

from covdist.readings.spectrum.fields import number
from covdist.readings.spectrum.methods import read as spectrum
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def marchenko_pastur_edge(m: Moments) -> xr.DataArray:
    """Largest eigenvalue to be expected of as many rows and columns of independent noise.

    The same number as in :func:`covdist.spectrum`: of noise with the same total variance; eigenvalues above it are more
    than noise makes.

    Parameters
    ----------
    m : Moments
        Of x, with a matrix; a number for each group where there are groups.

    Returns
    -------
    DataArray
        float64, a variance; lazy where ``m`` is; NaN where the matrix has NaN.

    Raises
    ------
    DataError
        If ``m`` holds no matrix.

    Notes
    -----
    tr(S)/p · (1 + √(p/N))² for p columns and N rows (Marchenko and Pastur 1967).

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> round(float(covdist.moments(x).marchenko_pastur_edge()), 3)
    3.643
    """
    return number(spectrum(m, 1, vectors=False), "marchenko_pastur_edge")


read = marchenko_pastur_edge
