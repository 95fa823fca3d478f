"""``ObservedCounts``: how often each column held a value, and moments of columns that each have rows of their own."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from covdist.numerics.columns import NO_EXPONENT, Columns, counted_together, quantised_exponent, two_sum


class ObservedCounts(NamedTuple):
    """Per column the rows that hold a value, those of weight zero left out, and their weight; shape (columns,)."""

    rows: np.ndarray  # int64
    weight: np.ndarray  # float64

    @classmethod
    def empty(cls, width: int) -> ObservedCounts:
        return cls(np.zeros(width, np.int64), np.zeros(width))

    @classmethod
    def all(cls, width: int, rows: int, weight: float) -> ObservedCounts:
        return cls(np.full(width, rows, np.int64), np.full(width, weight))

    def merge(self, other: ObservedCounts) -> ObservedCounts:
        return ObservedCounts(self.rows + other.rows, self.weight + other.weight)


class Shifts(NamedTuple):
    """How a merge changes the matrices that go with two states, per column and in the common scale."""

    shift_a: np.ndarray  # powers of two that bring each state to the common scale
    shift_b: np.ndarray
    step_a: np.ndarray  # from the old mean to the common one
    step_b: np.ndarray


Observed = tuple[Columns, ObservedCounts]  # each column has rows of its own; ``Columns.weight`` is that of all rows


def combine(a: Observed, b: Observed) -> tuple[Columns, ObservedCounts, Shifts | None]:
    """Merge column by column (Chan, Golub and LeVeque 1983); no shifts where one state carries no weight."""
    (x, seen_x), (y, seen_y) = a, b
    counted, seen = counted_together(x, y), seen_x.merge(seen_y)
    if x.weight == 0 or y.weight == 0:
        return (y if x.weight == 0 else x)._replace(**counted), seen, None
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity under missing="propagate"
        columns, shifts = _combined(x, seen_x.weight, y, seen_y.weight, counted)
    return columns, seen, shifts


def _combined(
    x: Columns, weight_x: np.ndarray, y: Columns, weight_y: np.ndarray, counted: dict[str, Any]
) -> tuple[Columns, Shifts]:
    weight, both = weight_x + weight_y, (weight_x > 0) & (weight_y > 0)
    difference, rest = two_sum(y.mean, -x.mean)
    delta = np.where(both, difference + (rest + (y.mean_low - x.mean_low)), 0.0)
    share_x, share_y = share(weight_x, weight), share(weight_y, weight)
    # From the heavier side the step is short, and so is its rounding.
    heavier = weight_x >= weight_y
    step = delta * np.where(heavier, share_y, -share_x)
    base, low = np.where(heavier, x.mean, y.mean), np.where(heavier, x.mean_low, y.mean_low)
    mean, mean_low = two_sum(base, low + step)
    live = [np.where(side.squares > 0, side.exponent, NO_EXPONENT) for side in (x, y)]
    exponent = np.maximum(np.maximum(*live), quantised_exponent(np.abs(delta)))
    exponent[exponent == NO_EXPONENT] = 0
    scaled, shift_x, shift_y = np.ldexp(delta, -exponent), x.exponent - exponent, y.exponent - exponent
    squares = np.ldexp(x.squares, 2 * shift_x) + np.ldexp(y.squares, 2 * shift_y)
    squares += weight_x * share_y * scaled**2
    columns = Columns(
        weight=x.weight + y.weight, mean=mean, mean_low=mean_low, squares=squares, exponent=exponent, **counted
    )
    return columns, Shifts(shift_x, shift_y, scaled * share_y, -scaled * share_x)


def share(part: np.ndarray | float, whole: np.ndarray) -> np.ndarray:
    """Return ``part / whole``, 0 where the whole is."""
    return np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)
