"""Brings a second array, groups and weights into line with the first array's samples."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import timedelta
from numbers import Real

import dask.array as da
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from dask.base import is_dask_collection

from covdist.engine import small_arrays
from covdist.errors import DataError
from covdist.results.accepted import Labels, plain
from covdist.results.labels import Array, Dims, Labelled


def check_number(option: str, given: object, fits: Callable[[float], bool], expected: str) -> None:
    """Raise DataError where an option is not a number, or one that does not fit."""
    if isinstance(given, bool) or not isinstance(given, Real) or not fits(float(given)):
        raise DataError(f"{option}={given!r} does not fit: pass {expected}")


def check_seed(seed: object) -> None:
    """Raise DataError where a seed is none that numpy's generators take."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise DataError(f"seed={seed!r} does not fit: pass a whole number, 0 or more")


def check_min_periods(given: object) -> None:
    """Raise DataError where it is not how many rows a pair of columns needs."""
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < 0:
        raise DataError(f"min_periods={given!r} is not a number of rows: pass a whole number, 0 or more")


def length(option: str, given: object, unit: float | np.timedelta64) -> float:
    """Return a length along a coordinate in its units; of one of times also as text, such as "2h"."""
    timed = isinstance(unit, np.timedelta64)
    try:
        steps = float(pd.Timedelta(given) / pd.Timedelta(unit)) if timed else float(operator.truediv(given, unit))
    except (TypeError, ValueError):
        steps = float("nan")
    if not steps > 0 or (timed and isinstance(given, int | float)):
        expected = "a timedelta64, or text such as '2h'," if timed else "a number in units of the coordinate,"
        raise DataError(f"{option}={given!r} is not a length along the samples: pass {expected} greater than 0")
    return steps


def calendar_steps(values: np.ndarray) -> tuple[np.ndarray, float | np.timedelta64]:
    """Return dates of other calendars (cftime) as integers, and their unit; other values as they are, in units of 1."""
    if values.dtype.kind != "O" or not all(hasattr(value, "calendar") for value in values.flat):
        return values, 1.0
    micro = timedelta(microseconds=1)
    return np.array([(value - values.flat[0]) // micro for value in values.flat]), np.timedelta64(1, "us")


def side_names(sides: list[Labelled]) -> list[str]:
    names = [side.name for side in sides]
    if len(set(names)) == len(names):
        return names
    return [f"{name} ({letter})" for name, letter in zip(names, "xy", strict=False)]


def y_dim(x: npt.ArrayLike, y: npt.ArrayLike, dim: Dims) -> Dims:
    """Return the dim of y; DataArrays have names for axes and plain arrays numbers, so x and y must be alike."""
    if isinstance(x, xr.DataArray) == isinstance(y, xr.DataArray):
        return dim
    raise DataError(
        "x and y must both be xarray.DataArray, or neither: found "
        f"{type(x).__name__} and {type(y).__name__}, so that dim={dim!r} has two meanings; wrap the other one"
    )


def matching(x: Labelled, y: Labelled) -> Labelled:
    if x.sample_shape != y.sample_shape:
        raise DataError(
            f"{x.name} has {_extent(x)} but {y.name} has {_extent(y)}: both must hold "
            "the same samples; cut or align them first"
        )
    return y


def _extent(side: Labelled) -> str:
    return " × ".join(f"{n} along {d}" for d, n in zip(side.sample_dims, side.sample_shape, strict=True))


def check_pairs(x: Labelled, y: Labelled) -> None:
    """Raise DataError where the columns of x and y are not as many, or have different labels."""
    if x.axis.size != y.axis.size:
        raise DataError(
            f"{x.name} has {x.axis.size:,} columns and {y.name} {y.axis.size:,}, but column by column both must have "
            "as many: choose the columns that belong together, or set all against all with pairs='all'"
        )
    names = side_names([x, y])
    labels = [{key: pd.Index(values) for key, values in side.axis.coords.items()} for side in (x, y)]
    check_labels(dict(zip(names, labels, strict=True)), "column")


def check_labels(labelled: Mapping[str, Labels], each: str = "row") -> None:
    """Raise DataError where two arrays have different labels for the same row or column, paired by position."""
    known: dict[str, tuple[str, pd.Index | xr.DataArray]] = {}
    for what, labels in labelled.items():
        for name, own in labels.items():
            other, first = known.setdefault(name, (what, own))
            if (row := _first_difference(first, own)) is not None:
                found = [_shown(_index(labels), row) for labels in (first, own)]
                raise DataError(
                    f"{other} and {what} have different labels along {name!r}, first at {each} {row}, {found[0]} and "
                    f"{found[1]}: bring them together with xarray.align or .reindex, or leave the labels out to pair "
                    f"{each}s by position, with .drop_vars({name!r}) or .to_numpy()"
                )


def _first_difference(a: pd.Index | xr.DataArray, b: pd.Index | xr.DataArray) -> int | None:
    """Return the first row at which labels differ; lazy ones are read where they are not the same dask array."""
    if a is b:
        return None
    lazy = [each.data.name for each in (a, b) if is_dask_collection(getattr(each, "data", None))]
    if len(lazy) == 2 and lazy[0] == lazy[1]:
        return None
    first, second = _index(a), _index(b)
    if first.equals(second):
        return None
    pairs = enumerate(zip(first, second, strict=False))
    unequal = (
        row for row, (one, other) in pairs if one is not other and one != other and (one == one or other == other)
    )
    return next(unequal, None if len(first) == len(second) else min(len(first), len(second)))


def _shown(index: pd.Index, row: int) -> str:
    if row >= len(index):
        return "none"
    label = index[row]
    parts = [
        repr(part) if isinstance(part, str) else str(part) for part in (label if isinstance(label, tuple) else [label])
    ]
    return f"({', '.join(parts)})" if isinstance(label, tuple) else parts[0]


def _index(labels: pd.Index | xr.DataArray) -> pd.Index:
    if isinstance(labels, pd.Index):
        return labels
    return (labels.copy(data=small_arrays.values(labels)) if is_dask_collection(labels) else labels).to_index()


def along_samples(values: npt.ArrayLike, x: Labelled, what: str) -> Array:
    """Return one value per sample as an array over the sample dims."""
    if isinstance(values, str):
        values = _coordinate(values, x, what)
    if isinstance(values, xr.DataArray):
        if not set(values.dims) <= set(x.sample_dims):
            raise DataError(f"{what} has the dims {values.dims}, expected only sample dims {x.sample_dims}")
        sizes = dict(zip(x.sample_dims, x.sample_shape, strict=True))
        missing = {d: sizes[d] for d in x.sample_dims if d not in values.dims}
        data: Array = values.expand_dims(missing).transpose(*x.sample_dims).data
    else:
        data = plain(values, what)
    if data.shape != x.sample_shape:
        raise DataError(f"{what} has shape {data.shape}, expected one value per sample, {x.sample_shape}")
    return data


def _coordinate(given: str, x: Labelled, what: str) -> xr.DataArray:
    # A log names a coordinate of samples, not steps, after their dim: "sample_epoch" is their epoch.
    for name in (given, *(f"{dim}_{given}" for dim in x.sample_dims)):
        if name in x.coords:
            return x.coords[name]
    known = ", ".join(map(repr, x.coords)) or "none"
    raise DataError(
        f"{x.name} has no coordinate {given!r} along {', '.join(x.sample_dims)} for {what}, there are: {known}"
    )


def aligned(arrays: list[Array], sample_ndim: int) -> list[Array]:
    """Chunk arrays alike over several sample dims, since their rows run in the order of the chunks."""
    if sample_ndim == 1 or not (lazy := [array for array in arrays if isinstance(array, da.Array)]):
        return arrays
    chunks = dict(enumerate(lazy[0].chunks[:sample_ndim]))
    return [da.asarray(array).rechunk(chunks) for array in arrays]
