"""Converts the values of a training loop to rows, or refuses them before anything is written."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from covdist.errors import DataError
from covdist.record.column import Column

NAME = re.compile(r"(?!\.|zarr\.json$)[^/\\]+")


class Rows(NamedTuple):
    """Rows of one array along the dim ``step`` or ``sample``."""

    dim: str
    data: np.ndarray

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self.data.shape[1:])) * self.data.dtype.itemsize


def as_rows(name: str, value: npt.ArrayLike, per_step: tuple[str, ...]) -> Rows:
    """Return the rows of an array; scalars and arrays named in ``per_step`` are one row."""
    if not all(NAME.fullmatch(part) for part in name.split("/")):
        raise DataError(
            f"{name!r} cannot name an array: give a path such as 'fc1/activation', without empty parts or "
            "parts that begin with a dot."
        )
    data = np.asarray(value)
    if data.dtype.name == "bfloat16":
        data = data.astype(np.float32)
    if data.dtype.kind not in "biuf" or data.dtype.itemsize > 8:
        raise DataError(
            f"{name} has dtype {data.dtype}, expected booleans, integers or floats of at most 64 bits: "
            "convert it first."
        )
    data = data.astype(data.dtype.newbyteorder("<"), copy=False)
    if data.ndim == 0 or name.rpartition("/")[2] in per_step:
        rows = Rows("step", data.reshape(1, -1) if data.ndim else data.reshape(1))
    else:
        rows = Rows("sample", data)
    if not rows.row_bytes:
        raise DataError(f"{name} has shape {data.shape}, expected rows of at least one value: leave it out.")
    return rows


def check_same(name: str, rows: Rows, column: Column) -> None:
    """Raise DataError if dtype or shape differ from the rows logged before."""
    if rows.data.dtype != column.dtype:
        raise DataError(
            f"{name} has dtype {rows.data.dtype}, expected {column.dtype} as logged before: convert it, or "
            "log it under another name."
        )
    if rows.data.shape[1:] != column.row:
        raise DataError(
            f"{name} has rows of shape {rows.data.shape[1:]}, expected {column.row} as logged before: log it "
            "under another name."
        )


def as_marks(step: int, coordinates: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Return the step and the other coordinates of a call as 0-d arrays."""
    try:
        marks = {"step": np.asarray(operator.index(step), np.int64)}
    except (TypeError, OverflowError) as error:
        raise DataError(f"step is {step!r}, expected a whole number of 64 bits.") from error
    for name, value in coordinates.items():
        marks[name] = np.asarray(value)
        if marks[name].ndim or marks[name].dtype.kind not in "biuf":
            raise DataError(f"{name}={value!r} is no coordinate: give one number, or log it as an array.")
    return marks


def check_marks(where: str, marks: Mapping[str, np.ndarray], columns: Mapping[str, Column]) -> None:
    """Raise DataError if the coordinates differ from those of earlier calls."""
    if marks.keys() != columns.keys():
        raise DataError(
            f"{where} was logged with the coordinates {sorted(columns)} before and with {sorted(marks)} now: "
            "give the same ones in every call."
        )
    for name, mark in marks.items():
        if not np.can_cast(mark.dtype, columns[name].dtype, "safe"):
            raise DataError(f"{name} has dtype {mark.dtype}, expected {columns[name].dtype} as in the calls before.")
