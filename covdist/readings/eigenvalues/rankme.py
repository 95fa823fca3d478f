"""RankMe: the entropy of the singular values of rows that are not centred."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from covdist.numerics.blas import with_kernel
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def rankme(m: Moments) -> xr.DataArray:
    """RankMe of the rows: exp of the entropy of their singular values' shares, without subtracting a mean.

    :func:`covdist.effective_rank` is the entropy of the covariance's eigenvalues instead: of squares, and about the
    mean. The two differ, and by more the larger the mean is.

    Parameters
    ----------
    m : Moments
        Of x, with a matrix; a number for each group where there are groups.

    Returns
    -------
    DataArray
        float64, from 1 to the number of columns; lazy where ``m`` is; NaN where the matrix has NaN.

    Raises
    ------
    DataError
        If ``m`` holds no matrix, or no rows.

    Notes
    -----
    Garrido, Balestriero, Najman and LeCun (2023), RankMe, without the 1e-7 that they add to each share. Singular values
    are the roots of the eigenvalues of the second moment; those that rounding alone makes count as 0.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> round(float(covdist.moments(x).rankme()), 3)
    1.89
    """
    attrs = {"long_name": "RankMe", "units": "1", "kernel": with_kernel()}
    return m.asking("uncentred_eigenvalues").read(_rankme, (), name="rankme", attrs=attrs)


read = rankme


def _rankme(state: Any) -> np.ndarray:
    return np.asarray(state.uncentred_eigenvalues().rankme())
