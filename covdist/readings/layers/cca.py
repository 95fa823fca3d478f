"""Canonical correlations of two layers."""

from __future__ import annotations

import numpy as np
import xarray as xr

from covdist.folding.inputs import check_number
from covdist.numerics.blas import with_kernel
from covdist.numerics.matrices.two_sides import TOLERANCE
from covdist.readings.spectrum.fields import component
from covdist.results.moments import Moments
from covdist.results.reading import reading
from covdist.state.base import ask


@reading
def cca(m_xy: Moments, *, tolerance: float = TOLERANCE, ridge: float = 0.0) -> xr.DataArray:
    """Canonical correlations of two layers: those of the best pair of directions, of the best beside it, and so on.

    Parameters
    ----------
    m_xy : Moments
        ``covdist.moments(x, y, dim=...)`` of the layers' activations for the same samples.
    tolerance : float
        Directions in which a layer, its columns brought to a variance of 1, varies by no more than this share of the
        largest are left out, as are those that the number of rows leaves no room for.
    ridge : float
        Added to the diagonals of both layers' correlation matrices: correlations come out smaller, and do not follow
        the noise where there are few rows for the columns.

    Returns
    -------
    DataArray
        float64, dim ``component``, as many as the layer with fewer columns has, descending, from 0 to 1; lazy where
        ``m_xy`` is. 0 where no direction is left for one; NaN where a layer is constant.

    Raises
    ------
    DataError
        If an option is out of range, or ``m_xy`` is of one side, or lacks the sides' own matrices.

    Notes
    -----
    The singular values of Cxx^(-1/2) Cxy Cyy^(-1/2), Hotelling (1936), Relations between two sets of variates; inverse
    roots are by eigenvalues.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(1000, 3))
    >>> y = x[:, :1] + [[0.0, 1.0]] * rng.normal(size=(1000, 1))
    >>> covdist.cca(covdist.moments(x, y)).values.round(2)
    array([1.  , 0.06])
    """
    check_number("tolerance", tolerance, lambda given: 0 <= given < 1, "a share of the largest variance, below 1")
    check_number("ridge", ridge, lambda given: 0 <= given < np.inf, "a number from 0, to be added to variances")
    axis = component(min(m_xy.layout.widths))
    about = {"long_name": "canonical correlation", "units": "1", "tolerance": tolerance, "ridge": ridge}
    deferred = m_xy.asking("two_sides")
    return deferred.read(_correlations, [axis], tolerance, ridge, name="cca", attrs={**about, "kernel": with_kernel()})


read = cca


def _correlations(state: object, tolerance: float, ridge: float) -> object:
    return ask(state, "two_sides").canonical_correlations(tolerance, ridge)  # type: ignore[arg-type]
