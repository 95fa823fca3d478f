"""The dtypes that floats can be recorded in, and the cast to one, which loses no value unsaid."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from covdist.errors import DataError
from covdist.given import told
from covdist.kernel import copies
from covdist.kernel.library import compiled

_NAMED = 4  # arrays of a warning, beside the first
_TEXT = "fixed_length_utf32"  # of NumPy, 4 bytes a character
FLOATS = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


def float_dtype(given: Any) -> np.dtype:
    """Return the dtype that a name, a dtype or a dtype of torch means; DataError where it is none to record in."""
    name = (given if isinstance(given, str) else told(given)).removeprefix("torch.")
    if name not in FLOATS:
        try:
            name = np.dtype(given).name
        except (TypeError, ValueError):
            name = "no dtype"
    if name not in FLOATS:
        raise DataError(
            f"dtype must be one of {', '.join(FLOATS)}, or a mapping of patterns to them, found {told(given)}."
        )
    return named_dtype(name)


def named_dtype(name: str) -> np.dtype:
    """Return the dtype of a name in metadata; DataError where it needs a package that is missing."""
    try:
        return np.dtype(name)
    except TypeError:
        pass
    try:
        import ml_dtypes  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise DataError(
            f"{name} needs the package ml_dtypes ({error}): install it, pip install 'covdist[dtypes]', or record "
            "float32."
        ) from error
    return np.dtype(getattr(ml_dtypes, name))


def cast(name: str, data: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, int]:
    """Return floats in another dtype, and how many of them became 0; DataError where it cannot hold some."""
    by_kernel = compiled() and _in_kernel(dtype) and _in_kernel(data.dtype) and data.flags.c_contiguous
    found, lost = _by_kernel(data, dtype) if by_kernel else _by_numpy(data, dtype)
    check_over(name, lost, dtype)
    return found, lost.gone


@cache
def _in_kernel(dtype: np.dtype) -> bool:
    return dtype.name in copies.FLOATS


def _by_kernel(data: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, copies.RoundingLoss]:
    found, lost = np.empty(data.shape, dtype), copies.RoundingLoss()
    copies.rounded(found.ctypes.data, dtype.name, data.ctypes.data, data.dtype.name, data.size, lost)
    return found, lost


def _by_numpy(data: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, copies.RoundingLoss]:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        found = data.astype(dtype)
    finite, lost = np.isfinite(found), copies.RoundingLoss()
    if not finite.all():
        # Infinity in float8_e4m3fn, which has none, becomes NaN.
        over = ~finite & ~np.isnan(data) & ~(np.isinf(found) & np.isinf(data))
        lost.over, lost.largest = int(over.sum()), float(np.abs(data[over]).max(initial=0))
    lost.gone = int(np.count_nonzero(data) - np.count_nonzero(found))
    return found, lost


def check_over(name: str, lost: copies.RoundingLoss, dtype: np.dtype) -> None:
    """Raise DataError where values that were finite are not any more."""
    if lost.over:
        raise DataError(
            f"{name} has {lost.over} values that {dtype.name} cannot hold, of magnitudes up to {lost.largest:.4g}, "
            f"where {_most(dtype):.4g} is its largest: record it in a wider dtype, dtype={{{name!r}: "
            "'bfloat16'} or 'float32', or scale it."
        )


class Vanished(NamedTuple):
    """An array with values that are too small for the dtype that it is recorded in."""

    name: str
    lost: int  # of such values
    size: int  # of all values
    dtype: np.dtype


def say_vanished(arrays: Sequence[Vanished]) -> None:
    """Warn of values that are too small for a dtype: of the array that has lost most of them, and of the others' names.

    One warning a call, since a model has as many arrays of gradients as it has layers.
    """
    name, lost, size, dtype = max(arrays, key=lambda each: each.lost / each.size)
    others = [each.name for each in arrays if each.name != name]
    listed = ", ".join(others[:_NAMED]) + (f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "")
    warnings.warn(
        f"{name} has {lost} values of {size} that are too small for {dtype.name} and are recorded as 0"
        f"{f' (others have some, too: {listed})' if others else ''}, which is said once an array: record it in a wider "
        f"dtype, dtype={{{name!r}: 'bfloat16'}} or 'float32', or scale it.",
        stacklevel=4,
    )


def _most(dtype: np.dtype) -> float:
    if dtype.isbuiltin == 1:
        return float(np.finfo(dtype).max)
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype).max)


def data_type(dtype: np.dtype) -> str | dict[str, object]:
    """Return what Zarr's metadata call a dtype."""
    if dtype.kind != "U":
        return dtype.name
    return {"name": _TEXT, "configuration": {"length_bytes": dtype.itemsize}}


def dtype_of(data_type: str | dict[str, Any]) -> np.dtype:
    """Return the dtype that Zarr's metadata name."""
    if isinstance(data_type, str):
        return named_dtype(data_type)
    return np.dtype(f"<U{data_type['configuration']['length_bytes'] // 4}")
