"""Decodes values by their attributes (the CF conventions) as ``xarray.open_zarr`` does."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Real
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
_SIGNS = {"true": "u", "false": "i"}
_EXACT = 1 << 53  # up to which float64, by which xarray compares integers, has them all
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
    if values.dtype.kind in "iu":
        values = values.view(_meant(values.dtype, attrs))
        attrs = {key: value for key, value in attrs.items() if key != "_Unsigned"}
    decoded = _by_xarray(name, values, attrs)
    fills = [np.ravel(attrs[key]) for key in FILLS if key in attrs]
    if fills and attrs.get("dtype") == "bool" and np.isin(values, np.concatenate(fills)).any():
        raise LogError(
            f"{name} has missing values among flags, which cannot be missing: leave its dtype out of the log."
        )
    if values.dtype.kind in "iu" and decoded.dtype.kind == "f" and any((abs(each) >= _EXACT).any() for each in fills):
        as_numbers = {key: value for key, value in attrs.items() if key not in FILLS}  # others round to the fill value
        numbers = _by_xarray(name, values, as_numbers).values.astype(decoded.dtype)
        return decoded.copy(data=np.where(np.isin(values, np.concatenate(fills)), np.nan, numbers))
    return decoded


def _meant(dtype: np.dtype, attrs: Attributes) -> np.dtype:
    """Return the dtype that integers of another are to be read as, which ``_Unsigned`` tells."""
    return dtype if "_Unsigned" not in attrs else np.dtype(f"{_SIGNS[attrs['_Unsigned']]}{dtype.itemsize}")


def _by_xarray(name: str, values: np.ndarray, attrs: Attributes) -> xr.Variable:
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
    numeric = {key: _numbers(source, key, attrs[key]) for key in (*FACTORS, *FILLS) if key in attrs}
    whole = source.dtype.kind in "iu"
    if whole and "_Unsigned" in attrs:
        _check_unsigned(source, attrs["_Unsigned"])
    for key in numeric.keys() & FILLS:
        fill = _whole(numeric[key], source.dtype, attrs) if whole else _fitting(numeric[key], source.dtype)
        numeric[key] = fill
        if np.isnan(fill).all() and (whole or numeric.keys().isdisjoint(FACTORS)):
            del numeric[key]
    others = {key: value for key, value in attrs.items() if key not in (*FACTORS, *FILLS)}
    return others | {key: float(value[0]) if key in FACTORS else _one(value) for key, value in numeric.items()}


def _one(numbers: np.ndarray) -> Any:
    return numbers[0] if numbers.size == 1 else numbers


def _numbers(source: Source, key: str, value: Any) -> np.ndarray:
    """Return what an attribute says, exactly where the values are integers; LogError where it says no number."""
    dtype = np.dtype(object)
    if key in FACTORS or source.dtype.kind in "fc":
        dtype = np.result_type(np.float64 if key in FACTORS else source.dtype, np.float64)
    try:
        numbers = np.asarray(value, dtype).ravel()
    except (ValueError, TypeError, OverflowError):
        numbers = np.empty(0)
    one = numbers.size == 1 or (numbers.size and key == "missing_value")
    real = dtype.kind != "O" or all(isinstance(each, Real) and not isinstance(each, bool) for each in numbers)
    if not (one and real) or (key in FACTORS and not np.isfinite(numbers).all()):
        raise LogError(f"{source.name}: its attribute {key} must be a number, found {value!r}: correct it in the log.")
    return numbers


def _whole(numbers: np.ndarray, stored: np.dtype, attrs: Attributes) -> np.ndarray:
    """Return those of some numbers that integers of a dtype can be, or one that none can be.

    Where ``_Unsigned`` says what the bits mean, 255 and -1 are one byte.
    """
    meant = _meant(stored, attrs)
    least, values = np.iinfo(meant).min, 1 << (8 * meant.itemsize)
    there = [int(each) for each in numbers if np.isfinite(float(each)) and each == int(each)]
    if "_Unsigned" in attrs:
        there = [(each - least) % values + least for each in there if -(values >> 1) <= each < values]
    possible = [each for each in there if least <= each < least + values]
    if possible:
        return np.array(possible, meant)
    return np.array([np.nan if all(each != each for each in numbers) else 0.5])


def _fitting(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return numbers as floats of a dtype; NaN for those that it has none near to, such as 1e300 of float32."""
    with np.errstate(over="ignore", under="ignore"):
        found = numbers.astype(dtype)
    lost = np.isfinite(numbers) & (~np.isfinite(found) | ((found == 0) & (numbers != 0)))
    return np.where(lost, dtype.type(np.nan), found)


def _check_unsigned(source: Source, unsigned: Any) -> None:
    if unsigned not in ("true", "false"):
        raise LogError(
            f'{source.name}: its attribute _Unsigned must be "true" or "false", found {unsigned!r}: correct it in the '
            "log."
        )
