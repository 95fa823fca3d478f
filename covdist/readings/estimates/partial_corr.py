"""Partial correlation: of two columns, with what all others explain taken from both."""

from __future__ import annotations

import xarray as xr

from covdist.readings.estimates.shrink import read_estimate
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def partial_corr(m: Moments, *, shrink: str | None = None) -> xr.DataArray:
    """Correlation of each two columns when the linear effect of all other columns is taken from both.

    Parameters
    ----------
    m : Moments
        Of x, with a matrix; a matrix for each group where there are groups, NaN for a group that has none.
    shrink : str, optional
        Shrink the covariance first, by a method of :func:`covdist.shrink`.

    Returns
    -------
    DataArray
        float64 within [-1, 1], dims as for :func:`covdist.cov`; the diagonal is exactly 1; lazy where ``m`` is.

    Raises
    ------
    DataError
        If ``m`` holds no matrix or one that is singular, which names the pivot that is zero to rounding.

    Notes
    -----
    -P_ij / √(P_ii P_jj) of the precision matrix P (Lauritzen 1996, Graphical models, section 5.1.3). There is no ddof,
    it cancels.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> rng = np.random.default_rng(0)
    >>> cause = rng.normal(size=10_000)
    >>> x = np.stack([cause, cause + rng.normal(size=10_000), cause + rng.normal(size=10_000)], axis=1)
    >>> m = covdist.moments(x)
    >>> float(m.corr()[1, 2].round(1)), abs(float(m.partial_corr()[1, 2].round(1)))
    (0.5, 0.0)
    """
    attrs = {"long_name": "partial correlation", "units": "1"}
    return read_estimate(m, "partial_correlation", m.layout.matrix_axes(), 0, shrink, name="partial_corr", attrs=attrs)


read = partial_corr
