"""``Variances``: the columns' moments alone; never anything columns × columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from covdist.state.accumulator import Accumulator, Options
from covdist.state.centre import Centre, Deviations
from covdist.state.columns import Columns


class Variances(NamedTuple):
    """The state behind ``var`` and ``gradient_stats``."""

    columns: Columns

    @classmethod
    def empty(cls, width: int) -> Variances:
        return cls(Columns.empty(width))

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> Accumulator:
        return Accumulator([width], _Nothing(), cls.empty(width), options)

    def merge(self, other: Variances) -> Variances:
        return Variances(self.columns.merge(other.columns))


class _Nothing:
    """No products beyond the squares that every column keeps."""

    def add(self, sides: Sequence[Deviations]) -> None:
        pass

    def close(self, centres: Sequence[Centre], columns: Sequence[Columns]) -> Variances:
        return Variances(columns[0])
