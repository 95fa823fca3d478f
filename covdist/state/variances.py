"""``Variances``: the moments of single columns; never anything columns × columns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np

from covdist.kernel.library import NONE
from covdist.limits import limits
from covdist.numerics import columns as moments
from covdist.numerics.accumulator import COLUMN_BYTES, COLUMN_FLOPS, Cost, Counted, Options, RowsAccumulator
from covdist.numerics.columns import Columns, concatenate, divisor
from covdist.numerics.ordinary import fold_side_by_side
from covdist.numerics.screening import TILE, TILE_COLUMNS
from covdist.numerics.segments import OpenProduct, Segments
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns
from covdist.state.base import Fields, column_fields

LEAST_ROWS = 256  # fewer make the inner dimension of products too short: 128 rows cost 5 % at 1024 columns
_LEAST_ROWS_WIDE = TILE // TILE_COLUMNS  # rows that share what a block costs per column


class _VariancesFields(NamedTuple):
    columns: Columns


class Variances(_VariancesFields):
    """Count, mean and centred squares of each column: the state behind ``var`` and ``gradient_stats``."""

    __slots__ = ()
    name = "variances"
    sides = 1
    ordered = False
    STACKABLE = True
    FIELDS: ClassVar[Fields] = column_fields()

    @classmethod
    def empty(cls, width: int) -> Variances:
        return cls(Columns.empty(width))

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> RowsAccumulator:
        return RowsAccumulator([width], cls.cost(width).least_rows, tiles(width), _finish, options)

    @classmethod
    def product(cls, width: int, options: Options) -> _Squares:
        return _Squares()

    @classmethod
    def cost(cls, width: int) -> Cost:
        # Blocks are cut as those of a full state of the same rows, which may hold these results, bit for bit.
        least_rows = LEAST_ROWS if width <= limits().derived_columns else _LEAST_ROWS_WIDE
        return Cost(COLUMN_BYTES * width, COLUMN_FLOPS * width, least_rows, min(width, TILE_COLUMNS))

    @classmethod
    def of_stack(cls, block: np.ndarray, precision: str) -> tuple[Variances, np.ndarray] | None:
        """Return the stack of arrays (rows, arrays, columns), and which of it is right; None where none is."""
        if (found := fold_side_by_side(block, NONE)) is None:
            return None
        return cls(found.columns), found.ordinary

    def merge(self, other: Variances) -> Variances:
        return Variances(self.columns.merge(other.columns))

    def side(self, number: int) -> Variances:
        return self

    def rows(self) -> np.ndarray:
        return np.full(self.columns.width, self.columns.rows, np.int64)

    def zeros(self) -> np.ndarray:
        return self.columns.census.zeros

    def mean(self) -> np.ndarray:
        return moments.mean(self.columns, self.columns.weight)

    def mean_low(self) -> np.ndarray:
        return moments.mean_low(self.columns)

    def variance(self, ddof: float) -> np.ndarray:
        return moments.variance(self.columns, divisor(self.columns, ddof))

    def deviation(self, ddof: float) -> np.ndarray:
        return moments.deviation(self.columns, divisor(self.columns, ddof))


class Tiled(Variances):
    """Those of a matrix too large for a state: a sum is refused, as the tiles beside it would not add up."""

    __slots__ = ()
    name = "tiles"
    BESIDE_MATRIX = True

    def side(self, number: int) -> Variances:
        return Variances(self.columns)


def side_by_side(states: Sequence[Variances]) -> Variances:
    """Return the state of all columns of states of the same rows."""
    return Variances(concatenate([state.columns for state in states]))


def tiles(width: int) -> list[tuple[slice, Segments]]:
    """Return ranges of columns and what folds them, each narrow enough that a block's rows stay in the cache."""
    folds = []
    for start in range(0, max(width, 1), TILE_COLUMNS):
        size = min(TILE_COLUMNS, width - start)
        folds.append((slice(start, start + size), Segments([size], _Squares(), partial(Variances.empty, size))))
    return folds


def _finish(counted: Counted, states: list[Variances]) -> Variances:
    return Variances(counted.into(side_by_side(states).columns))


class _Squares:
    def add(self, sides: Sequence[Deviations]) -> None:
        """Add nothing: every column keeps its squares."""

    def open(self) -> OpenProduct:
        return OpenProduct(NONE, np.empty(0))

    def close(self, shifted: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Variances:
        return Variances(columns[0])
