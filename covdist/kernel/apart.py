"""``Apart``: arrays whose columns do not lie side by side, such as channels before positions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covdist.kernel import copies
from covdist.kernel.library import own_address, place

_TILE_BYTES, _LEAST = 1 << 23, 32  # as many arrays as stay in the last cache, but whole cache lines, in pairs


class Apart(NamedTuple):
    """Arrays (rows, arrays, columns); a few at a time are copied to where each one's columns lie side by side."""

    block: np.ndarray

    @property
    def array_bytes(self) -> int:
        return self.block[:, 0].nbytes

    @property
    def together(self) -> int:
        """Return how many arrays are copied at a time."""
        return min(self.block.shape[1], max(_LEAST, _TILE_BYTES // self.array_bytes // _LEAST * _LEAST))

    def copied(self, some: slice, memory: np.ndarray) -> tuple[np.ndarray, int]:
        """Copy some arrays; return the addresses of their first rows, and how many bytes lie from row to row."""
        part, to = self.block[:, some], own_address(memory)
        (rows, count, width), item = part.shape, part.itemsize
        copies.run([copies.Transfer(to, place(part), item, rows, count, width, *part.strides)])
        return to + np.arange(count, dtype=np.uint64) * np.uint64(width * item), count * width * item
