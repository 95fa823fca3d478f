"""``SideBySide``: an accumulator of one block of rows that takes several of the same rows, one a side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from covdist.errors import NonFiniteError

_TOGETHER = 1 << 18  # values that are joined at once, and so are still in the cache when they are folded


class SideBySide:
    """Passes on blocks joined to one; an error about a column names the side."""

    def __init__(self, inner: Any, widths: Sequence[int]):
        self._inner, self._starts = inner, [0, *accumulate(widths)]
        self.least_rows, self.state = inner.least_rows, inner.state

    def add(self, *blocks: np.ndarray, **vectors: np.ndarray | None) -> None:
        height = max(self.least_rows, _TOGETHER // max(self._starts[-1], 1))
        for start in range(0, len(blocks[0]), height):
            rows = slice(start, start + height)
            joined = np.concatenate([block[rows] for block in blocks], axis=1)
            self._add(joined, {name: each if each is None else each[rows] for name, each in vectors.items()})

    def _add(self, joined: np.ndarray, vectors: dict[str, np.ndarray | None]) -> None:
        try:
            self._inner.add(joined, **vectors)
        except NonFiniteError as error:
            error.side = int(np.searchsorted(self._starts, error.column, side="right")) - 1
            error.column -= self._starts[error.side]
            raise
