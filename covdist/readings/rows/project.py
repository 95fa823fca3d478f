"""Rows along the eigenvectors of a spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from dask.delayed import delayed

from covdist.errors import DataError
from covdist.results.applied import RowArray
from covdist.results.labels import ArrayLike, Axis, Dims
from covdist.results.names import own_names


@own_names
def project(x: ArrayLike, spectrum: xr.Dataset, *, dim: Dims = None) -> xr.DataArray:
    """Components of rows along the eigenvectors of a spectrum.

    Parameters
    ----------
    x : DataArray, dask array or array_like, real
        Rows of the columns that the spectrum is of. No mean is subtracted: pass ``x - m.mean()`` for scores about it.
    spectrum : Dataset
        As :func:`covdist.spectrum` returns it, with eigenvectors and without groups.
    dim : str, int or sequence of them, optional
        Sample dims; of a DataArray those that are no columns of the spectrum, else axis 0.

    Returns
    -------
    DataArray
        float64, the samples' dims and chunks, and ``component``; lazy where ``x`` or the spectrum is.

    Raises
    ------
    DataError
        If the columns differ, or the spectrum has no eigenvectors.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> abs(covdist.project(x, covdist.spectrum(x, 1)).values.ravel())
    array([0., 0., 2., 2.])
    """
    vectors = _vectors(spectrum)
    others = [each for each in vectors.dims if each != "component"]
    names = {name: each.to_numpy() for name, each in vectors.coords.items() if each.dims == tuple(others)}
    axis = Axis(str(others[0]) if others else None, vectors.sizes[others[0]] if others else 1, names)  # type: ignore[arg-type]
    rows = RowArray.of(x, dim, axis)
    matrix = vectors.data.reshape(-1, axis.size)
    parameters: Any = matrix if vectors.chunks is None else delayed(np.asarray)(matrix)
    count = vectors.sizes["component"]
    data = rows.mapped(_projected, parameters, (count,))
    coords = {"component": vectors["component"].to_numpy()}
    return rows.labelled(
        data, ["component"], coords, "project", long_name="components along eigenvectors", units="the rows' units"
    )


def _vectors(spectrum: Any) -> xr.DataArray:
    if not isinstance(spectrum, xr.Dataset) or "eigenvector" not in spectrum:
        raise DataError(
            f"project needs a spectrum with eigenvectors, found a {type(spectrum).__name__}: pass covdist.spectrum(x, "
            "k, dim=...) or m.spectrum(k)"
        )
    found: xr.DataArray = spectrum["eigenvector"]
    if found.ndim > 2:
        raise DataError(
            f"project takes one spectrum, found those of groups by {found.dims[0]!r}: choose one, such as by "
            f"spectrum.sel({found.dims[0]}=...)"
        )
    return found


def _projected(rows: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return rows.astype(np.float64, copy=False) @ vectors.T
