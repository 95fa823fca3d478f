"""Mahalanobis distances of rows from a mean, or from the mean of each group."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from covdist.numerics.shifted_columns import less_mean
from covdist.readings.estimates.shrink import asking_for, estimate_of
from covdist.readings.rows.whiten import check_method, check_ungrouped
from covdist.results.applied import RowArray
from covdist.results.deferred import apply, members
from covdist.results.labels import ArrayLike, Dims
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.results.reading import check_moments


@own_names
def mahalanobis(
    x: ArrayLike, m: Moments, *, dim: Dims = None, ddof: float = 0, shrink: str | None = None
) -> xr.DataArray:
    """Mahalanobis distance of each row from the mean; with groups, from the mean of each, by their pooled covariance.

    Parameters
    ----------
    x : DataArray, dask array or array_like, real
        Rows of the columns of ``m``, those it was made of or others.
    m : Moments
        With a matrix. With groups the covariance is that within them: the sum of their scatters over N - ddof.
    dim : str, int or sequence of them, optional
        Sample dims; of a DataArray those that are no columns of ``m``, else axis 0.
    ddof : float
        The divisor of the covariance is N - ddof; 0 by default.
    shrink : str, optional
        Shrink the covariance first, by a method of :func:`covdist.shrink`.

    Returns
    -------
    DataArray
        float64, the samples' dims and chunks, and with groups one more for them; lazy where ``x`` or ``m`` is. The
        distance, not its square; NaN from a group without rows.

    Raises
    ------
    DataError
        If the columns differ, or the covariance is singular, which names the pivot.

    Notes
    -----
    √((x - μ)ᵀ S⁻¹ (x - μ)), by the Cholesky factor of S. With groups as Lee, Lee, Lee and Shin (2018) find what is out
    of distribution: by the least of the distances.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> covdist.mahalanobis(x, covdist.moments(x)).values.round(4)
    array([1.4142, 1.4142, 1.4142, 1.4142])
    """
    check_moments(m, "mahalanobis")
    check_method(shrink)
    groups = m.layout.groups
    if groups is not None and groups.positions:
        check_ungrouped(m, "mahalanobis")
    rows = RowArray.of(x, dim, m.layout.axes[0])
    count = None if groups is None else len(groups.values)
    parameters = apply(partial(Distances.of, groups=count, ddof=ddof, shrink=shrink), asking_for(m, shrink).parts[0])
    data = rows.mapped(Distances.applied, parameters, () if count is None else (count,))
    about: dict[str, Any] = {"long_name": "Mahalanobis distance", "units": "1", "ddof": ddof}
    dims, coords = ([], {}) if groups is None else ([groups.dim], groups.coords())
    return rows.labelled(data, dims, coords, "mahalanobis", **about)


class Distances(NamedTuple):
    """What makes distances from a centre; the means of groups are given by their own way from it."""

    mean: np.ndarray  # (columns,)
    mean_low: np.ndarray
    scale: np.ndarray
    matrix: np.ndarray  # (columns, columns)
    away: np.ndarray | None  # (groups, columns): whitened means less the centre; None without groups

    @classmethod
    def of(cls, state: Any, groups: int | None, ddof: float, shrink: str | None) -> Distances:
        whole = state if groups is None else state.within()
        centre, (scale, matrix) = whole.side(0), estimate_of(whole, ddof, shrink).whitening("cholesky")
        found = cls(centre.mean(), centre.mean_low(), scale, matrix, None)
        if groups is None:
            return found
        each = [one.side(0) for one in members(state, groups)]
        away = [((one.mean() - found.mean) + (one.mean_low() - found.mean_low)) / scale for one in each]
        return found._replace(away=np.array(away) @ matrix.T)

    @staticmethod
    def applied(rows: np.ndarray, by: Distances) -> np.ndarray:
        white = (less_mean(rows, by.mean, by.mean_low) / by.scale) @ by.matrix.T
        if by.away is None:
            return np.asarray(np.linalg.norm(white, axis=1))
        return np.stack([np.linalg.norm(white - mean, axis=1) for mean in by.away], axis=1)
