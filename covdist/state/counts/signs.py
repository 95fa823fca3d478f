"""``Signs``: how many values of each column are positive and negative, beside its moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from covdist.kernel.sums import column_sums
from covdist.kernel.workspace import Workspace
from covdist.numerics.accumulator import Cost, Counted, Options, RowsAccumulator
from covdist.numerics.columns import Columns
from covdist.numerics.segments import BlockFold, Blocks
from covdist.numerics.weights import Vector, in_unit
from covdist.state.base import WEIGHTS, Field, Fields, column_fields, in_one_unit
from covdist.state.variances import Variances, side_by_side, tiles


class _SignsFields(NamedTuple):
    columns: Columns
    positive: np.ndarray  # float64 (columns,): weight of the rows, exactly how many where they have none
    negative: np.ndarray


class Signs(_SignsFields):
    """The state behind ``sign_agreement``."""

    __slots__ = ()
    name = "signs"
    sides = 1
    ordered = False
    FIELDS: ClassVar[Fields] = {
        **column_fields(),
        "positive": Field("positive", (0,), extensive=1, **WEIGHTS),
        "negative": Field("negative", (0,), extensive=1, **WEIGHTS),
    }

    @classmethod
    def empty(cls, width: int) -> Signs:
        return cls(Columns.empty(width), np.zeros(width), np.zeros(width))

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> RowsAccumulator:
        folds: list[tuple[slice, BlockFold]] = [*tiles(width), (slice(None), _Counting(width))]
        return RowsAccumulator([width], cls.cost(width).least_rows, folds, _finish, options)

    @classmethod
    def cost(cls, width: int) -> Cost:
        cost = Variances.cost(width)
        return cost._replace(state_bytes=cost.state_bytes + 16 * width, row_flops=cost.row_flops + 4 * width)

    def merge(self, other: Signs) -> Signs:
        self, other = in_one_unit(self, other)
        columns = self.columns.merge(other.columns)  # refuses other widths
        return Signs(columns, self.positive + other.positive, self.negative + other.negative)

    def side(self, number: int) -> Variances:
        return Variances(self.columns)

    def sign_agreement(self) -> np.ndarray:
        """Return the share of rows with the sign of the mean, NaN where that is not finite, or all rows are zero."""
        weight, mean = self.columns.weight, self.side(0).mean()
        neither = np.maximum(weight - self.positive - self.negative, 0)
        agreeing = np.where(mean > 0, self.positive, np.where(mean < 0, self.negative, neither))
        known = np.isfinite(mean) & (self.positive + self.negative > 0)
        shares = np.divide(agreeing, weight, out=np.full(len(mean), np.nan), where=known)
        return np.minimum(shares, 1)  # sums of weights are rounded

    def layer_sign_agreement(self) -> np.ndarray:
        """Return the mean of the shares of columns that are not all zero, NaN where there are none."""
        some = ~np.isfinite(self.columns.mean) | (self.positive + self.negative > 0)
        shares = self.sign_agreement()[some]
        return np.asarray(shares.mean() if len(shares) else np.nan)


class _Counting:
    """Takes clean blocks of rows from the accumulator."""

    def __init__(self, width: int):
        self._counts, self._unit = np.zeros((2, width)), 0

    def add(self, blocks: Blocks, weights: Vector, extreme: Sequence[bool], workspace: Workspace) -> None:
        (block,) = blocks
        weights, unit = in_unit(weights)
        signs = block > 0, block < 0
        if weights is None:
            found = np.array([sign.sum(axis=0) for sign in signs], np.float64)
        else:
            found = np.array([column_sums(sign.astype(np.float64), weights[:, None]) for sign in signs])
        common = max(unit, self._unit) if self._counts.any() else unit
        self._counts = np.ldexp(self._counts, self._unit - common) + np.ldexp(found, unit - common)
        self._unit = common

    def state(self) -> tuple[np.ndarray, int]:
        return self._counts, self._unit


def _finish(counted: Counted, states: list[Any]) -> Signs:
    *moments, (counts, unit) = states
    columns = counted.into(side_by_side(moments).columns)
    positive, negative = np.ldexp(counts, unit - columns.weight_unit)
    return Signs(columns, positive, negative)
