"""Fills holes from the values before and after them in the same column, a stretch of rows at a time."""

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
        """Which columns have no value, bool (columns,)."""
        return np.isnan(self.position)

    def of_columns(self, columns: np.ndarray) -> NearestValue:
        """Return this one for some columns, bool (columns,), alone."""
        return NearestValue(*(np.where(columns, part, np.nan) for part in self))

    def or_else(self, farther: NearestValue) -> NearestValue:
        """Return this one, where it has no value the other."""
        known = ~self.unknown
        return NearestValue(
            np.where(known, self.value, farther.value), np.where(known, self.position, farther.position)
        )


@dataclass(frozen=True)
class InterpolationOptions:
    """How gaps are filled.

    Attributes
    ----------
    kind : "linear", "previous" or "nearest"
    ends : "keep" holes that have a value on one side alone, or fill them with the "nearest"
    inf : "raise" or "missing"
    max_gap : float
        Gaps that are longer, from value to value, stay.
    first, last : float
        Positions of the first and the last row of all: a gap at an end reaches to them.
    """

    kind: str
    ends: str
    inf: str
    max_gap: float
    first: float
    last: float


def first_values(rows: np.ndarray, positions: np.ndarray, inf: str) -> NearestValue:
    """Return each column's first value in rows (rows, ...)."""
    if not len(rows):
        return NearestValue.none(rows.shape[1:])
    first = NearestValue(rows[0].astype(np.float64), np.full(rows.shape[1:], positions[0]))
    hole = holes(rows[0], inf)
    if hole.any():
        held = ~holes(rows[:, hole], inf)
        at, some = held.argmax(axis=0), held.any(axis=0)
        first.value[hole] = np.where(some, np.take_along_axis(rows[:, hole], at[None], 0)[0], np.nan)
        first.position[hole] = np.where(some, positions[at], np.nan)
    return first


def last_values(rows: np.ndarray, positions: np.ndarray, inf: str) -> NearestValue:
    """Return each column's last value in rows (rows, ...)."""
    return first_values(rows[::-1], positions[::-1], inf)


def filled(
    rows: np.ndarray, positions: np.ndarray, before: NearestValue, after: NearestValue, how: InterpolationOptions
) -> np.ndarray:
    """Return rows (rows, ...) with their gaps filled, the rows themselves where there are none.

    ``before`` and ``after`` are the nearest values outside.
    """
    if all_finite(rows):
        return rows
    flat = rows.reshape(len(rows), math.prod(rows.shape[1:]))
    out = flat.copy()
    sides = [NearestValue(*(part.reshape(-1) for part in side)) for side in (before, after)]
    width = max(1, _STRIP // max(len(rows), 1))
    for start in range(0, flat.shape[1], width):
        strip = slice(start, start + width)
        hole = holes(flat[:, strip], how.inf)
        if hole.any():
            near = [NearestValue(side.value[strip], side.position[strip]) for side in sides]
            _fill(out[:, strip], hole, positions, near[0], near[1], how)
    return out.reshape(rows.shape)


def _fill(
    values: np.ndarray,
    hole: np.ndarray,
    positions: np.ndarray,
    before: NearestValue,
    after: NearestValue,
    how: InterpolationOptions,
) -> None:
    column, row = np.nonzero(np.ascontiguousarray(hole.T))
    begins = np.append(True, (np.diff(row) != 1) | (np.diff(column) != 0))
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(row)) - 1
    gap = np.cumsum(begins) - 1  # to which each hole belongs
    low, low_at = (part[gap] for part in _neighbour(values, positions, before, row[first] - 1, column[first]))
    high, high_at = (part[gap] for part in _neighbour(values, positions, after, row[last] + 1, column[last]))
    at = positions[row]
    no_low, no_high = np.isnan(low_at), np.isnan(high_at)
    with np.errstate(invalid="ignore", over="ignore"):
        if how.kind == "linear":
            made = (high - low) / (high_at - low_at) * (at - low_at) + low
        elif how.kind == "previous":
            made = low
        else:
            made = np.where(at <= low_at / 2 + high_at / 2, low, high)
        if how.ends == "nearest":
            made = np.where(no_low, high, np.where(no_high, low, made))
        elif how.kind != "previous":
            made = np.where(no_low | no_high, np.nan, made)
        length = np.where(no_high, how.last, high_at) - np.where(no_low, how.first, low_at)
        made = np.where(length <= how.max_gap, made, np.nan)
    values[row, column] = made


def _neighbour(
    values: np.ndarray, positions: np.ndarray, outside: NearestValue, row: np.ndarray, column: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values at rows that may lie outside, and their positions."""
    inside = (row >= 0) & (row < len(values))
    row = np.where(inside, row, 0)
    value = np.where(inside, values[row, column].astype(np.float64), outside.value[column])
    return value, np.where(inside, positions[row], outside.position[column])
