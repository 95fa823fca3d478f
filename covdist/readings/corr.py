"""Correlation matrix of the columns, or of x's columns with y's."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.readings.corr_pairwise import read_pairwise
from covdist.readings.cov import scatter_matrix
from covdist.readings.moments import fold_rows
from covdist.results.matrix import read_matrix
from covdist.results.moments import Moments

_METHODS = ("pearson",)
_STRIP = 64  # rows divided together: their divisors are the only temporary


def corr(
    x: Any,
    y: Any = None,
    *,
    dim: Any = None,
    method: str = "pearson",
    by: Any = None,
    weights: Any = None,
    missing: str = "raise",
    inf: str = "raise",
    min_periods: int = 1,
) -> xr.DataArray:
    """Correlation matrix of x's columns, or of x's columns with y's.

    Parameters
    ----------
    x, y : DataArray, dask array or array_like, real
        Samples along ``dim``; all other dims are columns, stacked where there are several.
    dim : str, int or sequence of them
        Sample dims; for arrays without names an axis, 0 by default.
    method : str
        "pearson". There is no ddof (default 0): it cancels.
    by, weights, missing, inf
        As for :func:`covdist.moments`. Under ``missing="pairwise"`` the spreads, too, are those of a pair's rows.
    min_periods : int
        Under ``missing="pairwise"`` entries of fewer rows are NaN.

    Returns
    -------
    DataArray
        float64 within [-1, 1], dims as for :func:`covdist.cov`; the diagonal is exactly 1; NaN in the row and
        column of a constant column.

    Raises
    ------
    DataError
        If dims, rows or dtypes do not fit, or the method is unknown.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.arange(6.0)
    >>> covdist.corr(np.stack([x, -x], axis=1)).values
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    _check(method)
    return read(fold_rows(x, y, dim=dim, by=by, weights=weights, missing=missing, inf=inf), method, min_periods)


def read(moments: Moments, method: str = "pearson", min_periods: int = 1) -> xr.DataArray:
    """Read the correlation matrix off a state."""
    _check(method)
    if moments.layout.kind in ("pairwise", "pairwise cross"):
        return read_pairwise(moments, method, min_periods)
    if min_periods != 1:
        raise DataError(
            f"min_periods is for missing='pairwise', found a {moments.layout.describe()}: leave it out, every entry is "
            "of the same rows"
        )
    return read_matrix(moments, correlation, name="corr", attrs={"method": method})


def _check(method: str) -> None:
    if method not in _METHODS:
        raise DataError(f"method={method!r} is unknown: pass one of {', '.join(map(repr, _METHODS))}")


def correlation(state: Any, rows: slice) -> np.ndarray:
    """Return rows of the correlation matrix."""
    matrix, _, _ = scatter_matrix(state, rows)
    all_roots = np.sqrt(state.columns.squares)
    roots = all_roots[rows]
    roots_y = np.sqrt(state.columns_y.squares) if hasattr(state, "columns_y") else all_roots
    with np.errstate(invalid="ignore", divide="ignore"):
        _divide(matrix, roots, roots_y)
    np.clip(matrix, -1.0, 1.0, out=matrix)
    matrix[roots == 0], matrix[:, roots_y == 0] = np.nan, np.nan
    if roots_y is all_roots:
        # A column's correlation with itself is 1 by definition, not by rounding; NaN stays NaN.
        np.fill_diagonal(matrix[:, rows], np.where(np.isfinite(roots) & (roots > 0), 1.0, np.nan))
    return matrix


def _divide(matrix: np.ndarray, roots: np.ndarray, roots_y: np.ndarray) -> None:
    """Divide entry (i, j) by one product of roots, which keeps the symmetry, within float64's range."""
    fractions, powers = np.frexp(roots)
    fractions_y, powers_y = np.frexp(roots_y)
    matrix *= np.ldexp(1.0, -powers)[:, None]
    matrix *= np.ldexp(1.0, -powers_y)
    for start in range(0, len(matrix), _STRIP):
        rows = slice(start, start + _STRIP)
        matrix[rows] /= np.multiply.outer(fractions[rows], fractions_y)
