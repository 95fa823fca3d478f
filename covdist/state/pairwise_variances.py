"""Moments of columns of which each has rows of its own, because missing values are left out one by one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from covdist.numerics.accumulator import Accumulator, Cost, Counted, Options
from covdist.numerics.columns import NO_EXPONENT, Columns, concatenate, counted_together, quantised_exponent, two_sum
from covdist.numerics.masked import MaskedSegments, Side
from covdist.numerics.present import ObservedCounts
from covdist.state.variances import Variances, tiles


class Shifts(NamedTuple):
    """What the merge of two sides does to matrices that go with them, per column and in the common scale."""

    shift_a: np.ndarray  # powers of two that bring each side to the common scale
    shift_b: np.ndarray
    step_a: np.ndarray  # from the old mean to the common one
    step_b: np.ndarray


class PairwiseVariances(NamedTuple):
    """The state behind ``var`` under ``missing="pairwise"``; ``columns.weight`` is that of all rows, holes or not."""

    columns: Columns
    seen: ObservedCounts

    @classmethod
    def empty(cls, width: int) -> PairwiseVariances:
        return cls(Columns.empty(width), ObservedCounts.empty(width))

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> Accumulator:
        holed = [
            (tile, MaskedSegments(segments, _lifted, _observed, cls.empty(tile.stop - tile.start), options))
            for tile, segments in tiles(width)
        ]
        return Accumulator([width], cls.cost(width).least_rows, holed, _finish, options)

    @classmethod
    def cost(cls, width: int) -> Cost:
        cost = Variances.cost(width)
        return cost._replace(state_bytes=cost.state_bytes + 16 * width)

    def merge(self, other: PairwiseVariances) -> PairwiseVariances:
        columns, seen, _ = combine(self, other)
        return PairwiseVariances(columns, seen)


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


def _lifted(clean: Variances, rows: int) -> PairwiseVariances:
    columns = clean.columns
    return PairwiseVariances(columns, ObservedCounts.all(columns.width, rows, columns.weight))


def _observed(sides: list[Side]) -> PairwiseVariances:
    return PairwiseVariances(sides[0].columns, sides[0].seen)


def _finish(counted: Counted, parts: list[PairwiseVariances]) -> PairwiseVariances:
    columns = concatenate([part.columns for part in parts])._replace(**counted.fields(0))
    rows, weights = zip(*(part.seen for part in parts), strict=True)
    return PairwiseVariances(columns, ObservedCounts(np.concatenate(rows), np.concatenate(weights)))
