"""``Pairs``: counts and scatter of every pair of columns over the rows that hold both, and how they merge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covdist.numerics.masked import Side
from covdist.numerics.present import Shifts, share

_STRIP = 1 << 16  # entries merged together: their temporaries stay within the cache


class PairMarginals(NamedTuple):
    """Of one side's columns, over the rows that a pair holds; float64 (columns of x, columns of y)."""

    offset: np.ndarray  # mean, less the column's own, times 2**-exponent
    squares: np.ndarray  # centred sum of squares, times 4**-exponent

    @classmethod
    def all(cls, squares: np.ndarray, width_y: int) -> PairMarginals:
        """Return those of columns without a hole, of which ``squares`` are the columns' own."""
        every = np.repeat(squares[:, None], width_y, axis=1)
        return cls(np.zeros(every.shape), every)

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


def pairs_of(x: Side, y: Side) -> tuple[Pairs, PairMarginals]:
    """Return the pairs of a block with holes and the marginals of x, by the products of deviations and masks.

    With W the masks and X the deviations, zero in holes: N = WᵀW, P = XᵀW, Q = (X∘X)ᵀW, G = XᵀX; the pairs' means are
    P / N, so that their scatter is G - P Pᵀ / N. Symmetric where the sides are one: numpy then calls ``syrk``.
    """
    rows = (x.mask.T @ y.mask).astype(np.int64)
    weight = rows.astype(np.float64) if x.weighted is x.mask else x.weighted.T @ y.mask
    sums = x.rows.T @ y.roots
    sums_y = sums.T if x is y else x.roots.T @ y.rows
    if x is y:  # gemm rounds the two triangles apart
        weight = (weight + weight.T) / 2
    inverse = share(1.0, weight)
    scatter = x.rows.T @ y.rows
    scatter -= sums * sums_y * inverse
    return Pairs(rows, weight, scatter), _marginals(x, y, sums, inverse)


def marginals_of(x: Side, y: Side, weight: np.ndarray) -> PairMarginals:
    """Return the marginals of x alone, given the weights of the pairs."""
    return _marginals(x, y, x.rows.T @ y.roots, share(1.0, weight))


def _marginals(x: Side, y: Side, sums: np.ndarray, inverse: np.ndarray) -> PairMarginals:
    squares = (x.rows * x.rows).T @ y.mask
    squares -= sums * sums * inverse
    offset = sums * inverse
    offset -= x.centre[:, None]
    offset[inverse == 0] = 0.0
    return PairMarginals(offset, np.maximum(squares, 0.0))


class SideMerge(NamedTuple):
    """One side of the merge of two states, or some rows of it: its marginals there, and how they come together.

    The shifts are vectors, or broadcast against the marginals.
    """

    a: PairMarginals
    b: PairMarginals
    shifts: Shifts

    @property
    def turned(self) -> SideMerge:
        return SideMerge(self.a.turned, self.b.turned, self.shifts)

    def along(self, axis: int) -> SideMerge:
        """Return the side whose columns lie along an axis of the matrices."""
        shape = self.a.offset.shape
        return self._replace(
            shifts=Shifts(*(np.broadcast_to(np.expand_dims(each, 1 - axis), shape) for each in self.shifts))
        )

    def rows(self, cut: slice) -> SideMerge:
        a, b, shifts = ([field[cut] for field in part] for part in self)
        return SideMerge(PairMarginals(*a), PairMarginals(*b), Shifts(*shifts))

    def offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """Return both offsets from the common mean."""
        shift_a, shift_b, step_a, step_b = self.shifts
        return np.ldexp(self.a.offset, shift_a) - step_a, np.ldexp(self.b.offset, shift_b) - step_b

    def squares(self) -> np.ndarray:
        return np.ldexp(self.a.squares, 2 * self.shifts.shift_a) + np.ldexp(self.b.squares, 2 * self.shifts.shift_b)


def merge(a: Pairs, b: Pairs, x: SideMerge, y: SideMerge | None = None) -> tuple[Pairs, list[PairMarginals]]:
    """Merge pairs and each side's marginals (Chan, Golub and LeVeque 1983); without ``y``, x is both sides."""
    shape = a.rows.shape
    weight, scatter = np.empty(shape), np.empty(shape)
    marginals = [PairMarginals(np.empty(shape), np.empty(shape)) for _ in range(1 if y is None else 2)]
    sides = x.along(0), (x.turned if y is None else y).along(1)
    height = max(1, _STRIP // max(shape[1], 1))
    for start in range(0, shape[0], height):
        cut = slice(start, start + height)
        strips = [side.rows(cut) for side in sides]
        weights = _Weights.of(a.weight[cut], b.weight[cut])
        weight[cut] = weights.total
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity under missing="propagate"
            offsets = [strip.offsets() for strip in strips]
            deltas = [np.where(weights.both, later - first, 0.0) for first, later in offsets]
            scatter[cut] = _scatter(a.scatter[cut], b.scatter[cut], strips) + weights.factor * (deltas[0] * deltas[1])
            for strip, pair, delta, out in zip(strips, offsets, deltas, marginals, strict=False):
                out.offset[cut] = weights.mean(*pair, delta)
                out.squares[cut] = strip.squares() + weights.factor * delta**2
    return Pairs(a.rows + b.rows, weight, scatter), marginals


class _Weights(NamedTuple):
    """Weights of pairs in two states."""

    total: np.ndarray
    share_a: np.ndarray
    share_b: np.ndarray
    factor: np.ndarray  # of the product of the differences between means
    both: np.ndarray  # bool: whether both states have the pair

    @classmethod
    def of(cls, a: np.ndarray, b: np.ndarray) -> _Weights:
        total = a + b
        share_a, share_b = share(a, total), share(b, total)
        return cls(total, share_a, share_b, a * share_b, (a > 0) & (b > 0))

    def mean(self, a: np.ndarray, b: np.ndarray, delta: np.ndarray) -> np.ndarray:
        """Return the mean, from the heavier one: the other's share of it may lie far below its last digit."""
        return np.where(self.share_b > 0.5, b - delta * self.share_a, a + delta * self.share_b)


def _scatter(a: np.ndarray, b: np.ndarray, strips: list[SideMerge]) -> np.ndarray:
    """Return the sum of two scatters in the common scale."""
    x, y = (strip.shifts for strip in strips)
    scatter = np.ldexp(np.ldexp(a, x.shift_a), y.shift_a)
    scatter += np.ldexp(np.ldexp(b, x.shift_b), y.shift_b)
    return scatter
