"""``fill``: an array whose holes hold what the rest of it says about them."""

from __future__ import annotations

from typing import Any

import xarray as xr

from covdist.readings.inputs import one_of
from covdist.readings.interpolated import interpolated
from covdist.readings.labels import label, named_axes
from covdist.state.missing import INFINITIES

_METHODS = ("interpolate",)


def fill(
    x: Any,
    *,
    method: str = "interpolate",
    dim: Any = None,
    kind: str = "linear",
    along: str | None = None,
    max_gap: Any = None,
    ends: str = "keep",
    inf: str = "raise",
) -> xr.DataArray:
    """Fill the missing values of an array, lazily where it is lazy.

    Parameters
    ----------
    x : DataArray, dask array or array_like, real
        Samples along ``dim``; every column is filled by itself.
    method : str
        "interpolate": from the values before and after in the same column.
    dim : str or int
        Sample dim; for arrays without names an axis, 0 by default.
    kind : str
        "linear"; "nearest", of two equally near values the one before; "previous", the value before, which also fills
        the holes after a column's last value.
    along : str, optional
        Coordinate along ``dim`` that says where rows lie; by default that of the same name, else the row's number.
    max_gap : float or timedelta64, optional
        Longer gaps, from value to value in units of the coordinate, stay.
    ends : str
        Holes before a column's first value and after its last: "keep", or "nearest" to fill in that value.
    inf : str
        Infinities: "raise", or "missing": as NaN.

    Returns
    -------
    DataArray
        Dims, chunks and dtype of ``x``. Of a lazy array each chunk is made twice, and held with a row for each side.

    Raises
    ------
    DataError
        If options do not fit, or a coordinate does not rise.
    NonFiniteError
        If there is an infinity and ``inf="raise"``.

    Notes
    -----
    Equal to ``x.interpolate_na(dim, method=kind, use_coordinate=along or True, max_gap=max_gap)`` of xarray, which has
    no "previous"; that is its ``ffill``.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> covdist.fill(np.array([[1.0], [np.nan], [4.0], [np.nan]])).values.ravel()
    array([1. , 2.5, 4. , nan])
    """
    one_of("method", method, _METHODS)
    one_of("inf", inf, INFINITIES)
    array, dims = named_axes(x, dim)
    side = label(array, dims, fallback="x")
    data = interpolated(side, kind=kind, along=along, max_gap=max_gap, ends=ends, inf=inf)
    features = [d for d in array.dims if d not in side.sample_dims]
    made = xr.DataArray(data, dims=[*side.sample_dims, *features], name=array.name).transpose(*array.dims)
    return array.copy(data=made.data)
