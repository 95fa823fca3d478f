"""The RV coefficient of two layers."""

from __future__ import annotations

import xarray as xr

from covdist.numerics.matrices.two_sides import CKA
from covdist.readings.layers.cka import read_figure
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def rv_coefficient(m_xy: Moments) -> xr.DataArray:
    """RV coefficient of two layers, the squared correlation of two tables: the name in statistics for linear CKA.

    Parameters
    ----------
    m_xy : Moments
        ``covdist.moments(x, y, dim=...)`` of the layers' activations for the same samples.

    Returns
    -------
    DataArray
        float64 from 0 to 1, a number, or one a group; lazy where ``m_xy`` is. NaN where a layer is constant.

    Raises
    ------
    DataError
        If ``m_xy`` is of one side, or lacks the sides' own matrices.

    Notes
    -----
    tr(Cxy Cyx) / √(tr(Cxx²) tr(Cyy²)), Escoufier (1973), Le traitement des variables vectorielles. Of single columns
    it is their squared correlation.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x, y = np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [4.0]])
    >>> round(covdist.rv_coefficient(covdist.moments(x, y)).item(), 4), round(covdist.corr(x, y).item() ** 2, 4)
    (0.9643, 0.9643)
    """
    return read_figure(m_xy, CKA, "rv_coefficient", long_name="RV coefficient")


read = rv_coefficient
