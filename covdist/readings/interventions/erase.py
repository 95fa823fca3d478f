"""Rows out of which a concept is taken."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from dask.delayed import delayed

from covdist.errors import DataError
from covdist.results.applied import RowArray
from covdist.results.labels import ArrayLike, Axis, Dims
from covdist.results.names import own_names


@own_names
def erase(x: ArrayLike, eraser: xr.Dataset, *, dim: Dims = None) -> xr.DataArray:
    """Rows without what is linearly known of a concept, by an eraser.

    Parameters
    ----------
    x : DataArray, dask array or array_like, real
        Rows of the columns that the eraser is of, those it was made of or others.
    eraser : Dataset
        As :func:`covdist.leace` returns it.
    dim : str, int or sequence of them, optional
        Sample dims; of a DataArray those that are no columns of the eraser, else axis 0.

    Returns
    -------
    DataArray
        float64, dims, coordinates and chunks of ``x``, lazy where ``x`` or the eraser is.

    Raises
    ------
    DataError
        If the columns differ, or the eraser is none.

    Notes
    -----
    x - L R (x - mean), which takes no product with a whole matrix (Belrose et al. 2023).

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x, z = np.array([[0.0, 1.0], [2.0, 1.0], [1.0, 3.0], [3.0, 3.0]]), np.array([0, 1, 0, 1])
    >>> eraser = covdist.leace(covdist.moments(x, z), covdist.moments(x))
    >>> [round(float(covdist.cov(erased, z[:, None]).max()), 9) for erased in (x, covdist.erase(x, eraser).values)]
    [0.5, 0.0]
    """
    if not isinstance(eraser, xr.Dataset) or not {"left", "right", "mean"} <= set(eraser):
        raise DataError(
            f"erase needs an eraser, found a {type(eraser).__name__}, which is not one: pass covdist.leace(m_xz, m_x)"
        )
    mean = eraser["mean"]
    name = str(mean.dims[0])
    coords = {str(key): each.to_numpy() for key, each in mean.coords.items()}
    rows = RowArray.of(x, dim, Axis(name, mean.size, coords))
    parts = [eraser[each].data for each in ("left", "right", "mean")]
    make = _Eraser if mean.chunks is None else delayed(_Eraser, pure=True)
    data = rows.mapped(_Eraser.applied, make(*parts), rows.shape)
    return rows.like(data, "erase", long_name="rows without the concept", **_units(rows))


def _units(rows: RowArray) -> dict[str, Any]:
    return {"units": rows.array.attrs["units"]} if "units" in rows.array.attrs else {}


class _Eraser(NamedTuple):
    left: np.ndarray  # (columns, directions)
    right: np.ndarray  # (directions, columns)
    mean: np.ndarray

    @staticmethod
    def applied(rows: np.ndarray, by: _Eraser) -> np.ndarray:
        rows = rows.astype(np.float64, copy=False)
        return np.asarray(rows - ((rows - by.mean) @ by.right.T) @ by.left.T)
