"""Covariance matrix of the columns, or of x's columns with y's."""

from __future__ import annotations

import xarray as xr
from dask.base import is_dask_collection

from covdist.errors import DataError
from covdist.folding.fitted import RECORDED
from covdist.folding.fold import as_given, fold_rows
from covdist.folding.inputs import check_min_periods
from covdist.folding.pairs import ALL, state_for
from covdist.numerics.blas import with_kernel
from covdist.numerics.eigen import smallest_of
from covdist.results.labels import PRODUCTS, ArrayLike, Dims, Rows, Weights, labelled
from covdist.results.moments import Moments
from covdist.results.names import own_names

_ABOUT: dict[str, object] = {"long_name": "covariance", "units": PRODUCTS}


@own_names
def cov(
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    dim: Dims = None,
    ddof: float = 0,
    by: Rows = None,
    each: Dims = None,
    weights: Weights = None,
    missing: str = "raise",
    inf: str = "raise",
    min_periods: int = 1,
    nearest_psd: bool = False,
    matrix: str = "auto",
    memory: int | str | None = None,
    pairs: str = ALL,
) -> xr.DataArray:
    """Covariance matrix of x's columns, or of x's columns with y's.

    Parameters
    ----------
    x, y, dim, by, each, weights, missing, inf
        As for :func:`covdist.moments`. A result under ``missing="pairwise"`` need not be positive semidefinite:
        ``covdist.moments(...).smallest_eigenvalue()`` tells, and so does ``.attrs["smallest_eigenvalue"]`` of a result
        that is not lazy.
    ddof : float
        The divisor is N - ddof; 0, the default, gives the population covariance (1/N).
    min_periods : int
        Under ``missing="pairwise"`` entries of fewer rows are NaN.
    nearest_psd : bool
        Under ``missing="pairwise"`` give the nearest positive semidefinite matrix in the Frobenius norm instead, whose
        negative eigenvalues are 0 (Higham 1988). NaN entries leave the matrix as it is.
    matrix : str
        "memory": one state of all columns, packed. "tiles": the matrix as tiles that are folded when they are read,
        such as by ``.isel(...)`` or ``.to_zarr(...)``, for more columns than a worker can hold. "auto": memory as long
        as the state takes at most 1.7 GB (20,600 columns) and fits into ``memory``. The two differ by rounding.
    memory : int or str, optional
        The most that one worker may hold, such as "3GiB"; decides between the two, and how the matrix is cut. Of lazy
        arrays by default that of the smallest worker of the dask client at hand, if there is one.
    pairs : str
        "all" columns against all. "columns": each column of x with the column of y at the same place, as many numbers
        as there are columns and nothing larger on the way; both must have as many columns, with the same labels. Under
        ``missing="pairwise"`` each of them uses the rows that hold both, as ``xarray.cov`` does.

    Returns
    -------
    DataArray
        float64; dims ``("unit", "unit_2")`` for x with columns ``unit``, ``("unit", "out")`` with y's ``out``, and
        ``("unit",)`` with ``pairs="columns"``; exactly symmetric without y; lazy where ``x`` is.

    Raises
    ------
    DataError
        If dims, rows or dtypes do not fit, or ``ddof`` leaves no divisor.
    PlanError
        If what is asked for does not fit into ``memory``, or in no way into the workers at hand.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(size=(100, 10)), rng.normal(size=(100, 1))
    >>> covdist.cov(X, Y).shape
    (10, 1)
    >>> bool(np.allclose(covdist.cov(X, ddof=1), np.cov(X.T)))
    True
    >>> covdist.cov(X, 2 * X, pairs="columns").shape
    (10,)
    """
    check_min_periods(min_periods)
    found = fold_rows(
        x, y, dim=dim, ddof=ddof, by=by, each=each, weights=weights, missing=missing, inf=inf, matrix=matrix,
        memory=memory, state=state_for(pairs, y),
    )  # fmt: skip
    result = _read(found, ddof, min_periods, nearest_psd)
    provenance = found.layout.provenance
    if not RECORDED.isdisjoint(provenance):
        result.attrs.update((name, value) for name, value in provenance.items() if name in RECORDED)
    return as_given(found, result)


def read(moments: Moments, ddof: float = 0, min_periods: int = 1, nearest_psd: bool = False) -> xr.DataArray:
    check_min_periods(min_periods)
    return _read(moments, ddof, min_periods, nearest_psd)


def _read(moments: Moments, ddof: float, min_periods: int, nearest_psd: bool) -> xr.DataArray:
    if moments.can_answer("pair_covariance"):
        return _of_pairs(moments, ddof, min_periods, nearest_psd)
    about = {**_ABOUT, "ddof": ddof}
    if moments.can_answer("column_pair_covariance") and not nearest_psd:
        axes, about = moments.layout.axes[:1], about | {"min_periods": min_periods}
        return moments.read("column_pair_covariance", axes, ddof, min_periods, name="cov", attrs=about)
    if min_periods != 1 or nearest_psd:
        raise DataError(
            f"min_periods and nearest_psd are for missing='pairwise', found a {moments.layout.describe()}: leave them "
            "out, its matrix is one of whole rows"
        )
    if moments.can_answer("column_covariance") and not moments.can_answer("covariance"):
        return moments.read("column_covariance", moments.layout.axes[:1], ddof, name="cov", attrs=about)
    if moments.matrix is not None:
        tiles, axes = moments.matrix.cov(moments.deferred, ddof), moments.layout.matrix_axes()
        return labelled(tiles, list(axes), None, "cov", about)
    return moments.read_matrix("covariance", ddof, name="cov", attrs=about)


def _of_pairs(moments: Moments, ddof: float, min_periods: int, nearest_psd: bool) -> xr.DataArray:
    layout, square = moments.layout, moments.can_answer("nearest_covariance")
    if nearest_psd and not square:
        raise DataError("nearest_psd is for a matrix of columns with themselves, found x with y: leave it out")
    attrs: dict[str, object] = {**_ABOUT, "ddof": ddof, "min_periods": min_periods, "nearest_psd": nearest_psd}
    answer = "nearest_covariance" if nearest_psd else "pair_covariance"
    if nearest_psd:
        attrs["kernel"] = with_kernel()
    found = moments.read(answer, layout.matrix_axes(), ddof, min_periods, name="cov", attrs=attrs)
    if square and layout.groups is None and not is_dask_collection(moments):
        found.attrs["smallest_eigenvalue"] = smallest_of(found.to_numpy().reshape(layout.axes[0].size, -1))
    return found
