"""``Variances``: the columns' moments alone; never anything columns × columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

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
        return Accumulator([width], _Squares(width), cls.empty(width), options)

    def merge(self, other: Variances) -> Variances:
        return Variances(self.columns.merge(other.columns))


class _Squares:
    def __init__(self, width: int):
        self._sums = np.zeros(width)

    def add(self, sides: Sequence[Deviations]) -> None:
        self._sums += np.einsum("ij,ij->j", sides[0].rows, sides[0].rows)

    def squares(self) -> Sequence[np.ndarray]:
        return [self._sums]

    def close(self, centres: Sequence[Centre], columns: Sequence[Columns]) -> Variances:
        self._sums = np.zeros_like(self._sums)
        return Variances(columns[0])
