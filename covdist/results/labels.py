"""Dimension names and coordinates: stripped before folding, attached again to results."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from covdist.errors import DataError
from covdist.rows.masked_arrays import unmasked

Array = da.Array | np.ndarray
ArrayLike = xr.DataArray | da.Array | npt.ArrayLike
Dims = Hashable | Sequence[Hashable] | None
Rows = str | ArrayLike | None  # one value a row, or the coordinate that has them
Weights = ArrayLike | Mapping[str, ArrayLike] | None
Attrs = Mapping[str, object] | None

DEFAULT_SAMPLE, DEFAULT_UNIT = "sample", "unit"


@dataclass(frozen=True)
class Axis:
    """The columns of one side of a state.

    Attributes
    ----------
    dim : str or None
        Name in results; None for a single variable, whose results have no such dim.
    size : int
    coords : dict
        Name of each coordinate along ``dim`` and its values, shape (size,).
    """

    dim: str | None
    size: int
    coords: dict[str, np.ndarray] = field(default_factory=dict)

    def second(self, taken: Axis) -> Axis:
        """Return this axis under the names it has as a result's second dim."""
        if self.dim is None:
            return self
        clash = self.dim == taken.dim
        names = {n: f"{n}_2" if clash or n == taken.dim or n in taken.coords else n for n in self.coords}
        return Axis(
            f"{self.dim}_2" if clash else self.dim,
            self.size,
            {names[name]: values for name, values in self.coords.items()},
        )

    def same(self, other: Axis) -> bool:
        return (
            self.dim == other.dim
            and self.size == other.size
            and self.coords.keys() == other.coords.keys()
            and all(_equal(self.coords[name], other.coords[name]) for name in self.coords)
        )

    def __str__(self) -> str:
        return f"{self.dim or 'one variable'} ({self.size})"


@dataclass(frozen=True)
class Groups:
    """Groups of rows: the coordinate they come from, and its values, one a group."""

    dim: str
    values: np.ndarray

    def same(self, other: Groups) -> bool:
        return self.dim == other.dim and _equal(self.values, other.values)


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    """NaN and NaT name something as well as any other value."""
    return np.array_equal(a, b, equal_nan=all(each.dtype.kind in "fcmM" for each in (a, b)))


def labelled(
    data: Array,
    axes: list[Axis],
    groups: Groups | None,
    name: str | None = None,
    attrs: Attrs = None,
) -> xr.DataArray:
    """Attach names to an array of shape (groups, *axes); axes of a single variable are squeezed out."""
    dims: list[str] = [] if groups is None else [groups.dim]
    coords: dict[Hashable, object] = {} if groups is None else {groups.dim: groups.values}
    shape = [] if groups is None else [len(groups.values)]
    for axis in axes:
        if axis.dim is not None:
            dims.append(axis.dim)
            shape.append(axis.size)
            coords.update({name: (axis.dim, values) for name, values in axis.coords.items()})
    return xr.DataArray(data.reshape(tuple(shape)), dims=dims, coords=coords, name=name, attrs=attrs)


@dataclass(frozen=True)
class Labelled:
    """An array with its sample axes in front, and the names of all axes."""

    data: Array
    sample_dims: tuple[str, ...]
    axis: Axis
    name: str
    coords: dict[str, xr.DataArray]  # along the sample dims

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Lengths of the sample axes."""
        return self.data.shape[: len(self.sample_dims)]

    def array(self) -> xr.DataArray:
        """Return the data with names for their axes, without coordinates."""
        columns = [f"column_{i}" for i in range(self.data.ndim - len(self.sample_dims))]
        return xr.DataArray(self.data, dims=(*self.sample_dims, *columns), name=self.name)


def label(array: ArrayLike, dim: Dims, *, fallback: str) -> Labelled:
    """Take any array the public functions accept apart into data and names.

    Parameters
    ----------
    array : xarray.DataArray, dask.array.Array or array_like
    dim : str, int or sequence of them, or None
        Sample dims; for arrays without names axes, of which 0 is the default.
    fallback : str
        What messages call an array without a name.
    """
    array, dim = named_axes(array, dim)
    dims = _sample_dims(array, dim, fallback)
    features = [d for d in array.dims if d not in dims]
    data = array.data if array.dims[: len(dims)] == dims else array.transpose(*dims, *features).data
    _check_dtype(data.dtype, str(array.name or fallback))
    _check_sizes(data, str(array.name or fallback))
    sizes = [array.sizes[d] for d in features]
    axis = Axis("_".join(map(str, features)) if features else None, math.prod(sizes), _feature_coords(array, features))
    along = {str(name): coord for name, coord in array.coords.items() if coord.dims and set(coord.dims) <= set(dims)}
    if math.prod(data.shape[: len(dims)]) == 0 or axis.size == 0:
        raise DataError(
            f"{array.name or fallback} is empty: its shape is {dict(array.sizes)}, at least one row "
            "and one column are needed"
        )
    return Labelled(data, tuple(map(str, dims)), axis, str(array.name or fallback), along)


def named_axes(array: ArrayLike, dim: Dims) -> tuple[xr.DataArray, Dims]:
    """Return an array with names for its axes, and those of the samples; a DataArray as it is."""
    if isinstance(array, xr.DataArray):
        return array, dim
    named = _named(array, dim)
    return named, named.attrs.pop("sample_dims")


def _named(given: ArrayLike, dim: Dims) -> xr.DataArray:
    array = cast(Array, given) if hasattr(given, "dask") else unmasked(given)
    if array.ndim == 0:
        raise DataError("a single number has no samples: pass an array with at least one axis")
    axes = (0,) if dim is None else tuple(dim) if isinstance(dim, tuple | list) else (dim,)
    for axis in axes:
        if not isinstance(axis, int | np.integer) or not -array.ndim <= axis < array.ndim:
            raise DataError(
                f"dim={axis!r} is no axis of an array of shape {array.shape}: pass an axis number (0 for rows "
                "of samples), or an xarray.DataArray whose dims have names"
            )
    axes = tuple(int(axis) % array.ndim for axis in axes)
    _check_distinct(axes, dim)
    others = [i for i in range(array.ndim) if i not in axes]
    names = {axis: DEFAULT_SAMPLE if len(axes) == 1 else f"{DEFAULT_SAMPLE}_{i}" for i, axis in enumerate(axes)}
    names |= {axis: DEFAULT_UNIT if len(others) == 1 else f"{DEFAULT_UNIT}_{i}" for i, axis in enumerate(others)}
    dims = [names[i] for i in range(array.ndim)]
    attrs = {"sample_dims": [names[axis] for axis in axes]}
    return xr.DataArray(array, dims=dims, attrs=attrs).rename(None)  # xarray takes a dask array's key for a name


def _sample_dims(array: xr.DataArray, dim: Dims, fallback: str) -> tuple[Hashable, ...]:
    name = array.name or fallback
    known = ", ".join(map(repr, array.dims))
    if dim is None:
        raise DataError(
            f"{name} has the dims {known}: say which of them counts the samples, such as dim={array.dims[0]!r}"
        )
    dims = tuple(dim) if isinstance(dim, tuple | list) else (dim,)
    for d in dims:
        if d not in array.dims:
            raise DataError(f"{name} has no dim {d!r}, its dims are {known}: pass one of them as dim")
    _check_distinct(dims, dim)
    return dims


def _check_distinct(dims: Sequence[Hashable], given: Dims) -> None:
    if not dims or len(set(dims)) < len(dims):
        found = "names an axis twice" if dims else "names no axis"
        raise DataError(f"dim={given!r} {found}: pass each axis that counts samples once, and at least one")


def _check_sizes(data: Array, name: str) -> None:
    if any(math.isnan(n) for n in data.shape):
        raise DataError(
            f"{name} has chunks of unknown size, as selecting by a mask makes them: "
            "call compute_chunk_sizes() on the dask array first, or fold the rows with weights of 0 and 1"
        )


def _check_dtype(dtype: np.dtype, name: str) -> None:
    if dtype.kind in "OcSUVMmT" and dtype.name != "bfloat16":
        raise DataError(
            f"{name} has dtype {dtype}, but real numbers are expected: convert it first, complex "
            "values for instance to their real and imaginary parts"
        )


def _feature_coords(array: xr.DataArray, features: list[Hashable]) -> dict[str, np.ndarray]:
    """Coordinates along the columns; several feature dims are stacked in C order."""
    sizes = [array.sizes[d] for d in features]
    coords = {}
    for name, coord in array.coords.items():
        if len(coord.dims) == 1 and coord.dims[0] in features:
            position = features.index(coord.dims[0])
            shape = [1] * len(features)
            shape[position] = sizes[position]
            coords[str(name)] = np.broadcast_to(np.asarray(coord).reshape(shape), sizes).ravel()
    return coords
