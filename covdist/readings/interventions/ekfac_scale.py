"""The exact scales of EK-FAC: the mean square of each sample's gradient along each pair of eigenvectors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from dask.delayed import delayed

from covdist.errors import DataError
from covdist.numerics.blas import with_kernel
from covdist.readings.moments import moments
from covdist.results.applied import RowArray
from covdist.results.labels import ArrayLike, Axis, Dims
from covdist.results.names import own_names

_LARGE = 768  # of roots between 2**512 and 2**1024
_DIMS = ["output_component", "input_component"]


@own_names
def ekfac_scale(
    inputs: ArrayLike,
    gradients: ArrayLike,
    basis: xr.Dataset,
    *,
    dim: Dims = None,
    append_one: bool = True,
    **options: Any,
) -> xr.DataArray:
    """Mean square of each sample's weight gradient g aᵀ along each pair of eigenvectors, in one pass over the rows.

    Parameters
    ----------
    inputs : DataArray, dask array or array_like, real
        Rows a of the layer's inputs, without the one.
    gradients : DataArray, dask array or array_like, real
        Rows g of the gradients of each sample's own loss by the layer's sums, a row for each of the inputs.
    basis : Dataset
        As :func:`covdist.ekfac` returns it, without groups.
    dim : str, int or sequence of them, optional
        Sample dims of both; axis 0 by default.
    append_one : bool
        Whether the layer has a bias, as for the basis.
    **options
        As for :func:`covdist.moments`, such as ``by``, ``weights`` and ``missing``.

    Returns
    -------
    DataArray
        float64 (output_component, input_component), for each group where there are groups; lazy where the rows or the
        basis are. ``basis.assign(scale=...)`` takes it.

    Raises
    ------
    DataError
        If rows or columns differ, or the basis is none.

    Notes
    -----
    E[(U g)² (V a)²], which is E[(U (g aᵀ) Vᵀ)²]: the diagonal of the Fisher matrix in the eigenbasis, of all diagonals
    the nearest to it (George et al. 2018, equation 9). K-FAC's own scales have the product of two means instead. A row
    is a use of the layer: where one sample uses it at several positions, its gradient is the sum over these, and rows
    that are positions leave out the products of one with another.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> a, g = np.diag([1.0, 2.0]), np.diag([3.0, 1.0])
    >>> basis = covdist.ekfac(covdist.moments(a), covdist.moments(g), append_one=False)
    >>> covdist.ekfac_scale(a, g, basis, append_one=False).values  # the first sample's gradient is 3, the second's 2
    array([[0. , 4.5],
           [2. , 0. ]])
    """
    g, a = (
        _squares(rows, dim, _vectors(basis, side), basis[f"{side}_eigenvalue"], ones)
        for rows, side, ones in ((gradients, "gradient", False), (inputs, "input", append_one))
    )
    dims = [each for each in g.dims if each != "output_component"]
    found = moments(g, a, dim=dims, **{"state": "cross", **options}).second_moment()
    scale: xr.DataArray = xr.apply_ufunc(
        _in_units, found, basis["gradient_eigenvalue"], basis["input_eigenvalue"],
        input_core_dims=[_DIMS, _DIMS[:1], _DIMS[1:]], output_core_dims=[_DIMS], dask="parallelized",
        output_dtypes=[np.float64], dask_gufunc_kwargs={"allow_rechunk": True}, keep_attrs=False,
    )  # fmt: skip
    about = {"long_name": "mean squares of gradients along pairs of eigenvectors", "kernel": with_kernel()}
    return scale.rename("scale").assign_attrs(about, units="squares of the weights' gradients' units")


class _Along(NamedTuple):
    """Eigenvectors (components, columns), what a column of ones adds, and the unit that squares are in."""

    vectors: np.ndarray
    offset: np.ndarray
    unit: int

    @classmethod
    def of(cls, vectors: np.ndarray, values: np.ndarray, append_one: bool) -> _Along:
        if append_one:
            return cls(vectors[:, :-1], vectors[:, -1], _unit(values))
        return cls(vectors, np.zeros(len(vectors)), _unit(values))

    @staticmethod
    def squared(rows: np.ndarray, by: _Along) -> np.ndarray:
        return np.asarray(np.ldexp(rows @ by.vectors.T + by.offset, -by.unit) ** 2)


def _vectors(basis: Any, side: str) -> xr.DataArray:
    if not isinstance(basis, xr.Dataset) or f"{side}_eigenvector" not in basis:
        raise DataError(
            f"ekfac_scale needs the eigenvectors of both factors, found a {type(basis).__name__} without: pass "
            "covdist.ekfac(m_input, m_gradient)"
        )
    found: xr.DataArray = basis[f"{side}_eigenvector"]
    if found.ndim > 2:
        raise DataError(
            f"ekfac_scale takes one basis, found those of groups by {found.dims[0]!r}: choose one, such as by "
            f"basis.sel({found.dims[0]}=...)"
        )
    return found


def _squares(
    given: ArrayLike, dim: Dims, vectors: xr.DataArray, values: xr.DataArray, append_one: bool
) -> xr.DataArray:
    component, role = vectors.dims
    rows = RowArray.of(given, dim, Axis(str(role), vectors.sizes[role] - append_one))
    make = _Along.of if vectors.chunks is None else delayed(_Along.of, pure=True)
    data = rows.mapped(_Along.squared, make(vectors.data, values.data, append_one), (vectors.sizes[component],))
    return rows.labelled(data, [component], {}, str(role))


def _unit(values: np.ndarray) -> int:
    """Return the power of two near the root of the largest eigenvalue, or amid those whose squares are infinite."""
    return int(np.frexp(np.sqrt(values[0]))[1]) if values[0] < np.inf else _LARGE


def _in_units(found: np.ndarray, values_g: np.ndarray, values_a: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.asarray(np.ldexp(found, 2 * (_unit(values_g) + _unit(values_a))))
