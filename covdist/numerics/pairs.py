"""``Pairs``: what every pair of columns has in the rows that hold both, and how it merges."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covdist.numerics.masked import Side
from covdist.numerics.present import Shifts

_STRIP = 1 << 16  # entries merged together: their temporaries stay within the cache


class PairMarginals(NamedTuple):
    """Of one side's columns, over the rows that a pair holds; float64 (columns of x, columns of y)."""

    offset: np.ndarray  # mean, less the column's own, times 2**-exponent
    squares: np.ndarray  # centred sum of squares, times 4**-exponent

    @property
    def turned(self) -> PairMarginals:
        """The same seen from the other side."""
        return PairMarginals(self.offset.T, self.squares.T)


class Pairs(NamedTuple):
    """Per pair, over the rows that hold both; (columns of x, columns of y)."""

    rows: np.ndarray  # int64
    weight: np.ndarray  # float64
    scatter: np.ndarray  # float64, centred, times 2**-(exponent x[i] + exponent y[j])

    @classmethod
    def empty(cls, width: int, width_y: int) -> Pairs:
        shape = width, width_y
        return cls(np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape))

    @classmethod
    def all(cls, rows: int, weight: float, scatter: np.ndarray) -> Pairs:
        """Return the pairs of rows without a hole."""
        return cls(np.full(scatter.shape, rows, np.int64), np.full(scatter.shape, weight), scatter)


def half(squares: np.ndarray, width_y: int) -> PairMarginals:
    """Return a column's half where all rows hold all pairs."""
    every = np.repeat(squares[:, None], width_y, axis=1)
    return PairMarginals(np.zeros(every.shape), every)


def pairs_of(x: Side, y: Side) -> tuple[Pairs, PairMarginals]:
    """Return the pairs of a block with holes and the half of x, by the products of deviations and masks.

    With W the masks and X the deviations, zero in holes: N = WᵀW, P = XᵀW, Q = (X∘X)ᵀW, G = XᵀX; the pairs' means are
    P / N, so that their scatter is G - P Pᵀ / N. Symmetric where the sides are one: numpy then calls ``syrk``.
    """
    rows = (x.mask.T @ y.mask).astype(np.int64)
    weight = rows.astype(np.float64) if x.weighted is x.mask else x.weighted.T @ y.mask
    sums = x.rows.T @ y.roots
    sums_y = sums.T if x is y else x.roots.T @ y.rows
    if x is y:  # gemm rounds the two triangles apart
        weight = (weight + weight.T) / 2
    share = np.divide(1.0, weight, out=np.zeros(weight.shape), where=weight > 0)
    scatter = x.rows.T @ y.rows
    scatter -= sums * sums_y * share
    return Pairs(rows, weight, scatter), _half(x, y, sums, share)


def half_of(x: Side, y: Side, pairs: Pairs) -> PairMarginals:
    """Return the half of x alone."""
    share = np.divide(1.0, pairs.weight, out=np.zeros(pairs.weight.shape), where=pairs.weight > 0)
    return _half(x, y, x.rows.T @ y.roots, share)


def _half(x: Side, y: Side, sums: np.ndarray, share: np.ndarray) -> PairMarginals:
    squares = (x.rows * x.rows).T @ y.mask
    squares -= sums * sums * share
    offset = sums * share
    offset -= x.centre[:, None]
    offset[share == 0] = 0.0
    return PairMarginals(offset, np.maximum(squares, 0.0))


def merge(
    a: Pairs,
    b: Pairs,
    x: tuple[PairMarginals, PairMarginals, Shifts],
    y: tuple[PairMarginals, PairMarginals, Shifts] | None,
) -> tuple[Pairs, PairMarginals, PairMarginals | None]:
    """Merge pairs and halves pair by pair (Chan, Golub and LeVeque 1983), some rows of the matrices at a time.

    ``x`` and ``y`` are each side's halves of ``a`` and ``b``; without ``y`` the matrices are of x with itself.
    """
    shape = a.rows.shape
    weight, scatter = np.empty(shape), np.empty(shape)
    left = PairMarginals(np.empty(shape), np.empty(shape))
    right = None if y is None else PairMarginals(np.empty(shape), np.empty(shape))
    other = (x[0].turned, x[1].turned, x[2]) if y is None else y
    height = max(1, _STRIP // max(shape[1], 1))
    for start in range(0, shape[0], height):
        cut = slice(start, start + height)
        wa, wb = a.weight[cut], b.weight[cut]
        total = weight[cut] = wa + wb
        shares = [np.divide(each, total, out=np.zeros(total.shape), where=total > 0) for each in (wa, wb)]
        factor, both = wa * shares[1], (wa > 0) & (wb > 0)
        down, across = [each[cut, None] for each in x[2]], [each[None, :] for each in other[2]]
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity under missing="propagate"
            delta = _half_merged(x, down, cut, shares, both, factor, left)
            delta_y = _half_merged(other, across, cut, shares, both, factor, right)
            made = np.ldexp(np.ldexp(a.scatter[cut], down[0]), across[0])
            made += np.ldexp(np.ldexp(b.scatter[cut], down[1]), across[1])
            made += factor * (delta * delta_y)
        scatter[cut] = made
    return Pairs(a.rows + b.rows, weight, scatter), left, right


def _half_merged(
    halves: tuple[PairMarginals, PairMarginals, Shifts],
    shifts: list[np.ndarray],
    cut: slice,
    shares: list[np.ndarray],
    both: np.ndarray,
    factor: np.ndarray,
    out: PairMarginals | None,
) -> np.ndarray:
    """Merge rows of one side's half into ``out``, if there is one, and return the differences of the pairs' means."""
    a, b, _ = halves
    shift_a, shift_b, step_a, step_b = shifts
    mine, its = np.ldexp(a.offset[cut], shift_a) - step_a, np.ldexp(b.offset[cut], shift_b) - step_b
    delta = np.where(both, its - mine, 0.0)
    if out is not None:
        # From the heavier mean: the other's share of it may lie far below its last digit.
        share_a, share_b = shares
        out.offset[cut] = np.where(share_b > 0.5, its - delta * share_a, mine + delta * share_b)
        squares = np.ldexp(a.squares[cut], 2 * shift_a) + np.ldexp(b.squares[cut], 2 * shift_b)
        out.squares[cut] = squares + factor * delta**2
    return delta
