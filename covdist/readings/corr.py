"""Correlation matrix of the columns, or of x's columns with y's."""

from __future__ import annotations

import xarray as xr

from covdist.errors import DataError
from covdist.folding.dependence.estimated import ranked_by_sample
from covdist.folding.dependence.ranks import ranked
from covdist.folding.fold import as_given, fold_request
from covdist.folding.inputs import check_min_periods
from covdist.folding.pairs import ALL, state_for
from covdist.folding.request import make_request
from covdist.folding.strategy import for_workers
from covdist.given import one_of
from covdist.results.labels import ArrayLike, Axis, Dims, Rows, Weights, labelled
from covdist.results.moments import Moments
from covdist.results.names import own_names

_PEARSON = "pearson"
_OF_RANKS = {"spearman": ranked, "spearman-approx": ranked_by_sample}
_APPROXIMATE = "spearman-approx"
_ERRORS = {
    "standard_error": "standard error of the correlation of ranks",
    "bound": "error of the correlation of ranks that has a probability of 0.05 at most to be exceeded",
}
_LONG_NAMES = {_PEARSON: "correlation", **dict.fromkeys(_OF_RANKS, "correlation of ranks")}


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
        "pearson", of the values; there is no ddof (default 0), it cancels. "spearman", of their ranks among all rows,
        or with ``by`` among those of the group: a relation that is monotone but not straight counts fully, an outlier
        little. Each column is sorted whole, in strips of columns that fit into a worker; the ranks, 4 bytes a value up
        to 16.7 million rows, must fit into the workers together, or are spilled to disk. "spearman-approx", of ranks as
        a sample of 16,384 rows tells: for logs too large to sort. It reads the rows twice and holds a chunk at a time.
        Ranks take no weights, and of ``missing`` "raise", "drop" and "propagate".
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

    Notes
    -----
    "spearman" is ``scipy.stats.spearmanr``: equal values share the mean of their ranks. "spearman-approx" takes for the
    rank of a value, as a share of the rows, its rank in a sample. With probability 1 - p all those of a column are
    within e = √(ln(2/p) / 32768) of the exact ones (Dvoretzky, Kiefer and Wolfowitz 1956; Massart 1990), 0.015 for p =
    0.001; the correlation is then off by no more than the angle 2 arcsin(e/s), with s the standard deviation of the
    ranks as a share of the rows, 0.289 without ties: at most 0.11. Errors found are below 0.001. Up to
    16,384 rows it is exact.

    Off moments with ``state="sampled"`` (4,096 rows; more by ``state="sampled(rows=16384)"``) it is the correlation of
    the ranks of the rows that these keep. They are folded in one pass, groups too, may be saved, and merge; and they
    keep the same rows, bit for bit, however all are cut and in whatever order parts are merged. Two coordinates say how
    far off it is: ``standard_error``, by the jackknife over 16 random groups of the kept rows, about 1/√rows and less
    near ±1; and ``bound``, which the error exceeds with a probability of 0.05 at most, whatever the distribution
    (Hoeffding 1963, Probability inequalities for sums of bounded random variables, 5.7, of the U-statistics of three
    rows that the correlation is made of): 0.09 for 4,096 rows without ties. Both are 0 where all rows are kept.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.arange(6.0)
    >>> covdist.corr(np.stack([x, -x], axis=1)).values
    array([[ 1., -1.],
           [-1.,  1.]])
    >>> covdist.corr(x, x**3 + 1, method="spearman").item()
    1.0
    >>> m = covdist.moments(np.stack([x, np.exp(x)], axis=1), state="sampled")
    >>> m.corr("spearman-approx").values
    array([[1., 1.],
           [1., 1.]])
    """
    one_of("method", method, (_PEARSON, *_OF_RANKS))
    check_min_periods(min_periods)
    request = make_request(
        x, y, dim=dim, by=by, each=each, weights=weights, missing=missing, inf=inf, matrix=matrix, memory=memory,
        state=state_for(pairs, y),
    )  # fmt: skip
    if method != _PEARSON:
        request = _OF_RANKS[method](request, f"method={method!r}")
    found = fold_request(for_workers(request))
    return as_given(found, _read(found, method, min_periods))


def read(moments: Moments, method: str = _PEARSON, min_periods: int = 1) -> xr.DataArray:
    one_of("method", method, (_PEARSON, *_OF_RANKS))
    if method == _PEARSON:
        return _read(moments, method, min_periods)
    if method == _APPROXIMATE and moments.can_answer("rank_correlation"):
        return _of_sample(moments, min_periods)
    raise DataError(
        f"moments hold no ranks, which method={method!r} is of: pass the rows, covdist.corr(x, dim=..., "
        f"method={method!r}), or read method={_APPROXIMATE!r} off covdist.moments(x, dim=..., state='sampled')"
    )


def _of_sample(moments: Moments, min_periods: int) -> xr.DataArray:
    """Read it off rows that a state has kept, with standard errors beside it."""
    _check_min_periods(moments, min_periods)
    every = moments.read("rank_correlation", [Axis("figure", 3), *moments.layout.matrix_axes()])
    found, *errors = (every.isel(figure=number, drop=True) for number in range(3))
    named = zip(_ERRORS.items(), errors, strict=True)
    beside = {
        name: (error.dims, error.data, {"long_name": long_name, "units": "1"}) for (name, long_name), error in named
    }
    attrs = {"method": _APPROXIMATE, "long_name": _LONG_NAMES[_APPROXIMATE], "units": "1"}
    return found.rename("corr").assign_attrs(attrs).assign_coords(beside)


def _read(moments: Moments, method: str, min_periods: int) -> xr.DataArray:
    check_min_periods(min_periods)
    axes = moments.layout.axes[:1]
    attrs: dict[str, object] = {"method": method, "long_name": _LONG_NAMES[method], "units": "1"}
    for answer, named in (("pair_correlation", moments.layout.matrix_axes()), ("column_pair_correlation", axes)):
        if moments.can_answer(answer):
            attrs["min_periods"] = min_periods
            return moments.read(answer, named, min_periods, name="corr", attrs=attrs)
    _check_min_periods(moments, min_periods)
    if moments.can_answer("column_correlation") and not moments.can_answer("correlation"):
        return moments.read("column_correlation", axes, name="corr", attrs=attrs)
    if moments.matrix is not None:
        tiles = moments.matrix.corr(moments.deferred)
        return labelled(tiles, list(moments.layout.matrix_axes()), None, "corr", attrs)
    return moments.read_matrix("correlation", name="corr", attrs=attrs)


def _check_min_periods(moments: Moments, min_periods: int) -> None:
    if min_periods != 1:
        raise DataError(
            f"min_periods is for missing='pairwise', found a {moments.layout.describe()}: leave it out, every entry is "
            "of the same rows"
        )
