"""Ranks of a column, exact or from a sample, as whole numbers about zero: a correlation does not see the scale."""

from __future__ import annotations

import numpy as np

_WHOLE = 1 << 24  # whole numbers up to here are exact in float32


def ranks_dtype(rows: int) -> np.dtype:
    """Return the smallest float that holds twice the ranks of so many rows exactly."""
    return np.dtype(np.float32 if rows <= _WHOLE else np.float64)


def doubled_ranks(values: np.ndarray, codes: np.ndarray | None = None) -> np.ndarray:
    """Return 2 r - (n + 1) for the rank r of each value, int64; equal values share the mean of their ranks.

    With ``codes``, one a value, r and n are those within the group.
    """
    if not len(values):
        return np.zeros(0, np.int64)
    order = np.argsort(values) if codes is None else np.lexsort((values, codes))
    ordered = values[order]
    new, edges = ordered[1:] != ordered[:-1], np.array([0, len(values)])
    if codes is not None:
        other = np.diff(codes[order]) != 0
        new, edges = new | other, np.concatenate([[0], np.flatnonzero(other) + 1, [len(values)]])
    starts = np.concatenate([[0], np.flatnonzero(new) + 1])
    stops = np.append(starts[1:], len(values))
    group = np.searchsorted(edges, starts, side="right") - 1
    found = np.empty(len(values), np.int64)
    found[order] = np.repeat(starts + stops - edges[group] - edges[group + 1], stops - starts)
    return found


def estimated_ranks(values: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """Return how many of a sorted sample lie below each value less how many lie above it, int64.

    Where the sample is all of the values, those are ``doubled_ranks``.
    """
    below, up_to = (np.searchsorted(sample, values, side=side) for side in ("left", "right"))
    return np.asarray(below + up_to - len(sample))
