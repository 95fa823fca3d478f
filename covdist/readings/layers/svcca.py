"""Mean canonical correlation of two layers' principal components."""

from __future__ import annotations

import xarray as xr

from covdist.folding.inputs import check_number
from covdist.numerics.matrices.two_sides import svcca as method
from covdist.readings.layers.cka import read_figure
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def svcca(m_xy: Moments, *, explained: float = 0.99) -> xr.DataArray:
    """Mean canonical correlation of two layers' leading principal components.

    Parameters
    ----------
    m_xy : Moments
        ``covdist.moments(x, y, dim=...)`` of the layers' activations for the same samples.
    explained : float
        Of each layer as many components are taken as explain this share of its variance.

    Returns
    -------
    DataArray
        float64 from 0 to 1, a number, or one a group; lazy where ``m_xy`` is. NaN where a layer is constant.

    Raises
    ------
    DataError
        If ``explained`` is not a share, or ``m_xy`` is of one side, or lacks the sides' own matrices.

    Notes
    -----
    Raghu, Gilmer, Yosinski and Sohl-Dickstein (2017), SVCCA: Singular Vector Canonical Correlation Analysis. The mean
    runs over as many correlations as the layer with fewer components has.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(50, 3)) * [9.0, 8.0, 0.01]
    >>> round(covdist.svcca(covdist.moments(x, x[:, :2] @ [[1.0, 2.0], [0.0, 1.0]])).item(), 12)
    1.0
    """
    check_number("explained", explained, lambda given: 0 < given <= 1, "a share of the variance above 0, up to 1")
    about = {"long_name": "mean canonical correlation of principal components", "explained": explained}
    return read_figure(m_xy, method(explained), "svcca", **about)


read = svcca
