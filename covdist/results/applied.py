"""Rows that a state is applied to: brought into its columns' order, and a function of rows run chunk by chunk."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import Delayed, delayed

from covdist.errors import DataError
from covdist.numerics.blas import single_thread
from covdist.results.accepted import accepted, check_rows
from covdist.results.labels import Array, ArrayLike, Axis, Dims
from covdist.rows.promised import checked

Function = Callable[[np.ndarray, Any], np.ndarray]  # of rows (n, columns), of their own dtype, and parameters


class RowArray(NamedTuple):
    """An array with its sample dims in front of those of its columns."""

    array: xr.DataArray
    samples: tuple[Any, ...]
    features: tuple[Any, ...]
    order: tuple[Any, ...]  # dims as they were given

    @classmethod
    def of(cls, x: ArrayLike, dim: Dims, axis: Axis, what: str = "x") -> RowArray:
        """Find the columns of ``axis`` in an array, called ``what`` in messages; DataError where they are not there."""
        if isinstance(x, xr.DataArray) and dim is None:
            features = _features(x, axis, what)
            dim = [each for each in x.dims if each not in features]
        array, dim, *_ = accepted(x, dim, what)
        samples = tuple(dim) if isinstance(dim, tuple | list) else (dim,)
        if unknown := [each for each in samples if each not in array.dims]:
            raise DataError(f"{what} has no dim {unknown[0]!r}, its dims are {_listed(array)}: pass one of them as dim")
        features = tuple(each for each in array.dims if each not in samples)
        check_rows(array.data, what)
        found = math.prod(array.sizes[each] for each in features)
        if found != axis.size:
            raise DataError(f"{what} has {found} columns, but the moments are of {axis}: pass rows of the same columns")
        _check_labels(array, features, axis, what)
        array = array.copy(data=checked(array.data))
        return cls(array.transpose(*samples, *features), samples, features, array.dims)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the columns' dims."""
        return self.array.shape[len(self.samples) :]

    def columns(self, values: Array) -> Array:
        """Return an array (columns,) in the shape of the columns' dims."""
        return values.reshape(self.shape)

    def mapped(self, function: Function, parameters: object, shape: tuple[int, ...]) -> Array:
        """Apply a function of rows (n, columns) that returns (n, *shape), chunk by chunk of the samples."""
        data, depth = self.array.data, len(self.samples)
        if isinstance(parameters, Delayed) and isinstance(data, np.ndarray):
            data = da.from_array(data, chunks=-1)
        if isinstance(data, np.ndarray):
            return _of_block(data, function, parameters, depth, shape)
        whole = data.rechunk(dict.fromkeys(range(depth, data.ndim), -1))
        if not isinstance(parameters, Delayed):  # once in the graph, not in each of its tasks
            parameters = delayed(parameters, pure=True, traverse=False)
        found = da.map_blocks(
            _of_block, whole, function=function, depth=depth, shape=shape, dtype=np.float64,
            parameters=parameters, drop_axis=list(range(depth, data.ndim)),
            new_axis=list(range(depth, depth + len(shape))),
            chunks=(*data.chunks[:depth], *((size,) for size in shape)), meta=np.empty((0,) * (depth + len(shape))),
        )  # fmt: skip
        return found.rechunk(data.chunks) if found.shape == data.shape else found

    def like(self, data: Array, name: str, **attrs: object) -> xr.DataArray:
        """Label values of the rows' own shape as the rows are."""
        found = self.array.copy(data=data).transpose(*self.order)
        found.attrs.clear()
        return found.rename(name).assign_attrs(attrs)

    def labelled(self, data: Array, dims: Sequence[Any], coords: Any, name: str, **attrs: object) -> xr.DataArray:
        """Label values (samples, *dims), with the samples' own coordinates and others for the rest."""
        own = {key: each for key, each in self.array.coords.items() if set(each.dims) <= set(self.samples)}
        found = xr.DataArray(data, dims=(*self.samples, *dims), coords=own, name=name, attrs=attrs)
        return found.assign_coords(coords)


def _of_block(block: np.ndarray, function: Function, parameters: Any, depth: int, shape: tuple[int, ...]) -> np.ndarray:
    outer = block.shape[:depth]
    rows = block.reshape(math.prod(outer), math.prod(block.shape[depth:]))
    with single_thread(), np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(function(rows, parameters)).reshape(*outer, *shape)


def _features(x: xr.DataArray, axis: Axis, what: str) -> tuple[Any, ...]:
    if axis.dim is None:
        return ()
    if axis.dim in x.dims:
        return (axis.dim,)
    for count in range(2, x.ndim + 1):
        for some in combinations(x.dims, count):
            if "_".join(map(str, some)) == axis.dim:
                return some
    raise DataError(
        f"{what} has the dims {_listed(x)}, none of which is {axis.dim!r}, the columns of the moments: rename one, or "
        "say with dim= which of them counts the samples"
    )


def _check_labels(array: xr.DataArray, features: Sequence[Any], axis: Axis, what: str) -> None:
    name = features[0] if len(features) == 1 else None
    if name in array.coords and name in axis.coords and not axis.levels:
        found, expected = array.coords[name].to_numpy(), axis.coords[name]
        other = (found != expected) & ~((found != found) & (expected != expected))  # NaN names what NaN does
        if np.any(other):
            raise DataError(
                f"{what} has other labels along {name!r} than the moments, first {found[np.argmax(other)]} for "
                f"{expected[np.argmax(other)]}: pass rows of the same columns, in the same order"
            )


def _listed(array: xr.DataArray) -> str:
    return ", ".join(map(repr, array.dims))
