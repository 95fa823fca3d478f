"""Dimension names and coordinates: stripped before folding, attached again to results."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from xarray.indexes import PandasMultiIndex

from covdist.engine import small_arrays
from covdist.errors import DataError
from covdist.given import dim_name, is_one, told
from covdist.results.accepted import (
    Bare,
    Coordinates,
    Labels,
    accepted,
    assembled,
    bare,
    check_distinct,
    coordinates,
    coords_along,
    in_front,
    labels_among,
    named,
    plain_labels,
)

Array = da.Array | np.ndarray
ArrayLike = xr.DataArray | da.Array | npt.ArrayLike
Dims = Hashable | Sequence[Hashable] | None
Weights = ArrayLike | Mapping[str, ArrayLike] | None
Attrs = Mapping[str, object] | None
Indexes = Mapping[Any, xr.Index]
# The units of what is read off columns.
COLUMNS, SQUARES, PRODUCTS = "units of the columns", "squared units of the columns", "products of the columns' units"
NO_TEXT = ""  # label of rows that have none, where others have text; where others have numbers it is NaN


@dataclass(frozen=True, eq=False)
class Bins:
    """Ranges of a coordinate, as :func:`covdist.bins` returns them."""

    of: str | ArrayLike
    bins: int | np.ndarray | None  # how many, or their edges
    width: float | str | timedelta | np.timedelta64 | None


# One value a row, or the coordinates that have them.
Rows = str | Bins | tuple[str | Bins, ...] | ArrayLike | None


@dataclass(frozen=True)
class Axis:
    """The columns of one side of a state."""

    dim: str | None  # name in results; None for a single variable, whose results have no such dim
    size: int
    coords: dict[str, np.ndarray] = field(default_factory=dict)  # each of shape (size,)
    levels: tuple[str, ...] = ()  # those coordinates that together are the index, where it has several levels

    def second(self, taken: Axis) -> Axis:
        """Return this axis under the names it has as a result's second dim."""
        if self.dim is None:
            return self
        clash = self.dim == taken.dim
        if not self.coords:
            return bare_axis(f"{self.dim}_2" if clash else self.dim, self.size)
        names = {n: f"{n}_2" if clash or n == taken.dim or n in taken.coords else n for n in self.coords}
        return self.renamed({**names, self.dim: f"{self.dim}_2" if clash else self.dim})

    def renamed(self, names: Mapping[str, str]) -> Axis:
        """Return this axis with other names for its dim and coordinates."""
        coords = {names[name]: values for name, values in self.coords.items()}
        levels = tuple(names[name] for name in self.levels)
        return Axis(None if self.dim is None else names[self.dim], self.size, coords, levels)

    def coordinates(self) -> Coordinates:
        return coordinates(self.dim, self.coords, self.levels)

    def same(self, other: Axis) -> bool:
        mine, others = ((each.dim, each.size, each.levels, each.coords.keys()) for each in (self, other))
        if mine != others:
            return False
        return all(_equal(values, other.coords[name]) for name, values in self.coords.items())

    def __str__(self) -> str:
        return f"{self.dim or 'one variable'} ({self.size})"


@lru_cache(maxsize=64)
def bare_axis(dim: str | None, size: int) -> Axis:
    """Return an axis without coordinates, the same one each time."""
    return Axis(dim, size)


@dataclass(frozen=True)
class Groups:
    """Groups of rows: the coordinate they come from, and its values, one a group.

    Of several coordinates the values are structured, with a field for each.
    """

    dim: str
    values: np.ndarray
    indexed: bool = True  # whether the values are an index in results
    positions: bool = False  # whether they are places in an array, each with columns of its own, and not rows
    cuts: Mapping[str, str] = field(default_factory=dict)  # how coordinates were cut into bins

    @property
    def size(self) -> int:
        return len(self.values)

    @property
    def levels(self) -> tuple[str, ...]:
        """The coordinates, where they are several."""
        return self.values.dtype.names or ()

    def at(self, label: Any, level: str | None = None) -> np.ndarray:
        """Return which groups have a label, bool (groups,); None and NaN stand for what had none."""
        if not is_one(label):
            raise DataError(f"{level or self.dim}={told(label)} is not one label: choose one group at a time")
        values = self.values if level is None else self.values[level]
        if not (label is None or (pd.isna(label))):
            return np.asarray(values == label)
        return np.asarray(values == NO_TEXT if values.dtype.kind in "UT" else pd.isna(values))

    def same(self, other: Groups) -> bool:
        return self.dim == other.dim and self.levels == other.levels and _equal(self.values, other.values)

    def without(self, level: str, taken: np.ndarray) -> tuple[Groups, np.ndarray]:
        """Return those of some groups by the other coordinates, and the number of each group among them, or -1."""
        kept = [each for each in self.levels if each != level]
        found = structured({each: self.values[each] for each in kept}) if len(kept) > 1 else self.values[kept[0]]
        distinct, numbers = np.unique(found[taken], return_inverse=True)
        codes = np.full(len(found), -1)
        codes[taken] = numbers
        return Groups("_".join(kept), distinct, positions=self.positions), codes

    def renamed(self, names: Mapping[str, str]) -> Groups:
        """Return the groups under other names, without an index where there are several."""
        found = self.values
        if self.levels:
            found = structured({names[level]: found[level] for level in self.levels})
        return Groups(names[self.dim], found, not self.levels)

    def axes(self) -> list[Groups | Axis]:
        """Return what is a dim of results: the groups, or of positions that fill a grid each of their coordinates."""
        shape = [len(np.unique(self.values[level])) for level in self.levels]
        if not self.positions or not self.levels or math.prod(shape) != self.size:
            return [self]
        grid = self.values.reshape(shape)
        firsts = [grid[(0,) * i + (slice(None),) + (0,) * (len(shape) - i - 1)] for i in range(len(shape))]
        named = zip(self.levels, firsts, strict=True)
        return [Axis(level, len(first), {level: first[level]}) for level, first in named]

    def coordinates(self) -> Coordinates:
        """Return the coordinates of results."""
        if not self.levels:
            return coordinates(self.dim, {self.dim: self.values})
        columns = {level: self.values[level] for level in self.levels}
        return coordinates(self.dim, columns, self.levels if self.indexed else ())

    def coords(self) -> xr.Coordinates:
        variables, indexes = self.coordinates()
        return xr.Coordinates(variables, indexes)


def readable(values: np.ndarray) -> list[Any]:
    """Return labels as Python has them, and dates as text: those in nanoseconds would be numbers."""
    return list((np.datetime_as_string(values, unit="auto") if values.dtype.kind == "M" else values).tolist())


def structured(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return vectors of one length as the fields of one."""
    arrays = {name: values.astype(str) if values.dtype.kind == "T" else values for name, values in columns.items()}
    found = np.empty(len(next(iter(arrays.values()))), [(name, values.dtype) for name, values in arrays.items()])
    for name, values in arrays.items():
        found[name] = values
    return found


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    """NaN and NaT name something as well as any other value; True is not 1."""
    if a.dtype.names and a.dtype.names == b.dtype.names:
        return all(_equal(a[name], b[name]) for name in a.dtype.names)
    if (a.dtype.kind == "b") != (b.dtype.kind == "b"):
        return False
    return np.array_equal(a, b, equal_nan=all(each.dtype.kind in "fcmM" for each in (a, b)))


def labelled(
    data: Array, axes: Sequence[Axis], groups: Groups | None, name: str | None = None, attrs: Attrs = None
) -> xr.DataArray:
    """Attach names to an array of shape (groups, *axes); axes of a single variable are squeezed out."""
    dims: list[str] = []  # list[str]() takes a microsecond
    shape: list[int] = []
    coords: dict[Any, xr.Variable] = {}
    indexes: dict[Any, xr.Index] = {}
    every: Sequence[Axis | Groups] = axes if groups is None else [*groups.axes(), *axes]
    for each in every:
        if each.dim is not None:
            dims.append(each.dim)
            shape.append(each.size)
            if isinstance(each, Groups) or each.coords:
                variables, own = each.coordinates()
                coords |= variables
                indexes |= own
    return assembled(data.reshape(shape), dims, name, attrs, coords, indexes)


@dataclass(eq=False)  # nothing writes to it; made frozen it takes 1 us more
class Labelled:
    """An array with its sample axes in front, and the names of all axes."""

    data: Array
    sample_dims: tuple[str, ...]
    axis: Axis
    name: str
    coords: dict[str, xr.DataArray]  # along the sample dims
    labels: Labels  # those of them, or of a frame, that say which row is which
    positions: Groups | None = None  # along the axes behind the samples, where each has a state of its own

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return self.data.shape[: len(self.sample_dims)]

    def array(self) -> xr.DataArray:
        """Return the data with names for their axes, without coordinates."""
        columns = [f"column_{i}" for i in range(self.data.ndim - len(self.sample_dims))]
        return xr.DataArray(self.data, dims=(*self.sample_dims, *columns), name=self.name)


def label(given: ArrayLike, dim: Dims, *, fallback: str, each: Dims = None) -> Labelled:
    """Take any array the public functions accept apart into data and names; ``fallback`` names it in messages."""
    if isinstance(given, xr.DataArray):
        return _label_named(*accepted(given, dim, fallback, each), fallback)
    array = bare(given, dim, fallback, each)
    return _label_named(*named(array), fallback) if array.indexes or array.places else _label_bare(array, fallback)


def _label_bare(array: Bare, name: str) -> Labelled:
    features = tuple([each for each in array.dims if each not in array.samples])
    data = in_front(array.data, array.dims, array.samples + features, name)
    axis = bare_axis("_".join(features) or None, math.prod(data.shape[len(array.samples) :]))
    return Labelled(data, array.samples, axis, name, {}, {})


def _label_named(array: xr.DataArray, dim: Dims, labels: Labels, each: Sequence[Hashable], fallback: str) -> Labelled:
    name = str(array.name or fallback)
    dims = _sample_dims(array, dim, name)
    places = _places(array, each, dims, name)
    features = [d for d in array.dims if d not in (*dims, *places)]
    data = in_front(array.data, array.dims, (*dims, *places, *features), name)
    dim_name = "_".join(map(str, features)) if features else None
    columns = math.prod(array.sizes[d] for d in features)
    indexes = array.xindexes  # made anew each time
    axis = Axis(dim_name, columns, _feature_coords(array, indexes, features, name), _levels(indexes, features))
    along = coords_along(array, dims)
    own = {str(key): coord for key, coord in along.items()}
    labels = {**labels, **labels_among(along, dims)}
    return Labelled(data, tuple(map(str, dims)), axis, name, own, labels, _positions(array, places, name))


def _sample_dims(array: xr.DataArray, dim: Dims, name: str) -> tuple[Hashable, ...]:
    if not array.dims:
        raise DataError(f"{name} is a single number, which has no samples: pass an array with at least one axis")
    if dim is None:
        raise DataError(
            f"{name} has the dims {_listed(array)}: say which of them counts the samples, such as dim={array.dims[0]!r}"
        )
    dims = tuple(dim) if isinstance(dim, tuple | list) else (dim,)
    for d in dims:
        if dim_name("dim", d) not in array.dims:
            raise DataError(f"{name} has no dim {d!r}, its dims are {_listed(array)}: pass one of them as dim")
    check_distinct(dims, dim)
    return dims


def _places(array: xr.DataArray, each: Sequence[Hashable], dims: Sequence[Hashable], name: str) -> list[Hashable]:
    for d in each:
        if dim_name("each", d) not in array.dims or d in dims or list(each).count(d) > 1:
            raise DataError(
                f"each={d!r} is not a dim of {name} besides {', '.join(map(repr, dims))}, or is named twice, its dims "
                f"are {_listed(array)}: pass dims of which every position is to have a state of its own"
            )
    return list(each)


def _positions(array: xr.DataArray, places: Sequence[Hashable], name: str) -> Groups | None:
    """Return the positions along some dims, by their coordinates; by numbers where there are none."""
    if not places:
        return None
    columns = {}
    for d in places:
        values = array[d].variable.to_index().to_numpy() if d in array.xindexes else np.arange(array.sizes[d])
        columns[str(d)] = plain_labels(values, f"the coordinate {d!r} of {name}")
        if len(np.unique(columns[str(d)])) < array.sizes[d]:
            raise DataError(
                f"the coordinate {d!r} of {name} names a position twice: leave it out, by .drop_vars({d!r})"
            )
    if len(columns) == 1:
        return Groups(*columns.popitem(), positions=True)
    grid = np.meshgrid(*columns.values(), indexing="ij")
    return Groups("_".join(columns), structured(dict(zip(columns, map(np.ravel, grid), strict=True))), positions=True)


def _listed(array: xr.DataArray) -> str:
    return ", ".join(map(repr, array.dims))


def _levels(indexes: Indexes, features: list[Hashable]) -> tuple[str, ...]:
    if len(features) != 1 or not _of_tuples(indexes, features[0]):
        return ()
    return tuple(map(str, indexes[features[0]].to_pandas_index().names))


def _feature_coords(
    array: xr.DataArray, indexes: Indexes, features: list[Hashable], what: str
) -> dict[str, np.ndarray]:
    """Coordinates along the columns; several feature dims are stacked in C order."""
    coords: dict[str, np.ndarray] = {}
    for name, variable in array.coords.variables.items():
        along = variable.dims
        if len(along) == 1 and along[0] in features and not (name in features and _of_tuples(indexes, name)):
            sizes = [array.sizes[d] for d in features]
            shape = [size if d == along[0] else 1 for d, size in zip(features, sizes, strict=True)]
            values: Any = variable.to_index() if name in indexes else small_arrays.values(array.coords[name])
            if not isinstance(values.dtype, np.dtype):  # of pandas' own, such as periods and time zones
                values = values.to_numpy(object)
            values = plain_labels(np.asarray(values), f"the coordinate {name!r} of {what}")
            coords[str(name)] = np.broadcast_to(values.reshape(shape), sizes).ravel()
    return coords


def _of_tuples(indexes: Indexes, dim: Hashable) -> bool:
    """Return whether a dim's coordinate repeats those of its levels."""
    return isinstance(indexes.get(dim), PandasMultiIndex)
