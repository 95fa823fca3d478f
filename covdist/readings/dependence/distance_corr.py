"""Distance correlation of pairs of columns."""

from __future__ import annotations

import xarray as xr

from covdist.folding.dependence.pairs import PairMeasure, of_pairs
from covdist.folding.pairs import ALL, state_for
from covdist.folding.request import make_request
from covdist.numerics.dependence.distances import DistanceColumn, distance_correlation
from covdist.results.labels import ArrayLike, Dims, Rows
from covdist.results.names import own_names


@own_names
def distance_corr(
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    dim: Dims = None,
    by: Rows = None,
    missing: str = "raise",
    inf: str = "raise",
    pairs: str = ALL,
    memory: int | str | None = None,
) -> xr.DataArray:
    """Distance correlation of x's columns with each other, or with y's: 0 only where two do not depend on each other.

    Parameters
    ----------
    x, y, dim, by, inf
        As for :func:`covdist.moments`.
    missing : str
        "raise", "drop", which reads the rows twice, or "propagate".
    pairs : str
        "all", or "columns" for each column of x with the same column of y; as for :func:`covdist.cov`.
    memory : int or str, optional
        The most that one worker may hold, such as "3GiB"; columns are whole in a task.

    Returns
    -------
    DataArray
        float64 within [0, 1], dims as for :func:`covdist.cov`, lazy where ``x`` is; the diagonal is exactly 1; NaN in
        the row and column of a constant column.

    Raises
    ------
    DataError
        If dims, rows or dtypes do not fit.
    PlanError
        If a column does not fit into ``memory``, or into the workers at hand.

    Notes
    -----
    Székely, Rizzo and Bakirov (2007): √(dCov²(x, y) / √(dVar²(x) dVar²(y))), dCov² the mean product of the distances
    |x_i - x_j| and |y_i - y_j|, both centred by row and column; as ``dcor.distance_correlation`` and statsmodels'
    ``distance_correlation``. Each pair takes n log n steps by the sums of Huo and Székely (2016) and the merge sort of
    Chaudhuri and Hu (2019), 0.2 s for 100,000 rows. Of n rows that do not depend on each other it is not 0 but of the
    order of n^(-1/2).

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.linspace(-1, 1, 101)
    >>> abs(round(covdist.corr(x, x**2).item(), 3)), round(covdist.distance_corr(x, x**2).item(), 3)
    (0.0, 0.492)
    """
    request = make_request(x, y, dim=dim, by=by, missing=missing, inf=inf, memory=memory, state=state_for(pairs, y))
    measure = PairMeasure(DistanceColumn.of, distance_correlation)
    attrs = {"long_name": "distance correlation", "units": "1"}
    return of_pairs(request, measure, pairs != ALL, "distance_corr", attrs)
