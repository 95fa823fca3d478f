"""The coordinates of rows, by calls whose rows all have the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from covdist.record.chunks import Chunk

MANY = 64  # of them had better be filled in, so that rows of which each is a call take little memory

# Coordinates of a call, and how many rows came with them: an entry, not an array of as many values as rows.
Run: TypeAlias = tuple[Mapping[str, np.ndarray], int]


def write_runs(runs: Sequence[Run], mark: str, chunk: Chunk, start: int) -> None:
    """Write one coordinate of all rows to its chunk, which is no frame, from a row on.

    At once, since for each run by itself NumPy would let other threads go on, and wait until it may itself.
    """
    counts = [count for _, count in runs]
    values = np.array([marks[mark] for marks, _ in runs], chunk.part(start, start).dtype)
    chunk.put(start, np.repeat(values, counts))
