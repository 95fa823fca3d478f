"""Sum or mean of x xᵀ, without subtracting a mean."""

from __future__ import annotations

import numpy as np
import xarray as xr

from covdist.given import flag
from covdist.results.labels import PRODUCTS, Axis
from covdist.results.moments import Moments
from covdist.results.reading import reading

_NONE = {"U": "one", "f": "NaN", "M": "NaT", "m": "NaT"}  # labels of the ones, by dtype


@reading
def second_moment(m: Moments, *, divide: bool = True, append_one: bool = False) -> xr.DataArray:
    """Mean of x xᵀ over the rows, or of x yᵀ, about zero and not about the mean; or its sum.

    Parameters
    ----------
    m : Moments
        Of x, or of x and y; a matrix for each group where there are groups.
    divide : bool
        Whether to divide by the number of rows (``ddof=0``), or by the weights' sum; else the sum over the rows.
    append_one : bool
        Add a last column of ones to x, and to y, as for a layer with a bias: the border of the sum is N · mean, its
        corner N.

    Returns
    -------
    DataArray
        float64, dims as for :func:`covdist.cov`, exactly symmetric without y; lazy where ``m`` is. Of ones the label
        along a column coordinate is "one", NaN or NaT; a coordinate of integers or booleans, which have no such value,
        is left out.

    Raises
    ------
    DataError
        If ``m`` holds no matrix, or no rows to divide by.

    Notes
    -----
    The centred scatter and N · mean · meanᵀ, both parts of the mean, are added as sums of two float64 numbers, so that
    an entry is off by the state's own error and one rounding.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> m = covdist.moments(np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> covdist.second_moment(m, divide=False).values
    array([[10., 14.],
           [14., 20.]])
    >>> m.second_moment(append_one=True).values[-1]
    array([2., 3., 1.])
    """
    axes, divide = m.layout.matrix_axes(), flag("divide", divide)
    if flag("append_one", append_one):
        first, last = with_one(m.layout.axes[0]), with_one(m.layout.axes[-1])
        axes = first, last.second(first)
    attrs = {
        "long_name": "second moment" if divide else "sum of products",
        "units": PRODUCTS,
    }
    return m.read_rows("second_moment", axes, divide, append_one, name="second_moment", attrs=attrs)


read = second_moment


def with_one(axis: Axis) -> Axis:
    """Return the axis of the same columns and a last one of ones."""
    found = {name: values for name, values in axis.coords.items() if values.dtype.kind in _NONE}
    coords = {name: np.append(values, _none(values.dtype)) for name, values in found.items()}
    levels = axis.levels if set(axis.levels) <= set(coords) else ()
    return Axis(axis.dim or "unit", axis.size + 1, coords, levels)


def _none(dtype: np.dtype) -> np.ndarray:
    """Return the label of the ones among others, in a dtype that these keep, or get longer by."""
    return np.array(_NONE[dtype.kind]).astype("U" if dtype.kind == "U" else dtype)
