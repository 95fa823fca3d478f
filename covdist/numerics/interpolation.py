"""Fills missing values from those before and after them in the same column, a stretch of rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from covdist.numerics.nonfinite import all_finite, holes

KINDS = ("linear", "previous", "next", "nearest")
ENDS = ("keep", "nearest", "extrapolate")
_STRIP = 1 << 18  # values looked at together


class NearestValue(NamedTuple):
    """Per column a value, its position and the number of its row, NaN where there is none; arrays (columns,)."""

    value: np.ndarray
    position: np.ndarray
    row: np.ndarray  # NaN where nobody counts

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> NearestValue:
        return cls(*(np.full(shape, np.nan) for _ in cls._fields))

    @property
    def unknown(self) -> np.ndarray:
        return np.isnan(self.position)

    def at(self, index: np.ndarray) -> NearestValue:
        return NearestValue(*(part[index] for part in self))

    def of_columns(self, columns: np.ndarray) -> NearestValue:
        """Keep the values of some columns, bool (columns,), alone."""
        return NearestValue(*(np.where(columns, part, np.nan) for part in self))

    def or_else(self, farther: NearestValue) -> NearestValue:
        """Return these values, and others where there is none."""
        known = ~self.unknown
        return NearestValue(*(np.where(known, *both) for both in zip(self, farther, strict=True)))


class TwoNearest(NamedTuple):
    """Per column the nearest value and the next beyond it: the line that is extrapolated."""

    nearest: NearestValue
    second: NearestValue

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> TwoNearest:
        return cls(NearestValue.none(shape), NearestValue.none(shape))

    def or_else(self, farther: TwoNearest) -> TwoNearest:
        """Return these values, and others where there are none or one."""
        alone = ~self.nearest.unknown
        second = farther.nearest.of_columns(alone).or_else(farther.second.of_columns(~alone))
        return TwoNearest(self.nearest.or_else(farther.nearest), self.second.or_else(second))


@dataclass(frozen=True)
class InterpolationOptions:
    kind: str  # one of KINDS
    ends: str | tuple[float, float]  # of gaps with a value on one side alone: one of ENDS, or what to fill in
    inf: str  # "raise" or "missing"
    max_gap: float  # longer gaps, from value to value, stay
    first: float  # positions of the first and the last row of all: a gap at an end reaches to them
    last: float
    limit: float = np.inf  # so many rows of a gap are filled, those next to the value that it is counted from


def first_values(rows: np.ndarray, positions: np.ndarray, inf: str, numbers: np.ndarray | None = None) -> NearestValue:
    """Return each column's first value in rows (rows, ...), at ``positions`` and called ``numbers``."""
    if not len(rows):
        return NearestValue.none(rows.shape[1:])
    numbers = np.full(len(rows), np.nan) if numbers is None else numbers
    first = NearestValue(
        np.array(rows[0], np.float64), *(np.full(rows.shape[1:], at[0]) for at in (positions, numbers))
    )
    missing = holes(rows[0], inf)
    if missing.any():
        some = rows[:, missing]
        present = ~holes(some, inf)
        at, known = present.argmax(axis=0), present.any(axis=0)
        first.value[missing] = np.where(known, np.take_along_axis(some, at[None], 0)[0], np.nan)
        first.position[missing] = np.where(known, positions[at], np.nan)
        first.row[missing] = np.where(known, numbers[at], np.nan)
    return first


def last_values(rows: np.ndarray, positions: np.ndarray, inf: str, numbers: np.ndarray | None = None) -> NearestValue:
    return first_values(rows[::-1], positions[::-1], inf, None if numbers is None else numbers[::-1])


def two_values(
    find: Callable[..., NearestValue], rows: np.ndarray, positions: np.ndarray, inf: str, numbers: np.ndarray
) -> TwoNearest:
    """Return what ``first_values`` or ``last_values`` finds, and what it finds without that."""
    nearest = find(rows, positions, inf, numbers)
    others = np.where(positions.reshape(-1, *(1 for _ in rows.shape[1:])) == nearest.position, np.nan, rows)
    return TwoNearest(nearest, find(others, positions, inf, numbers))


def filled(
    rows: np.ndarray,
    positions: np.ndarray,
    before: NearestValue,
    after: NearestValue,
    options: InterpolationOptions,
    number: int = 0,
    second: tuple[NearestValue, NearestValue] | None = None,
) -> np.ndarray:
    """Return rows (rows, ...) with their gaps filled, given the nearest values outside; themselves without gaps.

    ``number`` is that of the first row, as ``before`` and ``after`` count. ``second``, wanted to extrapolate, are each
    column's last value but one, and its second.
    """
    if all_finite(rows):
        return rows
    flat = rows.reshape(len(rows), math.prod(rows.shape[1:]))
    out = flat.copy()
    outside = [NearestValue(*(part.reshape(-1) for part in side)) for side in (before, after, *(second or ()))]
    width = max(1, _STRIP // max(len(rows), 1))
    for start in range(0, flat.shape[1], width):
        hole = holes(flat[:, start : start + width], options.inf)
        if hole.any():
            column, row = np.nonzero(np.ascontiguousarray(hole.T))
            begins = np.append(True, (np.diff(row) != 1) | (np.diff(column) != 0))
            column, gap = column + start, np.cumsum(begins) - 1  # of each missing value
            first = np.flatnonzero(begins)
            last = np.append(first[1:], len(row)) - 1
            low = _neighbour(flat, positions, outside[0], row[first] - 1, column[first], number)
            high = _neighbour(flat, positions, outside[1], row[last] + 1, column[last], number)
            with np.errstate(invalid="ignore", over="ignore"):
                beyond = [side.at(column) for side in outside[2:]]
                out[row, column] = _between(low.at(gap), high.at(gap), beyond, positions[row], row + number, options)
    return out.reshape(rows.shape)


def _neighbour(
    values: np.ndarray, positions: np.ndarray, outside: NearestValue, row: np.ndarray, column: np.ndarray, number: int
) -> NearestValue:
    """Return the values at rows that may lie outside."""
    inside = (row >= 0) & (row < len(values))
    row = np.where(inside, row, 0)
    value = np.where(inside, values[row, column].astype(np.float64), outside.value[column])
    position = np.where(inside, positions[row], outside.position[column])
    return NearestValue(value, position, np.where(inside, row + number, outside.row[column]))


def _between(
    low: NearestValue,
    high: NearestValue,
    beyond: list[NearestValue],
    at: np.ndarray,
    row: np.ndarray,
    options: InterpolationOptions,
) -> np.ndarray:
    value = _inner(low, high, at, options.kind)
    if options.kind not in ("previous", "next"):  # which reach into one of the ends
        value = np.where(low.unknown | high.unknown, np.nan, value)
    left, right = _at_the_ends(low, high, beyond, at, options)
    if left is not None:
        anywhere = ~(low.unknown & high.unknown)
        value = np.where(low.unknown & anywhere & np.isnan(value), left, value)
        value = np.where(high.unknown & anywhere & np.isnan(value), right, value)
    length = np.where(high.unknown, options.last, high.position) - np.where(low.unknown, options.first, low.position)
    # As xarray counts: from the row before the first where no value comes before.
    steps = high.row - row if options.kind == "next" else row - np.where(low.unknown, -1, low.row)
    kept = (length <= options.max_gap) & ((options.limit == np.inf) | (steps <= options.limit))
    return np.where(kept, value, np.nan)


def _at_the_ends(
    low: NearestValue, high: NearestValue, beyond: list[NearestValue], at: np.ndarray, options: InterpolationOptions
) -> tuple[Any, Any]:
    """Return what stands before the first value and after the last, None to keep the gap."""
    if options.ends == "nearest":
        return high.value, low.value
    if options.ends == "extrapolate" and options.kind not in ("previous", "next"):
        return _inner(high, beyond[1], at, options.kind), _inner(beyond[0], low, at, options.kind)
    return (None, None) if isinstance(options.ends, str) else options.ends


def _inner(low: NearestValue, high: NearestValue, at: np.ndarray, kind: str) -> np.ndarray:
    if kind in ("previous", "next"):
        return low.value if kind == "previous" else high.value
    if kind == "nearest":
        return np.where(at <= low.position / 2 + high.position / 2, low.value, high.value)
    value = (high.value - low.value) / (high.position - low.position) * (at - low.position) + low.value
    if np.isinf(value).any():  # the largest values may differ by more than float64 holds
        share = (at - low.position) / (high.position - low.position)
        value = np.where(np.isinf(value), low.value * (1 - share) + high.value * share, value)
    return value
