"""``ObservedCounts``: how often each column held a value."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


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
