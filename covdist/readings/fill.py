"""``fill``: an array whose holes hold what the rest of it says about them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from covdist import plugins
from covdist.folding.request import FillOptions, policy
from covdist.given import one_of
from covdist.numerics.nonfinite import INFINITIES
from covdist.results.accepted import accepted
from covdist.results.labels import ArrayLike, Dims, label
from covdist.results.names import own_names
from covdist.rows.promised import checked


@own_names
def fill(
    x: ArrayLike,
    *,
    method: str = "interpolate",
    dim: Dims = None,
    kind: str = "linear",
    along: str | None = None,
    max_gap: float | str | np.timedelta64 | None = None,
    limit: int | None = None,
    ends: str | float | Sequence[float] = "keep",
    inf: str = "raise",
    tolerance: float = 1e-10,
    max_iterations: int = 100,
    ridge: float = 1e-8,
) -> xr.DataArray:
    """Fill the missing values of an array, lazily where it is lazy.

    Parameters
    ----------
    x : DataArray, dask array or array_like, real
        Samples along ``dim``; all other dims are columns.
    method : str
        "interpolate": from the values before and after in the same column. "maxent": from the other columns of the same
        row, by the Gaussian that makes the values there are most likely; the fill is its conditional mean.
    dim : str, int, or for "maxent" a sequence of them
        Sample dim; for arrays without names an axis, 0 by default.
    kind : str
        "linear"; "nearest", of two equally near values the one before; "previous", the value before, which also fills
        the holes after a column's last value; "next", the value after, which fills those before its first.
    along : str, optional
        Coordinate along ``dim`` that says where rows lie; by default that of the same name, else the row's number.
    max_gap : float, timedelta64 or str, optional
        Longer gaps, from value to value in units of the coordinate, of times such as "2h", stay.
    limit : int, optional
        So many rows of each gap are filled, those after the value before it; for "next" those before the value after.
    ends : str, float, or two floats
        Holes before a column's first value and after its last: "keep"; "nearest" to fill in that value; "extrapolate",
        for "linear" the line through it and the next, for "nearest" as "nearest", for others as "keep"; or what to fill
        in at both ends, or at each.
    inf : str
        Infinities: "raise", or "missing": as NaN.
    tolerance, max_iterations, ridge
        Of "maxent": the largest step, in spreads, that ends the iterations; how many at most; and what is added to the
        diagonal of a correlation matrix that is singular.

    Returns
    -------
    DataArray
        Dims and dtype of ``x``. Of a lazy array each chunk is made at least twice. "interpolate" keeps the chunks and
        holds one with a row for each side; "maxent" needs all columns of a row at once, and chunks them so. A column
        without any value stays as it is.

    Raises
    ------
    DataError
        If options do not fit, or a coordinate does not rise.
    NonFiniteError
        If there is an infinity and ``inf="raise"``.

    Notes
    -----
    "maxent" is EM (Dempster, Laird and Rubin 1977); the filled array's own covariance is too small by the conditional
    covariance of the holes, which ``covdist.cov(x, missing="maxent")`` adds. "interpolate" is equal to
    ``x.interpolate_na(dim, method=kind, use_coordinate=along or True, max_gap=max_gap, limit=limit, fill_value=ends)``
    of xarray, "previous" to its ``ffill`` and "next" to its ``bfill``.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> covdist.fill(np.array([[1.0], [np.nan], [4.0], [np.nan]])).values.ravel()
    array([1. , 2.5, 4. , nan])
    """
    fills = {name: found for name in plugins.names("missing") if (found := policy(name).fill)}
    one_of("method", method, list(fills))
    one_of("inf", inf, INFINITIES)
    array, dims, *_ = accepted(x, dim, "x")
    array = array.copy(data=checked(array.data))
    side = label(array, dims, fallback="x")
    data = fills[method](side, FillOptions(kind, along, max_gap, ends, inf, limit, tolerance, max_iterations, ridge))
    samples = [next(d for d in array.dims if str(d) == name) for name in side.sample_dims]
    features = [d for d in array.dims if d not in samples]
    filled = xr.DataArray(data, dims=[*samples, *features], name=array.name).transpose(*array.dims)
    return array.copy(data=filled.data)
