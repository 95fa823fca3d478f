"""``ObservedCounts``: how often each column held a value."""

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
    """What the merge of two sides does to matrices that go with them, per column and in the common scale."""

    shift_a: np.ndarray  # powers of two that bring each side to the common scale
    shift_b: np.ndarray
    step_a: np.ndarray  # from the old mean to the common one
    step_b: np.ndarray


def combine(a: Any, b: Any) -> tuple[Columns, ObservedCounts, Shifts | None]:
    """Merge two sides, each of ``columns`` and ``seen``, column by column (Chan, Golub and LeVeque 1983).

    No steps where one side carries no weight.
    """
    (x, seen_x), (y, seen_y) = (a.columns, a.seen), (b.columns, b.seen)
    counted = counted_together(x, y)
    if x.weight == 0 or y.weight == 0:
        return (y if x.weight == 0 else x)._replace(**counted), seen_x.merge(seen_y), None
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity under missing="propagate"
        return _combined(x, seen_x, y, seen_y, counted)


def _combined(
    x: Columns, seen_x: ObservedCounts, y: Columns, seen_y: ObservedCounts, counted: dict[str, Any]
) -> tuple[Columns, ObservedCounts, Shifts]:
    weight, both = seen_x.weight + seen_y.weight, (seen_x.weight > 0) & (seen_y.weight > 0)
    difference, rest = two_sum(y.mean, -x.mean)
    delta = np.where(both, difference + (rest + (y.mean_low - x.mean_low)), 0.0)
    share_x, share_y = (_share(seen.weight, weight) for seen in (seen_x, seen_y))
    # From the heavier side the step is short, and so is its rounding.
    first = seen_x.weight >= seen_y.weight
    step = delta * np.where(first, share_y, -share_x)
    base, low = np.where(first, x.mean, y.mean), np.where(first, x.mean_low, y.mean_low)
    mean, mean_low = two_sum(base, low + step)
    live = [np.where(side.squares > 0, side.exponent, NO_EXPONENT) for side in (x, y)]
    exponent = np.maximum(np.maximum(*live), quantised_exponent(np.abs(delta)))
    exponent[exponent == NO_EXPONENT] = 0
    scaled, shift_x, shift_y = np.ldexp(delta, -exponent), x.exponent - exponent, y.exponent - exponent
    squares = np.ldexp(x.squares, 2 * shift_x) + np.ldexp(y.squares, 2 * shift_y)
    squares += seen_x.weight * share_y * scaled**2
    columns = Columns(
        weight=x.weight + y.weight, mean=mean, mean_low=mean_low, squares=squares, exponent=exponent, **counted
    )
    return columns, seen_x.merge(seen_y), Shifts(shift_x, shift_y, scaled * share_y, -scaled * share_x)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
