"""Decodes values by their attributes (the CF conventions) as ``xarray.open_zarr`` does."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from xarray.coders import CFTimedeltaCoder
from xarray.conventions import decode_cf_variable

from covdist.errors import LogError
from covdist.logs.dask_arrays import to_dask
from covdist.logs.source import Source

Attributes = Mapping[str, Any]
FACTORS = ("scale_factor", "add_offset")
FILLS = ("_FillValue", "missing_value")
NUMERIC = {*FACTORS, *FILLS, "_Unsigned"}
DECODED = NUMERIC | {"units", "dtype"}  # xarray leaves valid_min, valid_max and valid_range alone
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, ImportError)  # what xarray raises
TIMES = CFTimedeltaCoder(decode_via_units=False)  # a loss in "seconds" stays a number


def lazy(dims: list[str], source: Source, attrs: Attributes) -> xr.Variable:
    """Return a variable whose blocks are decoded as they are read; dates are decoded by the type of the outer two."""
    attrs = _checked(source, attrs)
    decoded = None if attrs.keys().isdisjoint(DECODED) else _decoded(source.name, _example(source, attrs), attrs)
    if decoded is None or _unchanged(decoded, source, attrs):
        return xr.Variable(dims, to_dask(source), attrs)
    array = da.map_blocks(_block, to_dask(source), source.name, attrs, decoded.dtype, dtype=decoded.dtype)
    return xr.Variable(dims, array, decoded.attrs)


def as_stored(source: Source, attrs: Attributes) -> bool:
    """Return whether no attribute changes how values are read; LogError where one is not as it should be."""
    return attrs.keys().isdisjoint(DECODED) or _checked(source, attrs).keys().isdisjoint(DECODED)


def loaded(dims: list[str], source: Source, attrs: Attributes) -> xr.Variable:
    """Return a decoded variable in memory, read here and not on a cluster."""
    attrs = _checked(source, attrs)
    decoded = _decoded(source.name, source[tuple(slice(0, size) for size in source.shape)], attrs)
    values, dtype = decoded.values, decoded.dtype
    native = values if dtype.isnative else values.astype(dtype.newbyteorder("="))  # pandas looks up no others
    return xr.Variable(dims, native, decoded.attrs)


def _unchanged(decoded: xr.Variable, source: Source, attrs: Attributes) -> bool:
    return decoded.dtype == source.dtype and decoded.attrs == attrs


def _example(source: Source, attrs: Attributes) -> np.ndarray:
    shape = source.shape
    if 0 in shape or "since" not in str(attrs.get("units")):
        return np.empty((0,) * len(shape), source.dtype)
    first = source[tuple(slice(0, 1) for _ in shape)]
    return np.concatenate([first.ravel(), source[tuple(slice(size - 1, size) for size in shape)].ravel()])


def _block(block: np.ndarray, name: str, attrs: Attributes, dtype: np.dtype) -> np.ndarray:
    return np.asarray(_decoded(name, block, attrs).values.astype(dtype, copy=False))


def _decoded(name: str, values: np.ndarray, attrs: Attributes) -> xr.Variable:
    variable = xr.Variable([f"axis_{axis}" for axis in range(values.ndim)], values, attrs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two different fill values, which both count
        try:
            return decode_cf_variable(name, variable, concat_characters=False, decode_timedelta=TIMES)
        except UNREADABLE as error:
            raise LogError(f"{name} cannot be decoded by its attributes ({error}): correct them in the log.") from error


def _checked(source: Source, attrs: Attributes) -> dict[str, Any]:
    """Return the attributes with numbers of the types that xarray compares well; LogError names one that is none.

    A fill value of NaN says nothing about floats, and without it they are read faster.
    """
    if source.dtype.kind not in "iufc":
        return {key: value for key, value in attrs.items() if key not in NUMERIC}
    checked = dict(attrs)
    factors = {key: float(_numbers(source, key, attrs[key], np.dtype("f8"))) for key in FACTORS if key in attrs}
    fills = {key: _numbers(source, key, attrs[key], source.dtype) for key in FILLS if key in attrs}
    checked.update(factors | fills)
    for key, fill in fills.items():
        if not factors and np.isnan(fill).all():
            del checked[key]
    if "_Unsigned" in attrs and source.dtype.kind in "iu":
        _check_unsigned(source, attrs["_Unsigned"], fills)
        if "_FillValue" in fills:  # 255 and -1 are one byte, and xarray takes the signed one for either
            checked["_FillValue"] = fills["_FillValue"].astype(f"i{source.dtype.itemsize}")
    return checked


def _numbers(source: Source, key: str, value: Any, dtype: np.dtype) -> Any:
    try:
        numbers = np.asarray(value, dtype if dtype.kind in "fc" else None).ravel()
    except (ValueError, TypeError, OverflowError):
        numbers = np.empty(0)
    one = numbers.size == 1 or (numbers.size and key == "missing_value")
    if not one or numbers.dtype.kind not in "iufc" or (key in FACTORS and not np.isfinite(numbers).all()):
        raise LogError(f"{source.name}: its attribute {key} must be a number, found {value!r}: correct it in the log.")
    return numbers[0] if numbers.size == 1 else numbers


def _check_unsigned(source: Source, unsigned: Any, fills: Mapping[str, Any]) -> None:
    if unsigned not in ("true", "false"):
        raise LogError(
            f'{source.name}: its attribute _Unsigned must be "true" or "false", found {unsigned!r}: correct it in the '
            "log."
        )
    alone = np.setdiff1d(fills.get("missing_value", 0), fills.get("_FillValue", 0))
    if unsigned == "true" and (alone < 0).any():  # xarray compares it with unsigned numbers, which are never below 0
        raise LogError(
            f"{source.name}: its missing_value {alone[0]} is not an unsigned number, as _Unsigned says that all are: "
            "store it as _FillValue too."
        )
