"""``Kept``: what is recorded of what is logged: some steps, some units or a projection of them, in a chosen dtype."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from covdist.errors import DataError
from covdist.record.lent import Given, Lent
from covdist.record.options.asked import Asked, of_name
from covdist.record.options.dtypes import Vanished, cast, check_over, say_vanished
from covdist.record.projection import PROJECTION, drawn, matrix_bytes, signs
from covdist.record.values import as_array, as_rows, as_step, check_arrays, variable_of

_READY = (np.ndarray, Lent)  # what is recorded as it is, where it is recorded whole
UNITS = "covdist_units"  # attribute of an array: {"width": ..., "units": [...]}


class Kept:
    """Applies the options to each array; how one is cut down is told once, when its width is known."""

    def __init__(self, options: Asked):
        self._options = options
        self._whole = not (options.dtype or options.units or options.project)
        self._hows: dict[str, _How] = {}
        self._said: set[str] = set()  # of which names it was said that small values are lost

    def wants(self, step: int, name: str) -> bool:
        """Return whether an array of this name is recorded in this step."""
        every = of_name(self._options.every, name) if self._options.every else None
        return every is None or as_step(step) % every == 0

    def of(self, step: int, arrays: Mapping[str, Any]) -> dict[str, Given]:
        """Return what is recorded of the arrays of a call."""
        check_arrays(arrays)
        if self._options.every or not self._whole:  # patterns are held against them
            for name in arrays:
                variable_of(name)
        if self._options.every:
            arrays = {name: value for name, value in arrays.items() if self.wants(step, name)}
        if self._whole:
            return {name: each if type(each) in _READY else as_array(name, each) for name, each in arrays.items()}
        vanished: list[Vanished] = []
        parts = {
            name: self._part(name, value if type(value) is Lent else as_array(name, value), vanished)
            for name, value in arrays.items()
        }
        if vanished:
            self._said.update(each.name for each in vanished)
            say_vanished(vanished)
        return parts

    def dtype_of(self, name: str) -> np.dtype | None:
        """Return what floats of this name are rounded to, unless they are cut down before."""
        options = self._options
        cut = of_name(options.units, name) is not None or of_name(options.project, name) is not None
        return None if cut else of_name(options.dtype, name)

    def converted(self, name: str, data: Given) -> np.ndarray:
        """Return what ``of`` returned in a dtype that can be recorded; most arrays are known to have one."""
        return as_array(name, data) if self._whole else np.asarray(data)

    def attributes(self, name: str) -> dict[str, Any]:
        """Return what the log says of how an array was cut down; nothing of one that is whole."""
        how = self._hows.get(name)
        return {} if how is None else how.attributes

    def _part(self, name: str, data: Given, vanished: list[Vanished]) -> Given:
        how, gone = self._hows.get(name), 0
        if how is None:
            how = self._hows[name] = _how(name, np.asarray(data), self._options)
        if how.attributes:
            rows = as_rows(name, np.asarray(data), self._options.per_step)
            data = how.part(name, rows.data).reshape(-1 if rows.dim == "step" else len(rows.data), *how.shape)
        if how.dtype is None:
            return data
        if isinstance(data, Lent) and data.lost is not None:
            check_over(name, data.lost, how.dtype)
            gone = data.lost.gone
        if data.ndim and data.dtype.kind == "f" and data.dtype != how.dtype:
            data, more = cast(name, np.asarray(data), how.dtype)
            gone += more
        if gone and name not in self._said:
            vanished.append(Vanished(name, gone, math.prod(data.shape), how.dtype))
        return data


class _How:
    """How the rows of one array are cut down; here not at all."""

    def __init__(self, dtype: np.dtype | None):
        self.dtype = dtype
        self.attributes: dict[str, Any] = {}  # for the log
        self.shape: tuple[int, ...] = ()  # of a row, when it is cut down

    def part(self, name: str, rows: np.ndarray) -> np.ndarray:
        return rows


class _Units(_How):
    def __init__(self, dtype: np.dtype | None, row: tuple[int, ...], units: list[int]):
        self.dtype, self._row, self._units, self.shape = dtype, row, np.array(units), (len(units), *row[1:])
        self.attributes = {UNITS: {"width": row[0], "units": units}}

    def part(self, name: str, rows: np.ndarray) -> np.ndarray:
        _check_row(name, rows, self._row)
        return rows[:, self._units]


class _Projected(_How):
    def __init__(self, dtype: np.dtype | None, row: tuple[int, ...], columns: int, seed: int):
        self.dtype, self._row, self._seed, self.shape = dtype, row, seed, (columns,)
        self.attributes = {PROJECTION: {"width": math.prod(row), "columns": columns, "seed": seed}}

    def part(self, name: str, rows: np.ndarray) -> np.ndarray:
        _check_row(name, rows, self._row)
        width = math.prod(self._row)
        exact = np.float64 if rows.dtype.itemsize > 4 or rows.dtype == np.int32 else np.float32
        return np.asarray(
            rows.reshape(len(rows), width).astype(exact, copy=False) @ signs(width, *self.shape, self._seed)
        )


def _how(name: str, data: np.ndarray, options: Asked) -> _How:
    dtype, units = of_name(options.dtype, name), of_name(options.units, name)
    columns = of_name(options.project, name)
    row = as_rows(name, data, options.per_step).data.shape[1:]
    if units is not None and columns is not None and row:
        raise DataError(f"{name} is named by both units= and project=: name it in one of them.")
    if units is not None and row:
        if isinstance(units, tuple) and max(units) >= row[0]:
            raise DataError(f"{name} has {row[0]} units, numbered from 0, and units= asks for number {max(units)}.")
        chosen = drawn(row[0], units, options.seed).tolist() if isinstance(units, int) else list(units)
        return _How(dtype) if chosen == list(range(row[0])) else _Units(dtype, row, chosen)
    if columns is not None and math.prod(row) > columns:
        if (size := matrix_bytes(math.prod(row))) > options.room:
            raise DataError(
                f"{name} has rows of {math.prod(row):,} values, whose projection needs a matrix of {size:,} bytes, "
                "more than memory= allows: choose units=, or give more memory."
            )
        return _Projected(dtype, row, columns, options.seed)
    return _How(dtype)


def _check_row(name: str, rows: np.ndarray, row: tuple[int, ...]) -> None:
    if rows.shape[1:] != row:
        raise DataError(
            f"{name} has rows of shape {rows.shape[1:]}, expected {row} as logged before: log it under another name."
        )
