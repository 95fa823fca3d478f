"""``PatternTable``: the rows of each pattern of holes as their weight, mean and scatter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class PatternTable(NamedTuple):
    """Patterns, one a row: which columns they hold, and the moments of what they hold, times 2**-exponent."""

    held: np.ndarray  # bool (patterns, columns)
    weight: np.ndarray  # (patterns,)
    mean: np.ndarray  # (patterns, columns), less the origin; 0 in holes
    scatter: np.ndarray  # (patterns, columns, columns), centred; 0 in holes

    @classmethod
    def empty(cls, width: int) -> PatternTable:
        return cls(np.zeros((0, width), bool), np.zeros(0), np.zeros((0, width)), np.zeros((0, width, width)))

    def columns(self, chosen: np.ndarray) -> PatternTable:
        """Return the table of some columns, bool (columns,), without the patterns that hold none of them."""
        kept = self.held[:, chosen].any(axis=1)
        scatter = self.scatter[kept][:, chosen][:, :, chosen]
        return PatternTable(self.held[kept][:, chosen], self.weight[kept], self.mean[kept][:, chosen], scatter)

    def moved(self, shift: np.ndarray, step: np.ndarray) -> PatternTable:
        """Return the same in other powers of two, and for an origin that lies ``step`` lower then."""
        mean, scatter = self.mean, self.scatter
        if shift.any():
            mean, scatter = np.ldexp(mean, shift), np.ldexp(np.ldexp(scatter, shift[:, None]), shift)
        return self._replace(mean=np.where(self.held, mean + step, 0.0), scatter=scatter)

    def merge(self, other: PatternTable) -> PatternTable:
        """Merge equal patterns (Chan, Golub and LeVeque 1983)."""
        if not (len(self.held) and len(other.held)):
            return self if len(self.held) else other
        held, pattern = distinct(np.concatenate([self.held, other.held]))
        count, width = held.shape
        ours, theirs = pattern[: len(self.held)], pattern[len(self.held) :]
        weight, mean, scatter = np.zeros(count), np.zeros((count, width)), np.zeros((count, width, width))
        weight[ours], mean[ours], scatter[ours] = self.weight, self.mean, self.scatter
        before = weight[theirs]
        total = before + other.weight
        share = np.divide(other.weight, total, out=np.zeros(len(total)), where=total > 0)
        delta = np.where((before > 0)[:, None], other.mean - mean[theirs], 0.0)
        scatter[theirs] += other.scatter + (before * share)[:, None, None] * (delta[:, :, None] * delta[:, None, :])
        mean[theirs] = np.where((before > 0)[:, None], mean[theirs] + delta * share[:, None], other.mean)
        weight[theirs] = total
        return PatternTable(held, weight, mean, scatter)


def distinct(present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different rows of a bool array, and for each row the index of its pattern among them."""
    bits = np.packbits(present, axis=1)
    padded = np.zeros((len(bits), max(8, bits.shape[1])), np.uint8)
    padded[:, : bits.shape[1]] = bits
    keys = padded.view(np.uint64 if padded.shape[1] == 8 else f"V{padded.shape[1]}").ravel()
    _, first, pattern = np.unique(keys, return_index=True, return_inverse=True)
    return present[first], pattern
