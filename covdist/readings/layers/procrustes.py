"""Procrustes distance of two layers."""

from __future__ import annotations

import xarray as xr

from covdist.numerics.matrices.two_sides import PROCRUSTES
from covdist.readings.layers.cka import read_figure
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def procrustes(m_xy: Moments) -> xr.DataArray:
    """Orthogonal Procrustes distance of two layers: what is left between them when one is turned onto the other.

    Parameters
    ----------
    m_xy : Moments
        ``covdist.moments(x, y, dim=...)`` of the layers' activations for the same samples.

    Returns
    -------
    DataArray
        float64 from 0, the same but turned and scaled, to √2, unrelated; a number, or one a group; lazy where ``m_xy``
        is. The distance, not its square; below 1e-7 it is rounding. NaN where a layer is constant.

    Raises
    ------
    DataError
        If ``m_xy`` is of one side, or lacks the sides' own matrices.

    Notes
    -----
    The least ‖X - Y R‖ over orthogonal R, of samples less their mean and with a Frobenius norm of 1 each:
    √(2 - 2 ‖XᵀY‖₁), with the sum of the singular values (the nuclear norm). A metric, Williams et al. (2021),
    Generalized Shape Metrics on Neural Representations; Ding et al. (2021) use its square.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> round(covdist.procrustes(covdist.moments(x, x[:, :1])).item(), 4)
    0.7654
    """
    return read_figure(m_xy, PROCRUSTES, "procrustes", long_name="orthogonal Procrustes distance")


read = procrustes
