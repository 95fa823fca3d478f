"""Autocorrelation of each column with itself some rows later."""

from __future__ import annotations

import numpy as np
import xarray as xr

from covdist.results.labels import Axis
from covdist.results.moments import Moments
from covdist.results.reading import reading
from covdist.state.base import ask, of_no_columns


@reading
def autocorr(m: Moments) -> xr.DataArray:
    """Autocorrelation function of each column: with itself 0, 1, 2, ... rows later.

    Parameters
    ----------
    m : Moments
        Of ``covdist.moments(x, dim=..., state="serial(lags=32)")``, which takes one pass for all lags; a function for
        each group where there are groups, of its rows alone.

    Returns
    -------
    DataArray
        float64, dims ``("lag", "unit")``, lags from 0 to the last one; lazy where ``m`` is; NaN for a constant column.

    Raises
    ------
    DataError
        If ``m`` holds no lags.

    Notes
    -----
    Products about the mean of all rows, over those at lag 0, as ``acf`` of statsmodels. Rows that ``missing="drop"``
    leaves out stay in their place, without products of theirs.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[0.0], [1.0], [0.0], [1.0]])
    >>> covdist.moments(x, state="serial(lags=2)").autocorr().values.ravel()
    array([ 1.  , -0.75,  0.5 ])
    """
    attrs = {"long_name": "autocorrelation", "units": "1"}
    deferred = m.asking("autocorrelations")
    count = len(ask(of_no_columns(m.layout.state), "autocorrelations"))
    axes = Axis("lag", count, {"lag": np.arange(count)}), m.layout.axes[0]
    return deferred.read(ask, axes, "autocorrelations", name="autocorr", attrs=attrs)


read = autocorr
