"""Rows less their mean, over the standard deviation of each column."""

from __future__ import annotations

import numpy as np
import xarray as xr

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
    data = rows.array.data.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = ((data - mean) - low) / np.where(spread > 0, spread, np.nan)
    return rows.like(found, "standardise", long_name="standardised rows", units="1", ddof=ddof)
