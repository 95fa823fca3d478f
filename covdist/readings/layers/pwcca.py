"""Projection-weighted canonical correlation of two layers."""

from __future__ import annotations

import xarray as xr

from covdist.numerics.matrices.two_sides import PWCCA
from covdist.readings.layers.cka import read_figure
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def pwcca(m_xy: Moments) -> xr.DataArray:
    """Mean canonical correlation of two layers, weighted by how much of x each direction accounts for.

    Parameters
    ----------
    m_xy : Moments
        ``covdist.moments(x, y, dim=...)`` of the layers' activations for the same samples.

    Returns
    -------
    DataArray
        float64 from 0 to 1, a number, or one a group; lazy where ``m_xy`` is. Not the same with x and y exchanged. NaN
        where a layer is constant.

    Raises
    ------
    DataError
        If ``m_xy`` is of one side, or lacks the sides' own matrices.

    Notes
    -----
    Σ aᵢ ρᵢ / Σ aᵢ with aᵢ the sum over x's columns of |⟨hᵢ, column⟩|, and hᵢ the i-th canonical variate of x: Morcos,
    Raghu and Bengio (2018), Insights on representational similarity in neural networks with canonical correlation.
    Directions are those of :func:`covdist.cca`; where correlations are equal, as several of 1 are with no more rows
    than columns on both sides, those and so the weights are not unique.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> y = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> covdist.pwcca(covdist.moments(x, y)).round(3).item()  # only the first column of x is in y
    0.75
    """
    return read_figure(m_xy, PWCCA, "pwcca", long_name="projection-weighted canonical correlation")


read = pwcca
