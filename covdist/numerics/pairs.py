"""``Pairs``: counts and scatter of every pair of columns over the rows that hold both, and how they merge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covdist.numerics.columns import Shifts, share
from covdist.numerics.masked import Side
from covdist.numerics.products import products_of

_LOST = 1e-3  # of what is taken from a sum of squares: where less is left, that has three digits less
_SAME = 2.0**-45  # of means, which differ by less where rounding alone has told them apart
_STRIP = 1 << 16  # entries merged together: their temporaries stay within the cache


class PairMarginals(NamedTuple):
    """Of one side's columns, over the rows that a pair holds; float64 (columns of x, columns of y)."""

    offset: np.ndarray  # mean, less the column's own, times 2**-exponent
    squares: np.ndarray  # centred sum of squares, times 4**-exponent

    @classmethod
    def all(cls, squares: np.ndarray, width_y: int) -> PairMarginals:
        """Return those of complete columns, of which ``squares`` are the columns' own."""
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
        """Return the pairs of complete rows."""
        return cls(np.full(scatter.shape, rows, np.int64), np.full(scatter.shape, weight), scatter)


def pairs_of(x: Side, y: Side) -> tuple[Pairs, PairMarginals, PairMarginals]:
    """Return the pairs of a block with missing values and the marginals of both sides, of which y may be x.

    With W the masks, X the deviations (0 where missing): N = WᵀW, P = XᵀW, Q = (X∘X)ᵀW, G = XᵀX; the pairs' means are
    P / N, so that their scatter is G - P Pᵀ / N, and their squares are Q - P∘P / N. Where next to nothing is left of Q,
    the values of that pair alone tell how much.
    """
    rows = products_of(x.mask, y.mask).astype(np.int64)
    weight = rows.astype(np.float64) if x.weighted is x.mask else products_of(x.weighted, y.mask)
    sums = products_of(x.rows, y.roots)
    sums_y = sums.T if x is y else products_of(x.roots, y.rows)
    if x is y:  # BLAS rounds the two triangles apart
        weight = (weight + weight.T) / 2
    inverse = share(1.0, weight)
    scatter = products_of(x.rows, y.rows)
    scatter -= sums * sums_y * inverse
    scatter[rows == 1] = 0.0
    pairs = Pairs(rows, weight, scatter)
    half, lost = _marginals(x, y.mask, sums, inverse, rows)
    if x is y:
        half_y, lost_y = half.turned, lost.T
    else:
        turned, lost_y = _marginals(y, x.mask, sums_y.T, inverse.T, rows.T)
        half_y, lost_y = turned.turned, lost_y.T
    lost |= lost_y
    _restore(np.triu(lost) if x is y else lost, x, y, pairs, half, half_y)
    return pairs, half, half_y


def _marginals(
    x: Side, mask: np.ndarray, sums: np.ndarray, inverse: np.ndarray, rows: np.ndarray
) -> tuple[PairMarginals, np.ndarray]:
    """Return one side's marginals, and where their squares have lost digits."""
    squares = products_of(x.rows * x.rows, mask)
    taken = sums * sums
    taken *= inverse
    squares -= taken
    squares[rows == 1] = 0.0
    taken *= _LOST
    lost = (squares <= taken) & (taken > 0) & (rows > 1)
    offset = sums * inverse
    offset -= x.centre[:, None]
    offset[inverse == 0] = 0.0
    return PairMarginals(offset, np.maximum(squares, 0.0)), lost


def _restore(lost: np.ndarray, x: Side, y: Side, pairs: Pairs, half: PairMarginals, half_y: PairMarginals) -> None:
    """Fold some pairs again, in place, each about its own first values: those of a constant are then 0."""
    most = max(1, _STRIP // max(len(x.mask), 1))
    for row in np.flatnonzero(lost.any(axis=1)).tolist():
        columns = np.flatnonzero(lost[row])
        for start in range(0, len(columns), most):
            _restore_some(row, columns[start : start + most], x, y, pairs, half, half_y)


def _restore_some(
    row: int, columns: np.ndarray, x: Side, y: Side, pairs: Pairs, half: PairMarginals, half_y: PairMarginals
) -> None:
    both = x.mask[:, row, None] * y.mask[:, columns]
    roots, inverse = x.roots[:, row, None] * both, share(1.0, pairs.weight[row, columns])
    first = (roots > 0).argmax(axis=0)
    centred = []
    for side, of, marginals in (x, [row], half), (y, columns, half_y):
        deviations = np.broadcast_to(side.deviations[:, of], both.shape)
        about = deviations[first, np.arange(len(columns))]
        rows = (deviations - about) * roots
        mean = (rows * roots).sum(axis=0) * inverse
        rows -= mean * roots
        marginals.offset[row, columns] = about + mean - side.centre[of]
        marginals.squares[row, columns] = (rows * rows).sum(axis=0)
        centred.append(rows)
    pairs.scatter[row, columns] = found = (centred[0] * centred[1]).sum(axis=0)
    if x is y:
        pairs.scatter[columns, row] = found


class SideMerge(NamedTuple):
    """One side of the merge of two states: its marginals there, and the shifts that bring them together."""

    a: PairMarginals
    b: PairMarginals
    shifts: Shifts

    def rows(self, cut: slice, axis: int) -> SideMerge:
        """Return some rows of the matrices, and the shifts of the columns along an axis so that they broadcast."""
        a, b = (PairMarginals(*(matrix[cut] for matrix in marginals)) for marginals in (self.a, self.b))
        return SideMerge(a, b, Shifts(*(each[cut, None] if axis == 0 else each[None] for each in self.shifts)))

    def offsets(self, both: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return both offsets from the common mean, and where both have rows, how far they are apart.

        Where a pair's values are constant on either side, what rounding may have made of equal ones is 0.
        """
        shift_a, shift_b, step_a, step_b = self.shifts
        own_a, own_b = _times_power(self.a.offset, shift_a), _times_power(self.b.offset, shift_b)
        a, b = own_a - step_a, own_b - step_b
        delta = np.where(both, b - a, 0.0)
        constant = (self.a.squares == 0) & (self.b.squares == 0) & (delta != 0)
        if constant.any():
            largest = np.maximum(np.abs(own_a) + np.abs(step_a), np.abs(own_b) + np.abs(step_b))
            delta[constant & (np.abs(delta) <= _SAME * largest)] = 0.0
        return a, b, delta

    def squares(self) -> np.ndarray:
        a, b = self.a.squares, self.b.squares
        return _times_power(a, 2 * self.shifts.shift_a) + _times_power(b, 2 * self.shifts.shift_b)


def _times_power(values: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Return values times ``2**exponent``, themselves where that is 1: ``ldexp`` takes 2 ns a value."""
    return np.ldexp(values, exponent) if exponent.any() else values


def merge(a: Pairs, b: Pairs, x: SideMerge, y: SideMerge | None = None) -> tuple[Pairs, list[PairMarginals]]:
    """Merge pairs and each side's marginals (Chan, Golub and LeVeque 1983); without ``y``, x is both sides."""
    shape = a.weight.shape
    weight, scatter = np.empty(shape), np.empty(shape)
    marginals = [PairMarginals(np.empty(shape), np.empty(shape)) for side in (x, y) if side is not None]
    sides = x, SideMerge(x.a.turned, x.b.turned, x.shifts) if y is None else y
    height = max(1, _STRIP // max(shape[1], 1))
    for start in range(0, shape[0], height):
        cut = slice(start, start + height)
        weight_a, weight_b = a.weight[cut], b.weight[cut]
        total = weight[cut] = weight_a + weight_b
        share_a, share_b = share(weight_a, total), share(weight_b, total)
        factor, both = weight_a * share_b, (weight_a > 0) & (weight_b > 0)
        strips = [side.rows(cut, axis) for axis, side in enumerate(sides)]
        down, across = (strip.shifts for strip in strips)
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity under missing="propagate"
            offsets = [strip.offsets(both) for strip in strips]
            merged = _times_power(_times_power(a.scatter[cut], down.shift_a), across.shift_a)
            merged = merged + _times_power(_times_power(b.scatter[cut], down.shift_b), across.shift_b)
            merged += factor * (offsets[0][2] * offsets[-1][2])
            scatter[cut] = merged
            for out, strip, (offset_a, offset_b, delta) in zip(marginals, strips, offsets, strict=False):
                # From the heavier mean: the other's share of it may lie far below its last digit.
                out.offset[cut] = np.where(share_b > 0.5, offset_b - delta * share_a, offset_a + delta * share_b)
                out.squares[cut] = strip.squares() + factor * delta**2
    return Pairs(a.rows + b.rows, weight, scatter), marginals
