"""``SideBySide``: folds x and y as the columns of one block."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from covdist.errors import NonFiniteError
from covdist.rows.fold import AnyAccumulator


class SideBySide:
    """An accumulator of one block, fed with one block a side."""

    def __init__(self, accumulator: AnyAccumulator, *widths: int):
        self._inner, self.least_rows = accumulator, accumulator.least_rows
        self._starts = [0, *accumulate(widths)]

    def add(self, *blocks: np.ndarray, **vectors: np.ndarray | None) -> None:
        try:
            self._inner.add(np.concatenate(blocks, axis=1), **vectors)
        except NonFiniteError as error:
            error.side = int(np.searchsorted(self._starts, error.column, side="right")) - 1
            error.column -= self._starts[error.side]
            raise

    def state(self) -> object:
        """Return the state of the columns of all sides."""
        return self._inner.state()
