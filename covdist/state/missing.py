"""What to do with rows that hold NaN or infinity: one function per policy.

A policy looks at the blocks of one stretch of rows (``x`` alone, or ``x`` and ``y``) and returns the rows to
keep, or None for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from covdist.errors import NonFiniteError

Policy = Callable[[Sequence[np.ndarray]], np.ndarray | None]


def refuse(blocks: Sequence[np.ndarray]) -> np.ndarray | None:
    """Raise, naming the first bad row and column."""
    bad = [~np.isfinite(block) for block in blocks]
    first = [int(np.argmax(mask.any(axis=1))) if mask.any() else len(mask) for mask in bad]
    side = int(np.argmin(first))
    row = first[side]
    column = int(np.argmax(bad[side][row]))
    value = blocks[side][row, column]
    raise NonFiniteError(f"{value}", row=row, column=column, amount=sum(int(m.sum()) for m in bad), side=side)


def propagate(blocks: Sequence[np.ndarray]) -> np.ndarray | None:
    """Let NaN and infinity run into every result of their column."""
    return None


def drop(blocks: Sequence[np.ndarray]) -> np.ndarray | None:
    """Leave out each row with a hole in any column of any block."""
    keep = np.ones(len(blocks[0]), bool)
    for block in blocks:
        keep &= np.isfinite(block).all(axis=1)
    return keep


POLICIES: dict[str, Policy] = {"raise": refuse, "propagate": propagate, "drop": drop}
