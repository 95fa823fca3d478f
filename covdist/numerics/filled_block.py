"""``FilledBlock``: rows whose missing values have been filled, with the rows as they were."""

from __future__ import annotations

from typing import Any

import numpy as np


class FilledBlock:
    """Two arrays (rows, columns) that are cut together: what is folded, and what is counted."""

    ndim = 2

    def __init__(self, rows: np.ndarray, before: np.ndarray):
        self.rows, self.before = rows, before

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> FilledBlock:
        return FilledBlock(self.rows[index], self.before[index])


Block = np.ndarray | FilledBlock


def rows_of(block: Block) -> np.ndarray:
    """Return the rows as they are folded."""
    return block.rows if isinstance(block, FilledBlock) else block
