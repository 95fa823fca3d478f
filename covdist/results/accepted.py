"""What people pass as an array, with names for its axes; or a sentence that says what it is and what to pass."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from dask.base import is_dask_collection
from xarray.indexes import PandasIndex, PandasMultiIndex

from covdist.errors import DataError
from covdist.numerics.nonfinite import unmasked
from covdist.numerics.screening import check_characters, plain_dtype

Labels = Mapping[str, pd.Index | xr.DataArray]  # of rows, by the name they have
Coordinates = tuple[dict[Any, xr.Variable], dict[Any, xr.Index]]  # and the indexes among them


class Accepted(NamedTuple):
    """An array with names for its axes, its sample dims, and labels of the samples that its coordinates do not hold."""

    array: xr.DataArray
    dim: Any
    labels: Labels
    each: tuple[Any, ...]  # dims of positions


class Bare(NamedTuple):
    """An array without names: those that its axes get, which of them count samples or positions, and their labels."""

    data: da.Array | np.ndarray
    dims: tuple[str, ...]
    samples: tuple[str, ...]
    places: tuple[str, ...]
    indexes: Mapping[str, pd.Index]


def accepted(given: Any, dim: Any, what: str, each: Any = None) -> Accepted:
    """Take anything the public functions accept for an array; ``what`` names it in messages."""
    if isinstance(given, xr.DataArray):
        _check_container(given.data, what)
        return Accepted(given, dim, {}, _tuple(each))
    return named(bare(given, dim, what, each))


def named(array: Bare) -> Accepted:
    """Give an array its names."""
    labels = {name: index for name, index in array.indexes.items() if name in array.samples}
    others = {name: index for name, index in array.indexes.items() if name not in labels}
    found = _with_names(assembled(array.data, array.dims), others)
    return Accepted(found, list(array.samples), labels, array.places)


def bare(given: Any, dim: Any, what: str, each: Any = None) -> Bare:
    """Take anything accepted for an array that is not a DataArray, with names for its axes."""
    array = plain(given, what)
    if array.ndim == 0:
        found = "a single number" if array.dtype.kind in "biufc" else f"a {type(given).__name__}"
        raise DataError(f"{what} is {found}, which has no samples: pass an array with at least one axis")
    places = () if each is None else _axes(array.shape, _tuple(each), "each")
    dims, samples, positions = _names(array.ndim, _axes(array.shape, dim), places)
    indexes = {dims[axis]: index for axis, index in enumerate(_indexes(given)) if index is not None}
    return Bare(array, dims, samples, positions, indexes)


@lru_cache(maxsize=64)
def _names(ndim: int, axes: tuple[int, ...], places: tuple[int, ...]) -> tuple[tuple[str, ...], ...]:
    """Return names for all axes, for those that count samples, in their order, and for those of positions."""
    others = [i for i in range(ndim) if i not in (*axes, *places)]
    names = {axis: "sample" if len(axes) == 1 else f"sample_{i}" for i, axis in enumerate(axes)}
    names |= {axis: "position" if len(places) == 1 else f"position_{i}" for i, axis in enumerate(places)}
    names |= {axis: "unit" if len(others) == 1 else f"unit_{i}" for i, axis in enumerate(others)}
    return tuple([names[i] for i in range(ndim)]), tuple([names[i] for i in axes]), tuple([names[i] for i in places])


def _tuple(each: Any) -> tuple[Any, ...]:
    return () if each is None else tuple(each) if isinstance(each, tuple | list) else (each,)


def assembled(
    data: da.Array | np.ndarray,
    dims: Sequence[Hashable],
    name: str | None = None,
    attrs: Mapping[str, object] | None = None,
    coords: Mapping[Any, xr.Variable] = MappingProxyType({}),
    indexes: Mapping[Any, xr.Index] = MappingProxyType({}),
) -> xr.DataArray:
    """Return an array with names for its axes, and coordinates with the indexes among them.

    xarray's usual way takes 30 us, and a dask array's key for its name; with two coordinates 150 us.
    """
    variable = xr.Variable(dims, data, attrs, fastpath=True)
    return xr.DataArray(variable, dict(coords), name=name, indexes=dict(indexes), fastpath=True)


def coordinates(dim: str | None, values: Mapping[str, np.ndarray], levels: Sequence[str] = ()) -> Coordinates:
    """Return vectors along a dim as its coordinates: what is called like it, or all levels together, is the index."""
    found: dict[Any, Any] = {name: xr.Variable(dim, each) for name, each in values.items() if name not in levels}
    if levels:
        index: Any = PandasMultiIndex(pd.MultiIndex.from_arrays([values[each] for each in levels], names=levels), dim)
        several = index.create_variables()
        return found | several, dict.fromkeys(several, index)
    if dim not in found:
        return found, {}
    index = PandasIndex(found[dim].data, dim, coord_dtype=found[dim].dtype)
    return found | index.create_variables(), {dim: index}


def plain(given: Any, what: str) -> da.Array | np.ndarray:
    """Return an array without names; DataError where it is none."""
    if type(given) is np.ndarray:
        return given
    if isinstance(given, da.Array):
        _check_container(given, what)
        return given
    if advice := _advice(given):
        raise DataError(f"{what} is a {type(given).__name__}, expected an array: {advice}")
    if isinstance(given, pd.api.extensions.ExtensionArray):
        given = pd.Series(given)
    if callable(getattr(given, "to_pandas", None)) and _package(given) == "pyarrow":
        given = given.to_pandas()
    if isinstance(given, pd.DataFrame | pd.Series):
        return _from_pandas(given, what)
    try:
        return unmasked(given)
    except (TypeError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{what} is a {type(given).__name__} that makes no array ({said}): convert it first") from error


def labels_along(given: Any, dims: Sequence[Any]) -> Labels:
    """Return the labels that an array has along some dims: its indexes, and what is called like a dim."""
    if isinstance(given, xr.DataArray):
        return labels_among(coords_along(given, dims), dims)
    return {str(dim): index for dim, index in zip(dims, _indexes(given), strict=False) if index is not None}


def labels_among(coords: Mapping[Hashable, xr.DataArray], dims: Sequence[Any]) -> Labels:
    return {str(name): coord for name, coord in coords.items() if name in dims or name in coord.xindexes}


def coords_along(array: xr.DataArray, dims: Sequence[Any]) -> dict[Hashable, xr.DataArray]:
    """Return the coordinates along some dims and no others; to look at each as an array takes 20 us."""
    known = array.coords.variables.items()
    return {name: array.coords[name] for name, coord in known if coord.dims and set(coord.dims) <= set(dims)}


def _indexes(given: Any) -> list[pd.Index | None]:
    """Return the labels of each axis of a frame, where they are more than numbers of columns."""
    if given is None or type(given) is np.ndarray:
        return []
    if isinstance(given, pd.Series):
        return [given.index]
    if isinstance(given, pd.DataFrame):
        numbered = given.columns.equals(pd.RangeIndex(given.shape[1]))
        return [given.index, None if numbered else given.columns]
    if _package(given) in ("polars", "pyarrow") and hasattr(given, "columns"):
        return [None, pd.Index(getattr(given, "column_names", given.columns))]
    return []


def _with_names(array: xr.DataArray, columns: Mapping[str, pd.Index]) -> xr.DataArray:
    for dim, index in columns.items():
        several = isinstance(index, pd.MultiIndex)
        coords = xr.Coordinates.from_pandas_multiindex(index, dim) if several else {dim: (dim, index)}
        array = array.assign_coords(coords)
    return array


def _axes(shape: tuple[int, ...], dim: Any, option: str = "dim") -> tuple[int, ...]:
    if dim is None:
        return (0,)
    axes = tuple(dim) if isinstance(dim, tuple | list) else (dim,)
    for axis in axes:
        if not isinstance(axis, int | np.integer) or not -len(shape) <= axis < len(shape):
            raise DataError(
                f"{option}={axis!r} is not an axis of an array of shape {shape}: pass an axis number (0 for rows "
                "of samples), or an xarray.DataArray whose dims have names"
            )
    axes = tuple(int(axis) % len(shape) for axis in axes)
    check_distinct(axes, dim)
    return axes


def check_distinct(dims: Sequence[Any], given: Any) -> None:
    if not dims or len(set(dims)) < len(dims):
        found = "names an axis twice" if dims else "names no axis"
        raise DataError(f"dim={given!r} {found}: pass each axis that counts samples once, and at least one")


def _package(given: Any) -> str:
    return type(given).__module__.partition(".")[0]


def _advice(given: Any) -> str | None:
    """Return what to pass instead of something that holds arrays, or leads to one, but is none."""
    if isinstance(given, xr.Dataset):
        return f"pass one of its variables, {_some(given.data_vars)}, or all as columns by .to_dataarray()"
    if isinstance(given, xr.DataTree):
        arrays = [f"{node.path}/{name}".strip("/") for node in given.subtree for name in node.data_vars]
        return f"pass one of its arrays, {_some(arrays)}"
    if isinstance(given, Mapping):
        return f"pass one of its values, {_some(given)}"
    if isinstance(given, str | bytes | os.PathLike):
        return "open the file first, such as with covdist.open_log, and pass one of its arrays"
    if is_dask_collection(given):
        return "pass a dask array, such as .to_dask_array(lengths=True) makes one"
    if hasattr(given, "toarray") and _package(given) in ("scipy", "sparse"):
        return "pass .toarray(), or for many rows a dask array whose chunks are made so"
    if _package(given) == "polars" and hasattr(given, "collect"):
        return "pass .collect()"
    if callable(getattr(given, "detach", None)):
        return None if _is_array(given) else "pass .detach().cpu().float().numpy()"
    return None


def _some(names: Any) -> str:
    found = [repr(name) for name in names]
    return ", ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "") if found else "none here"


def _is_array(tensor: Any) -> bool:
    try:
        return np.asarray(tensor).dtype.kind != "O"
    except (TypeError, ValueError, RuntimeError):
        return False


def _check_container(data: Any, what: str) -> None:
    kind = data._meta if isinstance(data, da.Array) else data
    if not isinstance(kind, np.ndarray):
        raise DataError(
            f"{what} holds {type(kind).__module__}.{type(kind).__name__}, expected numpy arrays: convert it first, "
            "such as by .as_numpy(), or a dask array by .map_blocks(lambda block: block.toarray())"
        )


def _from_pandas(given: pd.DataFrame | pd.Series, what: str) -> np.ndarray:
    """Return numbers; those of nullable and mixed columns as float64, with NaN where there is none."""
    if isinstance(given, pd.DataFrame):
        for name, dtype in given.dtypes.items():
            if not pd.api.types.is_numeric_dtype(dtype):
                raise DataError(
                    f"{what} has the column {name!r} of dtype {dtype}, but real numbers are expected: convert it "
                    "first, or choose columns, such as with .select_dtypes('number')"
                )
    elif not pd.api.types.is_numeric_dtype(given.dtype):
        return np.asarray(given)
    values = given.to_numpy()
    return given.to_numpy(np.float64, na_value=np.nan) if values.dtype.kind == "O" else unmasked(values)


# ---- numbers


def in_front(
    data: da.Array | np.ndarray, dims: Sequence[Hashable], order: Sequence[Hashable], name: str
) -> da.Array | np.ndarray:
    """Return real numbers with their axes in another order; DataError where there are none."""
    sizes = dict(zip(dims, data.shape, strict=True))
    if tuple(dims) != tuple(order):
        data = data.transpose([dims.index(each) for each in order])
    if data.dtype.isbuiltin == 2 and data.dtype.name != "bfloat16":  # float8 and int4 of ml_dtypes
        data = data.astype(plain_dtype(data.dtype))
    check_rows(data, name)
    if 0 in data.shape:
        raise DataError(f"{name} is empty: its shape is {sizes}, at least one row and one column are needed")
    return data


_NAMELESS = {np.dtype("V2"): "bfloat16", np.dtype("V1"): "float8 or int4"}


def check_rows(data: da.Array | np.ndarray, name: str) -> None:
    """Raise DataError where values are no real numbers, or how many there are is unknown."""
    check_real(data.dtype, name)
    if any(map(math.isnan, data.shape)):
        raise DataError(
            f"{name} has chunks of unknown size, as selecting by a mask makes them: "
            "call compute_chunk_sizes() on the dask array first, or fold the rows with weights of 0 and 1"
        )


def check_real(dtype: np.dtype, name: str) -> None:
    """Raise DataError where values of a dtype are no real numbers."""
    if dtype in _NAMELESS:
        raise DataError(
            f"{name} has dtype {dtype}, raw bytes, as NumPy saves {_NAMELESS[dtype]} of JAX and ml_dtypes "
            "without its name, where real numbers are expected: fold np.load(file).view(ml_dtypes.bfloat16), or "
            "whichever it was, or save float32"
        )
    if dtype.kind not in "biuf" and dtype.name != "bfloat16":
        raise DataError(
            f"{name} has dtype {dtype}, but real numbers are expected: convert it first, complex "
            "values for instance to their real and imaginary parts"
        )


# ---- labels

_FAMILIES: tuple[tuple[Any, Callable[[list[Any]], Any]], ...] = (
    (str, partial(np.asarray, dtype=str)),
    (bytes | bool | np.bool_ | np.datetime64 | np.timedelta64, np.asarray),
    (int | np.integer, np.asarray),
    (float | complex | np.inexact, np.asarray),
    (date, pd.to_datetime),
    (timedelta, pd.to_timedelta),
)


def plain_labels(values: np.ndarray, what: str) -> np.ndarray:
    """Return labels as numbers, text, dates or times that pandas and files know; DataError where they are none."""
    values = _of_objects(values, what) if values.dtype.kind == "O" else values
    if values.dtype in ("M8", "m8"):
        raise DataError(
            f"{what} has dtype {values.dtype} without a unit, expected dates or times that have one: convert the "
            f"labels, such as by .astype('{values.dtype}[s]'), or leave them out"
        )
    check_characters(values, what)
    dtype = np.dtype(str) if values.dtype.kind == "S" else plain_dtype(values.dtype)
    dtype = dtype if dtype.isnative else dtype.newbyteorder("=")  # pandas looks up no others
    return values.astype(np.float64 if dtype.kind == "f" and dtype.itemsize not in (4, 8) else dtype, copy=False)


def _of_objects(values: np.ndarray, what: str) -> np.ndarray:
    labels = values.ravel().tolist()
    families = {next((n for n, (kind, _) in enumerate(_FAMILIES) if isinstance(each, kind)), None) for each in labels}
    number = families.pop()
    if number is not None and not families:
        try:
            found = np.asarray(_FAMILIES[number][1](labels))
        except (ValueError, OverflowError, TypeError):  # dates that pandas refuses
            found = values
        if found.dtype.kind != "O":  # as are dates with time zones, and whole numbers beyond 64 bits
            return found.reshape(values.shape)
    odd, label = next((each for each in enumerate(labels) if not isinstance(each[1], str)), (0, labels[0]))
    raise DataError(
        f"{what} has the label {label!r} ({type(label).__name__}) at {odd}, expected numbers, text, dates or times, "
        "all of one kind: convert the labels, such as by .astype(str), or leave them out"
    )
