"""Distance correlation of two columns in n log n steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covdist.numerics.shifted_columns import beyond_float64, high_part, less_mean, low_part

_PAIRS = 32  # points in a block whose pairs are summed one by one


class DistanceColumn(NamedTuple):
    """A column, scaled by a power of two and centred, with what its distances to itself sum to."""

    values: np.ndarray  # float64 (rows,), about 0 and within [-2, 2]
    order: np.ndarray  # that sorts them
    sums: np.ndarray  # of each value's distances to all values
    variance: float  # squared distance variance; 0 for a constant column

    @classmethod
    def of(cls, column: np.ndarray) -> DistanceColumn:
        values = _centred(_from_first(column))
        n, order = len(values), np.argsort(values, kind="stable")
        ordered, sums = values[order], np.empty(len(values))
        before = np.cumsum(ordered) - ordered
        sums[order] = ordered * (2.0 * np.arange(n) - n) + ordered.sum() - 2 * before
        variance = 2 * (values @ values) / n - 2 * (sums @ sums) / n**3 + (sums.sum() / n**2) ** 2
        return cls(values, order, sums, float(variance) if ordered[-1] > ordered[0] else 0.0)


def distance_correlation(x: DistanceColumn, y: DistanceColumn) -> float:
    """Return the distance correlation, of the V-statistics; NaN where a column is constant."""
    if not (x.variance > 0 and y.variance > 0):
        return np.nan
    if x is y:
        return 1.0
    n = len(x.values)
    # |a||b| over pairs with a before b in x's order: twice what rises in y too, less all.
    products = 4 * _rising(x.values[x.order], y.values[x.order]) - 2 * n * float(x.values @ y.values)
    covariance = products / n**2 - 2 * float(x.sums @ y.sums) / n**3 + x.sums.sum() / n**2 * (y.sums.sum() / n**2)
    ratio = max(covariance, 0.0) / np.sqrt(x.variance) / np.sqrt(y.variance)
    return float(np.sqrt(min(ratio, 1.0)))


def _from_first(column: np.ndarray) -> np.ndarray:
    """Return float64 values, of integers beyond float64 less the first one."""
    if not beyond_float64(column):
        return column.astype(np.float64)
    return less_mean(column, high_part(column[:1]), low_part(column[:1]))


def _centred(values: np.ndarray) -> np.ndarray:
    """Return values less their mean, scaled twice: whatever their magnitude, and however small their spread is."""
    for _ in range(2):
        values = np.ldexp(values, -int(np.frexp(abs(values).max(initial=0))[1]))
        values = values - values[:1]
    return values - values.mean()


def _rising(x: np.ndarray, y: np.ndarray) -> float:
    """Sum (x[i] - x[j]) (y[i] - y[j]) over all j < i with y[j] < y[i], for x that does not fall.

    As a merge sort from the top: rows in the order of y are dealt to the half of their block in which they stand, and
    what is dealt to the right has before it those of the left that are to be summed. Small blocks are summed as pairs.
    """
    n, size = len(x), max(_PAIRS, 1 << int(len(x) - 1).bit_length())
    place = np.concatenate([np.argsort(y, kind="stable"), np.arange(n, size)])
    points = np.pad(x + 1j * y, (0, size - n))  # both at once
    total, half, dealt = _of_pairs(points.reshape(-1, _PAIRS), n), size // 2, points[place]
    while half >= _PAIRS:
        to_right, blocks = (place & half) != 0, size // (2 * half)
        left_at, right_at = np.flatnonzero(~to_right), np.flatnonzero(to_right)
        left, right = dealt[left_at], dealt[right_at]
        # In each block the sums over the first of the left, from none on.
        before = right_at - np.arange(size // 2)
        count = before - np.repeat(half * np.arange(blocks), half)
        at = before + np.repeat(np.arange(blocks), half)
        sums, products = _sums(left, half).take(at), _sums(left.real * left.imag, half).take(at)
        terms = right.real * (right.imag * count - sums.imag) - right.imag * sums.real + products
        place_left, place = place[left_at], place[right_at]
        total += float(terms.sum() if n == size else terms[place < n].sum())
        place, dealt = _side_by_side(place_left, place, half), _side_by_side(left, right, half)
        half //= 2
    return total


def _of_pairs(blocks: np.ndarray, n: int) -> float:
    """Return the sum over pairs within a block; the last blocks have points beyond the first n."""
    total, real = 0.0, np.arange(blocks.size).reshape(blocks.shape) < n
    for step in range(1, blocks.shape[1]):
        rise = blocks[:, step:] - blocks[:, :-step]
        rise[~real[:, step:]] = 0
        total += float(np.vdot(rise.real, np.maximum(rise.imag, 0)))
    return total


def _sums(left: np.ndarray, half: int) -> np.ndarray:
    """Return, block by block, the sums of the first 0, 1, ... of the values."""
    found = np.zeros((len(left) // half, half + 1), left.dtype)
    np.cumsum(left.reshape(-1, half), axis=1, out=found[:, 1:])
    return found.ravel()


def _side_by_side(left: np.ndarray, right: np.ndarray, half: int) -> np.ndarray:
    return np.concatenate([left.reshape(-1, half), right.reshape(-1, half)], axis=1).ravel()
