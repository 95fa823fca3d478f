"""Fills missing values from those before and after them in the same column, a stretch of rows at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from covdist.numerics.nonfinite import all_finite, holes

KINDS = ("linear", "previous", "nearest")
ENDS = ("keep", "nearest")
_STRIP = 1 << 18  # values looked at together


class NearestValue(NamedTuple):
    """Per column a value and its position, NaN where there is none; arrays (columns,)."""

    value: np.ndarray
    position: np.ndarray

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> NearestValue:
        return cls(np.full(shape, np.nan), np.full(shape, np.nan))

    @property
    def unknown(self) -> np.ndarray:
        return np.isnan(self.position)

    def at(self, index: np.ndarray) -> NearestValue:
        return NearestValue(self.value[index], self.position[index])

    def of_columns(self, columns: np.ndarray) -> NearestValue:
        """Keep the values of some columns, bool (columns,), alone."""
        return NearestValue(*(np.where(columns, part, np.nan) for part in self))

    def or_else(self, farther: NearestValue) -> NearestValue:
        """Return these values, and others where there is none."""
        known = ~self.unknown
        return NearestValue(*(np.where(known, *both) for both in zip(self, farther, strict=True)))


@dataclass(frozen=True)
class InterpolationOptions:
    kind: str  # "linear", "previous" or "nearest"
    ends: str  # "keep" gaps that have a value on one side alone, or fill them with the "nearest"
    inf: str  # "raise" or "missing"
    max_gap: float  # longer gaps, from value to value, stay
    first: float  # positions of the first and the last row of all: a gap at an end reaches to them
    last: float


def first_values(rows: np.ndarray, positions: np.ndarray, inf: str) -> NearestValue:
    """Return each column's first value in rows (rows, ...)."""
    if not len(rows):
        return NearestValue.none(rows.shape[1:])
    first = NearestValue(rows[0].astype(np.float64), np.full(rows.shape[1:], positions[0]))
    missing = holes(rows[0], inf)
    if missing.any():
        some = rows[:, missing]
        present = ~holes(some, inf)
        at, known = present.argmax(axis=0), present.any(axis=0)
        first.value[missing] = np.where(known, np.take_along_axis(some, at[None], 0)[0], np.nan)
        first.position[missing] = np.where(known, positions[at], np.nan)
    return first


def last_values(rows: np.ndarray, positions: np.ndarray, inf: str) -> NearestValue:
    return first_values(rows[::-1], positions[::-1], inf)


def filled(
    rows: np.ndarray, positions: np.ndarray, before: NearestValue, after: NearestValue, options: InterpolationOptions
) -> np.ndarray:
    """Return rows (rows, ...) with their gaps filled, given the nearest values outside; themselves without gaps."""
    if all_finite(rows):
        return rows
    flat = rows.reshape(len(rows), math.prod(rows.shape[1:]))
    out = flat.copy()
    outside = [NearestValue(*(part.reshape(-1) for part in side)) for side in (before, after)]
    width = max(1, _STRIP // max(len(rows), 1))
    for start in range(0, flat.shape[1], width):
        hole = holes(flat[:, start : start + width], options.inf)
        if hole.any():
            column, row = np.nonzero(np.ascontiguousarray(hole.T))
            begins = np.append(True, (np.diff(row) != 1) | (np.diff(column) != 0))
            column, gap = column + start, np.cumsum(begins) - 1  # of each missing value
            first = np.flatnonzero(begins)
            last = np.append(first[1:], len(row)) - 1
            low = _neighbour(flat, positions, outside[0], row[first] - 1, column[first])
            high = _neighbour(flat, positions, outside[1], row[last] + 1, column[last])
            with np.errstate(invalid="ignore", over="ignore"):
                out[row, column] = _between(low.at(gap), high.at(gap), positions[row], options)
    return out.reshape(rows.shape)


def _neighbour(
    values: np.ndarray, positions: np.ndarray, outside: NearestValue, row: np.ndarray, column: np.ndarray
) -> NearestValue:
    """Return the values at rows that may lie outside."""
    inside = (row >= 0) & (row < len(values))
    row = np.where(inside, row, 0)
    value = np.where(inside, values[row, column].astype(np.float64), outside.value[column])
    return NearestValue(value, np.where(inside, positions[row], outside.position[column]))


def _between(low: NearestValue, high: NearestValue, at: np.ndarray, options: InterpolationOptions) -> np.ndarray:
    if options.kind == "linear":
        value = (high.value - low.value) / (high.position - low.position) * (at - low.position) + low.value
        if np.isinf(value).any():  # the largest values may differ by more than float64 holds
            share = (at - low.position) / (high.position - low.position)
            value = np.where(np.isinf(value), low.value * (1 - share) + high.value * share, value)
    elif options.kind == "previous":
        value = low.value
    else:
        value = np.where(at <= low.position / 2 + high.position / 2, low.value, high.value)
    if options.ends == "nearest":
        value = np.where(low.unknown, high.value, np.where(high.unknown, low.value, value))
    elif options.kind != "previous":
        value = np.where(low.unknown | high.unknown, np.nan, value)
    length = np.where(high.unknown, options.last, high.position) - np.where(low.unknown, options.first, low.position)
    return np.where(length <= options.max_gap, value, np.nan)
