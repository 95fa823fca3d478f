"""Keys by which a sample of rows is the same however these are cut, and the rows that have the smallest of them.

A key is a hash of a row's number and of its values: uniform where many rows are equal, as their numbers differ, and
independent where two logs number their rows alike, as their values differ.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_LOOKED_AT = 32  # columns whose values a key depends on: more would take longer than folding variances
_GOLDEN, _ALL = 0x9E3779B97F4A7C15, (1 << 64) - 1
NO_KEY = np.iinfo(np.int64).max  # of a place that no row fills


class KeptRows(NamedTuple):
    """Rows by ascending keys; those of equal keys in an order of their own, no two of them equal."""

    keys: np.ndarray  # int64 (rows,)
    values: np.ndarray  # float64 (rows, columns)
    weights: np.ndarray  # float64 (rows,)

    @classmethod
    def none(cls, width: int) -> KeptRows:
        return cls(np.empty(0, np.int64), np.empty((0, width)), np.empty(0))

    def smallest(self, most: int, seed: int) -> KeptRows:
        """Return so many rows, or all, of the smallest keys; rows that are equal, key and all, become one."""
        order = np.argsort(self.keys, kind="stable")
        keys = self.keys[order]
        weights, tied = self.weights[order], keys[1:] == keys[:-1]
        if tied.any():
            among = np.concatenate([[False], tied]) | np.concatenate([tied, [False]])
            content = np.zeros(len(keys), np.uint64)
            content[among] = _fingerprints(self.values[order[among]], seed + 1)
            again = np.lexsort((content, keys))
            order, weights, content = order[again], weights[again], content[again]
            new = np.concatenate([[True], (keys[1:] != keys[:-1]) | (content[1:] != content[:-1])])
            starts = np.flatnonzero(new)
            order, keys, weights = order[starts], keys[starts], np.add.reduceat(weights, starts)
        return KeptRows(keys[:most], self.values[order[:most]], weights[:most])


def joined(parts: list[KeptRows]) -> KeptRows:
    keys, values, weights = zip(*parts, strict=True)
    return KeptRows(np.concatenate(keys), np.concatenate(values), np.concatenate(weights))


def row_keys(values: np.ndarray, numbers: np.ndarray | None, seed: int) -> np.ndarray:
    """Return the keys, int64 (rows,), of rows; where they have no numbers, equal rows have equal keys."""
    width = values.shape[1]
    some = values if width <= _LOOKED_AT else values[:, np.linspace(0, width - 1, _LOOKED_AT).astype(int)]
    own = np.zeros(len(values), np.uint64) if numbers is None else numbers.astype(np.uint64)
    places = _mixed(own + _start(seed))
    return _mixed(_fingerprints(some, seed) + places).view(np.int64)


def _fingerprints(values: np.ndarray, seed: int) -> np.ndarray:
    """Return for each row the sum of its values' bits times odd numbers of their columns, (rows,)."""
    bits = np.ascontiguousarray(values, np.float64).view(np.uint64)
    bits = bits ^ (bits >> np.uint64(32))  # the low bits of round numbers are 0, and would stay 0
    odd = _mixed(np.arange(bits.shape[1], dtype=np.uint64) + _start(seed)) | np.uint64(1)
    return np.asarray((bits * odd).sum(axis=1, dtype=np.uint64))


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Return the finaliser of SplitMix64 (Steele, Lea and Flood 2014) of each number."""
    found = numbers + np.uint64(_GOLDEN)
    found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(found ^ (found >> np.uint64(31)))


def _start(seed: int) -> np.uint64:
    return np.uint64(seed * _GOLDEN & _ALL)
