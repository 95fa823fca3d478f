"""Fills holes from the values before and after them in the same column, a stretch of rows at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from covdist.state.missing import all_finite, holes

KINDS = ("linear", "previous", "nearest")
ENDS = ("keep", "nearest")
_STRIP = 1 << 18  # values looked at together


class Carried(NamedTuple):
    """Per column a value and its position, NaN where there is none; arrays (columns,)."""

    value: np.ndarray
    position: np.ndarray

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> Carried:
        return cls(np.full(shape, np.nan), np.full(shape, np.nan))

    @classmethod
    def of(cls, row: np.ndarray, position: float) -> Carried:
        """Carry a row without holes."""
        return cls(row.astype(np.float64), np.broadcast_to(np.float64(position), row.shape))

    @property
    def unknown(self) -> np.ndarray:
        """Which columns have no value, bool (columns,)."""
        return np.isnan(self.position)

    def of_columns(self, columns: np.ndarray) -> Carried:
        """Return this one for some columns, bool (columns,), alone."""
        return Carried(*(np.where(columns, part, np.nan) for part in self))

    def or_else(self, farther: Carried) -> Carried:
        """Return this one, where it has no value the other."""
        known = ~self.unknown
        return Carried(np.where(known, self.value, farther.value), np.where(known, self.position, farther.position))


@dataclass(frozen=True)
class How:
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


def edges(rows: np.ndarray, positions: np.ndarray, inf: str) -> tuple[Carried, Carried]:
    """Return each column's first and last value in rows (rows, ...)."""
    if not len(rows):
        return Carried.none(rows.shape[1:]), Carried.none(rows.shape[1:])
    if all_finite(rows):
        return Carried.of(rows[0], positions[0]), Carried.of(rows[-1], positions[-1])
    held = ~holes(rows, inf)
    some = held.any(axis=0)
    nearest = held.argmax(axis=0), len(rows) - 1 - held[::-1].argmax(axis=0)
    first, last = (
        Carried(
            np.where(some, np.take_along_axis(rows, at[None], 0)[0].astype(np.float64), np.nan),
            np.where(some, positions[at], np.nan),
        )
        for at in nearest
    )
    return first, last


def filled(rows: np.ndarray, positions: np.ndarray, before: Carried, after: Carried, how: How) -> np.ndarray:
    """Return rows (rows, ...) with their gaps filled, the rows themselves where there are none.

    ``before`` and ``after`` are the nearest values outside.
    """
    if all_finite(rows):
        return rows
    flat = rows.reshape(len(rows), math.prod(rows.shape[1:]))
    out = flat.copy()
    sides = [Carried(*(part.reshape(-1) for part in side)) for side in (before, after)]
    width = max(1, _STRIP // max(len(rows), 1))
    for start in range(0, flat.shape[1], width):
        strip = slice(start, start + width)
        hole = holes(flat[:, strip], how.inf)
        columns = np.flatnonzero(hole.any(axis=0))
        if len(columns):
            near = [Carried(side.value[strip][columns], side.position[strip][columns]) for side in sides]
            values = out[:, start + columns]
            _fill(values, hole[:, columns], positions, near[0], near[1], how)
            out[:, start + columns] = values
    return out.reshape(rows.shape)


def _fill(
    values: np.ndarray, hole: np.ndarray, positions: np.ndarray, before: Carried, after: Carried, how: How
) -> None:
    row, column = np.nonzero(hole)
    low, low_at = _neighbour(values, hole, positions, before, row, column)
    backwards = slice(None, None, -1)
    last = len(values) - 1
    high, high_at = _neighbour(values[backwards], hole[backwards], positions[backwards], after, last - row, column)
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
        gap = np.where(no_high, how.last, high_at) - np.where(no_low, how.first, low_at)
        made = np.where(gap <= how.max_gap, made, np.nan)
    values[row, column] = made


def _neighbour(
    values: np.ndarray, hole: np.ndarray, positions: np.ndarray, outside: Carried, row: np.ndarray, column: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the value before each hole and its position."""
    nearest = np.maximum.accumulate(np.where(hole, -1, np.arange(len(hole))[:, None]), axis=0)[row, column]
    inside = nearest >= 0
    value = np.where(inside, values[nearest, column].astype(np.float64), outside.value[column])
    return value, np.where(inside, positions[nearest], outside.position[column])
