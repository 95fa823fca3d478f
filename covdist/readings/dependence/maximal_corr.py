"""Maximal correlation of pairs of columns."""

from __future__ import annotations

import operator
from functools import partial
from typing import Any

import xarray as xr

from covdist.errors import DataError
from covdist.folding.dependence.pairs import PairMeasure, of_pairs
from covdist.folding.pairs import ALL, state_for
from covdist.folding.request import make_request
from covdist.numerics.dependence.maximal import largest_correlation, rank_functions
from covdist.results.labels import ArrayLike, Dims, Rows
from covdist.results.names import own_names


@own_names
def maximal_corr(
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    dim: Dims = None,
    by: Rows = None,
    missing: str = "raise",
    inf: str = "raise",
    features: int = 6,
    pairs: str = ALL,
    memory: int | str | None = None,
) -> xr.DataArray:
    """Largest correlation that smooth functions of one column and of the other can have, for pairs of columns.

    Parameters
    ----------
    x, y, dim, by, inf
        As for :func:`covdist.moments`.
    missing : str
        "raise", "drop", which reads the rows twice, or "propagate".
    features : int
        How many cosines of the ranks make the functions. More see finer dependence, and more that is not there: of n
        rows that do not depend on each other the result is about 2 (features / n)^(1/2).
    pairs : str
        "all", or "columns" for each column of x with the same column of y; as for :func:`covdist.cov`.
    memory : int or str, optional
        The most that one worker may hold, such as "3GiB"; columns are whole in a task.

    Returns
    -------
    DataArray
        float64 within [0, 1], dims as for :func:`covdist.cov`, lazy where ``x`` is; the diagonal is exactly 1; NaN in
        the row and column of a constant column. The same for any monotone map of a column.

    Raises
    ------
    DataError
        If dims, rows or dtypes do not fit, or ``features`` is not a number of them.
    PlanError
        If a column does not fit into ``memory``, or into the workers at hand.

    Notes
    -----
    The largest canonical correlation of cos(πku), k = 1 ... features, of both columns, with u the rank as a share of
    the rows: Gebelein's (1941) maximal correlation in an orthogonal basis, as the randomised dependence coefficient of
    Lopez-Paz, Hennig and Schölkopf (2013) without its randomness. Of Gaussian columns it is |ρ|.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.linspace(-1, 1, 101)
    >>> round(covdist.maximal_corr(x, x**2).item(), 3)
    1.0
    """
    attrs = {"long_name": "maximal correlation", "units": "1", "features": _count(features)}
    request = make_request(x, y, dim=dim, by=by, missing=missing, inf=inf, memory=memory, state=state_for(pairs, y))
    measure = PairMeasure(partial(rank_functions, features=_count(features)), largest_correlation)
    return of_pairs(request, measure, pairs != ALL, "maximal_corr", attrs)


_MOST = 1 << 16  # cosines, of which six or so are taken


def _count(features: Any) -> int:
    try:
        count = operator.index(features)
    except TypeError:
        count = 0
    if not 1 <= count <= _MOST:
        raise DataError(f"features={features!r} is not a number of cosines: pass a whole number from 1 to {_MOST:,}")
    return count
