"""``Variances``: the columns' moments alone; never anything columns × columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from covdist.numerics.accumulator import COLUMN_BYTES, COLUMN_FLOPS, Accumulator, Cost, Counted, Options
from covdist.numerics.columns import Columns, concatenate
from covdist.numerics.screening import TILE, TILE_COLUMNS
from covdist.numerics.segments import Segments
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns
from covdist.state.scatter import LEAST_ROWS

# Up to this many columns a full state of the same rows may hold these results too: blocks are cut alike, so that
# the bits are the same.
CONTAINED_COLUMNS = 4096
_LEAST_ROWS_WIDE = TILE // TILE_COLUMNS  # rows that share what a block costs per column


class Variances(NamedTuple):
    """The state behind ``var`` and ``gradient_stats``."""

    columns: Columns

    @classmethod
    def empty(cls, width: int) -> Variances:
        return cls(Columns.empty(width))

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> Accumulator:
        return Accumulator([width], cls.cost(width).least_rows, tiles(width), _finish, options)

    @classmethod
    def cost(cls, width: int) -> Cost:
        least_rows = LEAST_ROWS if width <= CONTAINED_COLUMNS else _LEAST_ROWS_WIDE
        return Cost(COLUMN_BYTES * width, COLUMN_FLOPS * width, least_rows, min(width, TILE_COLUMNS))

    def merge(self, other: Variances) -> Variances:
        return Variances(self.columns.merge(other.columns))


def tiles(width: int) -> list[tuple[slice, Segments]]:
    """Return what folds which columns, no more of them at once than a block's rows can share a cache with."""
    made = []
    for start in range(0, max(width, 1), TILE_COLUMNS):
        tile = slice(start, min(start + TILE_COLUMNS, width))
        size = tile.stop - start
        made.append((tile, Segments([size], _Nothing(), Variances.empty(size))))
    return made


def _finish(counted: Counted, tiles: list[Variances]) -> Variances:
    columns = concatenate([tile.columns for tile in tiles])
    return Variances(columns._replace(**counted.fields(0)))


class _Nothing:
    """No products beyond the squares that every column keeps."""

    def add(self, sides: Sequence[Deviations]) -> None:
        pass

    def close(self, centres: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Variances:
        return Variances(columns[0])
