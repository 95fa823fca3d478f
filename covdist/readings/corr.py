"""Correlation matrix of the columns, or of x's columns with y's."""

from __future__ import annotations

import xarray as xr

from covdist.errors import DataError
from covdist.folding.fold import as_given, fold_rows
from covdist.folding.inputs import one_of
from covdist.folding.pairs import ALL, state_for
from covdist.results.labels import ArrayLike, Dims, Rows, Weights, labelled
from covdist.results.moments import Moments
from covdist.results.names import own_names

_METHODS = ("pearson",)


@own_names
def corr(
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    dim: Dims = None,
    method: str = "pearson",
    by: Rows = None,
    each: Dims = None,
    weights: Weights = None,
    missing: str = "raise",
    inf: str = "raise",
    min_periods: int = 1,
    pairs: str = ALL,
    matrix: str = "auto",
    memory: int | str | None = None,
) -> xr.DataArray:
    """Correlation matrix of x's columns, or of x's columns with y's.

    Parameters
    ----------
    x, y, dim, by, each, weights, missing, inf
        As for :func:`covdist.moments`. Under ``missing="pairwise"`` the spreads, too, are those of a pair's rows.
    method : str
        "pearson". There is no ddof (default 0): it cancels.
    min_periods : int
        Under ``missing="pairwise"`` entries of fewer rows are NaN.
    pairs : str
        "all", or "columns" for each column of x with the same column of y; as for :func:`covdist.cov`.
    matrix, memory : str, and int or str, optional
        As for :func:`covdist.cov`: one state of all columns, or tiles.

    Returns
    -------
    DataArray
        float64 within [-1, 1], dims as for :func:`covdist.cov`; the diagonal is exactly 1; NaN in the row and
        column of a constant column.

    Raises
    ------
    DataError
        If dims, rows or dtypes do not fit, or the method is unknown.
    PlanError
        If what is asked for does not fit into ``memory``, or in no way into the workers at hand.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.arange(6.0)
    >>> covdist.corr(np.stack([x, -x], axis=1)).values
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    one_of("method", method, _METHODS)
    found = fold_rows(
        x, y, dim=dim, by=by, each=each, weights=weights, missing=missing, inf=inf, matrix=matrix, memory=memory,
        state=state_for(pairs, y),
    )  # fmt: skip
    return as_given(found, read(found, method, min_periods))


def read(moments: Moments, method: str = "pearson", min_periods: int = 1) -> xr.DataArray:
    one_of("method", method, _METHODS)
    axes = moments.layout.axes[:1]
    for answer, named in (("pair_correlation", moments.layout.matrix_axes()), ("column_pair_correlation", axes)):
        if moments.can_answer(answer):
            attrs = {"method": method, "min_periods": min_periods}
            return moments.read(answer, named, min_periods, name="corr", attrs=attrs)
    if min_periods != 1:
        raise DataError(
            f"min_periods is for missing='pairwise', found a {moments.layout.describe()}: leave it out, every entry is "
            "of the same rows"
        )
    if moments.can_answer("column_correlation") and not moments.can_answer("correlation"):
        return moments.read("column_correlation", axes, name="corr", attrs={"method": method})
    if moments.matrix is not None:
        tiles = moments.matrix.corr(moments.deferred)
        return labelled(tiles, list(moments.layout.matrix_axes()), None, "corr", {"method": method})
    return moments.read_matrix("correlation", name="corr", attrs={"method": method})
