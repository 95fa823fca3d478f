"""Converts the values of a training loop to rows, or refuses them before anything is written."""

from __future__ import annotations

import math
import operator
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from covdist.errors import DataError, shown
from covdist.given import told
from covdist.numerics.nonfinite import gathered
from covdist.numerics.screening import plain_dtype
from covdist.record.column import Column

NAME = re.compile(r"(?!\.|zarr\.json$)[^/\\\0\ud800-\udc7f]+")
_LONGEST = 255  # bytes of a part of a name, as file systems have it
SIZES = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
    "t": 10**12,
    "ti": 1 << 40,
}
COMMON = frozenset(map(np.dtype, ("<f4", "<f8", "<f2", "<i8", "<i4", "u1", "?")))  # recorded as they are


class Rows(NamedTuple):
    """Rows of one array along the dim ``step`` or ``sample``."""

    dim: str
    data: np.ndarray

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.data.shape[1:]) * self.data.dtype.itemsize

    @property
    def dims(self) -> list[str]:
        """Names of the other dims, as far as no array of the layer has them in another size."""
        if self.data.ndim == 2:
            return ["param" if self.dim == "step" else "unit"]
        return [f"unit_{i}" for i in range(self.data.ndim - 1)]


def as_rows(name: str, data: np.ndarray, per_step: tuple[str, ...]) -> Rows:
    """Return the rows of an array; scalars and arrays named in ``per_step`` are one row."""
    variable = variable_of(name)
    if data.ndim == 0 or variable in per_step:
        rows = Rows("step", data.reshape(1, -1) if data.ndim else data.reshape(1))
    else:
        rows = Rows("sample", data)
    if data.dtype.kind == "U" and rows.data.ndim > 1:
        raise DataError(
            f"{name} is text of shape {data.shape}, expected one label for each row: log each column apart."
        )
    if 0 in rows.data.shape[1:]:
        raise DataError(f"{name} has shape {data.shape}, expected rows of at least one value: leave it out.")
    return rows


@lru_cache(maxsize=1 << 16)
def variable_of(name: str) -> str:
    """Return the last part of an array's name; DataError where it cannot be one."""
    parts = name.split("/") if isinstance(name, str) else [""]
    if not all(map(NAME.fullmatch, parts)):
        raise DataError(
            f"{told(name)} cannot name an array: give a path such as 'fc1/activation', without empty parts or "
            "parts that begin with a dot."
        )
    if any(len(part) * 4 > _LONGEST and len(os.fsencode(part)) > _LONGEST for part in parts):
        raise DataError(f"{shown(name)} cannot name an array, since no file can be called so: give a shorter name.")
    return parts[-1]


def as_array(name: str, value: Any) -> np.ndarray:
    """Return a little-endian array of numbers of at most 64 bits, or of text; may share the memory of ``value``."""
    data = np.asarray(value) if type(value) in (bool, int, float, np.ndarray) else None
    if data is not None and data.dtype in COMMON:
        return data
    try:
        given = gathered(_plain(value))
        data = given if isinstance(given, np.ma.MaskedArray) else np.asarray(given)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        raise DataError(
            f"{name} is {type(value).__name__}, expected an array of numbers, and NumPy cannot make one of it "
            f"({error}): convert it first."
        ) from error
    data = _text(value) if data.dtype.kind in "UTO" else data.astype(plain_dtype(data.dtype), copy=False)
    if data.dtype.kind not in "biufU" or (data.dtype.kind != "U" and data.dtype.itemsize > 8):
        raise DataError(
            f"{name} has dtype {data.dtype}, expected booleans, integers or floats of at most 64 bits, or text: "
            "convert it first."
        )
    data = data.astype(data.dtype.newbyteorder("<"), copy=False)
    return _filled(name, data) if isinstance(data, np.ma.MaskedArray) else data


def _text(value: Any) -> np.ndarray:
    """Return text as an array of fixed width, anything else as objects: NumPy makes text of numbers in a list."""
    objects = value if isinstance(value, np.ma.MaskedArray) else np.asarray(value, object)
    return objects.astype(str) if all(isinstance(each, str) for each in objects.flat) else objects


def _plain(value: Any) -> Any:
    """Return what NumPy can convert: a tensor without its graph, in main memory, in a dtype that NumPy has."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value] if any(map(_is_foreign, value)) else value
    if not _is_foreign(value):
        return value
    if _is_sparse(value):
        raise TypeError("it is sparse, and its zeros would have to be stored: .to_dense() or .toarray() makes it dense")
    return _from_tensor(value) if _is_tensor(value) else _from_device(value)


def _from_tensor(value: Any) -> np.ndarray:
    tensor = value.detach().cpu()
    if hasattr(tensor, "is_neg") and tensor.is_neg():  # a view whose sign is turned when it is read
        tensor = tensor.resolve_neg()
    try:
        return np.asarray(tensor)
    except TypeError:
        if tensor.is_complex():
            raise
        return np.asarray(tensor.float())  # bfloat16 and float8, exactly


def _from_device(value: Any) -> np.ndarray:
    """Return an array of another library, copied from its device where it lies on one."""
    if hasattr(value, "__array__"):
        try:
            return np.asarray(value)
        except TypeError:  # cupy converts nothing unasked
            pass
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError):
        return np.from_dlpack(value, device="cpu")


def _is_sparse(value: Any) -> bool:
    return hasattr(value, "tocsr") or "sparse" in str(getattr(value, "layout", ""))


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "cpu")


def _is_foreign(value: Any) -> bool:
    """Return whether a value, or one in a list, is an array of another library than NumPy."""
    if isinstance(value, list | tuple):
        return any(map(_is_foreign, value))
    if isinstance(value, np.ndarray | np.generic):
        return False
    return _is_tensor(value) or hasattr(value, "__dlpack__") or hasattr(value, "tocsr")


def _filled(name: str, data: np.ma.MaskedArray[Any, Any]) -> np.ndarray:
    masked = int(np.ma.count_masked(data))
    if masked and data.dtype.kind != "f":
        raise DataError(
            f"{name} has {masked} masked entries, expected none in {data.dtype}, which has no NaN to store for them: "
            "pass it as floats, .astype(float), or fill them."
        )
    return np.asarray(data.filled(np.nan) if masked else data.data)


def check_same(name: str, rows: Rows, column: Column) -> np.dtype:
    """Return ``common_dtype``; DataError if the shape differs from the rows logged before."""
    if rows.data.shape[1:] != column.row:
        raise DataError(
            f"{name} has rows of shape {rows.data.shape[1:]}, expected {column.row} as logged before: log it "
            "under another name."
        )
    return common_dtype(name, rows.data, column)


def common_dtype(name: str, data: np.ndarray, column: Column) -> np.dtype:
    """Return the dtype that holds these rows and those logged before exactly, mostly theirs; DataError if none does."""
    if data.dtype == column.dtype or _holds(column.dtype, data):
        return column.dtype
    wide = _wider(column.dtype, data.dtype)
    if (
        wide is not None
        and _holds(wide, data)
        and (np.can_cast(column.dtype, wide, "no") or all(_holds(wide, r) for r in column.rows()))
    ):
        return wide
    raise DataError(
        f"{name} has dtype {data.dtype}, and {column.dtype} as logged before; no dtype holds both exactly: convert it, "
        "or log it under another name."
    )


def _wider(one: np.dtype, other: np.dtype) -> np.dtype | None:
    try:
        return np.result_type(one, other)
    except TypeError:  # two kinds of float8
        return None


def _holds(dtype: np.dtype, data: np.ndarray) -> bool:
    """Return whether a dtype holds these values exactly; NumPy casts whole numbers of 64 bits to floats in any case."""
    if "U" in (data.dtype.kind, dtype.kind) and data.dtype.kind != dtype.kind:
        return False  # NumPy would make text of numbers
    if data.dtype.kind in "iu" and data.dtype.itemsize == 8 and dtype.kind == "f" and data.size:
        return dtype.itemsize == 8 and max(-int(data.min()), int(data.max())) <= 1 << 53
    return np.can_cast(data.dtype, dtype)


def check_arrays(arrays: object) -> None:
    """Raise DataError where arrays come without names."""
    if not hasattr(arrays, "items"):
        raise DataError(f"arrays is {told(arrays)}, expected arrays by name: pass {{'fc1/activation': a}}.")


def as_step(step: object, name: str = "step") -> int:
    """Return the number of a step; DataError where it is none that a log can hold."""
    try:
        found = operator.index(step)  # type: ignore[arg-type]
    except TypeError:
        found = 1 << 63
    if not -(1 << 63) <= found < 1 << 63:
        raise DataError(f"{name} is {told(step)}, expected a whole number of 64 bits: number the steps from 0.")
    return found


def as_marks(step: int, coordinates: Mapping[str, float | str]) -> dict[str, np.ndarray]:
    """Return the step and the other coordinates of a call as 0-d arrays."""
    marks = {"step": np.asarray(as_step(step), np.int64)}
    for name, value in coordinates.items():
        try:
            marks[name] = as_array(name, value).copy()  # of what the caller may change before it is stored
        except DataError as error:
            raise _no_coordinate(name, value) from error
        if marks[name].ndim:
            raise _no_coordinate(name, value)
    return marks


def _no_coordinate(name: str, value: object) -> DataError:
    return DataError(f"{name}={told(value)} is no coordinate: give one number or text, or log it as an array.")


def check_marks(where: str, marks: Mapping[str, np.ndarray], columns: Mapping[str, Column]) -> None:
    """Raise DataError if the coordinates are not those of earlier calls."""
    if marks.keys() != columns.keys():
        raise DataError(
            f"{where} was logged with the coordinates {sorted(columns)} before and with {sorted(marks)} now: "
            "give the same ones in every call."
        )


def in_the_log(name: str, marks: Mapping[str, np.ndarray], last: int) -> DataError:
    """Return the error for a step that the log holds already."""
    return DataError(
        f"step {marks['step']} of {name} is in the log already, which went up to step {last} when it was opened: "
        f'go on with later steps, or open it with Recorder(path, mode="a", from_step={marks["step"]}), which '
        "forgets the rows from there on."
    )


def as_bytes(size: int | str, name: str = "memory") -> int:
    """Return a number of bytes, given as one or as text such as "256MiB" or "1.5 GB"."""
    text = str(size) if isinstance(size, str | Real | np.ndarray) else ""
    match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([kmgt]i?)?b?", text.strip().lower())
    if match is None or float(match[1]) == 0:
        raise DataError(f'{name} must be bytes, or text such as "256MiB", more than none of them, found {told(size)}.')
    return int(float(match[1]) * SIZES[match[2] or ""])
