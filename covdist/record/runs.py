"""``MarkRuns``: the coordinates of rows, by calls whose rows all have the same."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_MANY = 64  # calls, so that rows of which each is a call take little memory


class MarkRuns:
    """How many rows came with which coordinates: a step takes one entry, not an array of as many values as rows."""

    def __init__(self) -> None:
        self.rows = 0
        self._runs: list[tuple[Mapping[str, np.ndarray], int]] = []

    @property
    def are_many(self) -> bool:
        """Return whether they had better be filled in."""
        return len(self._runs) >= _MANY

    def add(self, marks: Mapping[str, np.ndarray], count: int) -> None:
        """Take the coordinates of the next rows."""
        self._runs.append((marks, count))
        self.rows += count

    def fill(self, memory: np.ndarray, mark: str) -> None:
        """Write one coordinate of all rows."""
        start = 0
        for marks, count in self._runs:
            memory[start : start + count] = marks[mark]
            start += count
