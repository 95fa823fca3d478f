"""Rows less their mean, over the standard deviation of each column."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from covdist.numerics.shifted_columns import less_mean
from covdist.readings.rows.whiten import check_ungrouped
from covdist.results.applied import RowArray
from covdist.results.labels import ArrayLike, Dims
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.state.base import ask


@own_names
def standardise(x: ArrayLike, m: Moments, *, dim: Dims = None, ddof: float = 0) -> xr.DataArray:
    """Rows less the mean of each column, divided by its standard deviation.

    Parameters
    ----------
    x : DataArray, dask array or array_like, real
        Rows of the columns of ``m``, those it was made of or others.
    m : Moments
        Of any kind, without groups; with y, those of x count.
    dim : str, int or sequence of them, optional
        Sample dims; of a DataArray those that are no columns of ``m``, else axis 0.
    ddof : float
        The divisor of the variance is N - ddof; 0 by default.

    Returns
    -------
    DataArray
        float64, dims, coordinates and chunks of ``x``, lazy where ``x`` or ``m`` is; NaN for a constant column.

    Raises
    ------
    DataError
        If the columns differ, or ``ddof`` leaves no divisor.

    Notes
    -----
    As scikit-learn's ``StandardScaler``, which leaves a constant column at 0 instead.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 1e-200], [3.0, 3e-200]])
    >>> covdist.standardise(x, covdist.moments(x)).values
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    check_ungrouped(m, "standardise")
    rows = RowArray.of(x, dim, m.layout.axes[0])
    mean, low, spread = (
        rows.columns(m.read_columns(ask, *asked).data) for asked in (["mean"], ["mean_low"], ["deviation", ddof])
    )
    given: tuple[Any, ...] = rows.array.data, mean, low, spread
    if any(isinstance(each, da.Array) for each in given):
        every = range(rows.array.ndim)
        places = every, *(every[len(rows.samples) :],) * 3
        sides = (each for pair in zip(given, places, strict=True) for each in pair)
        found = da.blockwise(_standardised, every, *sides, dtype=np.float64, meta=np.empty((0,) * len(every)))
    else:
        found = _standardised(*given)
    return rows.like(found, "standardise", long_name="standardised rows", units="1", ddof=ddof)


def _standardised(rows: np.ndarray, mean: np.ndarray, low: np.ndarray, spread: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):  # other rows may lie any number of spreads away
        return np.asarray(less_mean(rows, mean, low) / np.where(spread > 0, spread, np.nan))
