"""Sums over rows, in an order that rows alone fix: the same bits on every processor, and in the compiled kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

_BLOCK = 256  # rows whose sum starts from zero: an entry of n rows is off by at most (256 + n / 256) roundings
_TOGETHER = 1 << 14  # values of narrow rows whose blocks are laid side by side, within the second cache


def column_sums(rows: np.ndarray, factors: np.ndarray | None = None) -> np.ndarray:
    """Return the sum of each column of ``rows``, float64 (rows, columns), or of ``rows * factors``."""
    return _sums(rows, [factors])[0]


def sums_and_squares(rows: np.ndarray, factors: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return what ``column_sums`` does, and the sum of each column's squares."""
    sums, squares = _sums(rows, [factors, rows])
    return sums, squares


def _sums(rows: np.ndarray, factors: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    height, width = rows.shape
    step = min(max(1, _TOGETHER // (_BLOCK * max(width, 1))) * _BLOCK, max(height, 1))
    found = np.zeros((len(factors), 1 - -height // _BLOCK, width))  # of each block, after a zero
    memory = np.empty((2, step * width))  # once: malloc returns much of it to the system each time it is freed
    for cut in _cuts(height, step):
        held, block = _side_by_side(rows[cut], memory[0]), 1 + cut.start // _BLOCK
        for sums, by in zip(found, factors, strict=True):
            products = held
            if by is not None:
                other = held if by is rows else _side_by_side(np.broadcast_to(by[cut], rows[cut].shape), memory[1])
                products = np.multiply(held, other, out=memory[1, : held.size].reshape(held.shape))
            blocks = _in_order(products).reshape(-1, width)
            sums[block : block + len(blocks)] = blocks
    return [np.add.accumulate(sums, axis=0)[-1] for sums in found]


def _cuts(height: int, step: int) -> Iterator[slice]:
    """Yield some whole blocks at a time, then the rows that are left."""
    whole = height // _BLOCK * _BLOCK
    for start in range(0, whole, step):
        yield slice(start, min(start + step, whole))
    if whole < height:
        yield slice(whole, height)


def _side_by_side(rows: np.ndarray, memory: np.ndarray) -> np.ndarray:
    """Return the blocks of narrow rows beside each other: NumPy's loops run along a row."""
    if len(rows) <= _BLOCK:
        return rows
    blocks = rows.reshape(-1, _BLOCK, rows.shape[1]).swapaxes(0, 1)
    held = memory[: rows.size].reshape(blocks.shape)
    np.copyto(held, blocks)
    return held.reshape(_BLOCK, -1)


def _in_order(rows: np.ndarray) -> np.ndarray:
    # A column by itself numpy would add up in pairs.
    return np.add.accumulate(rows, axis=0)[-1] if rows.shape[1] == 1 else np.add.reduce(rows, axis=0)


def sum_in_order(vector: np.ndarray) -> float:
    """Return the sum of a vector, one number after the other."""
    return float(np.add.accumulate(vector)[-1])
