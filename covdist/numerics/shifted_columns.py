"""Takes rows of one array to float64 deviations from a pilot, and keeps what turns them into moments.

Within a *segment* the pilot and the scale stay fixed, so sums of products of deviations simply add up. When the
mean leaves the pilot so far that subtracting it later would cost digits, or magnitudes leave the scale, the segment
is closed into a state and the next one starts with a pilot of its own; Chan's merge joins them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from covdist.kernel.library import compiled, function, own_address, panels
from covdist.kernel.sums import sum_in_order, sums_and_squares
from covdist.numerics.columns import NO_EXPONENT, Columns, quantised_exponent, two_sum
from covdist.numerics.screening import uncounted

# n·(mean − pilot)² may exceed the centred sum of squares by this factor: costs log10(64) digits of 16.
_MOST_CANCELLED = 64.0
_WIDE = 512
_SAMPLE_STEP = 16  # every sixteenth row gives a pilot within 4 spreads of any block's mean, outliers or not


@lru_cache(maxsize=64)
def _no_exponents(width: int) -> np.ndarray:
    exponents = np.zeros(width, np.int64)
    exponents.flags.writeable = False
    return exponents


class Deviations(NamedTuple):
    """One block's rows, ready for a product."""

    rows: np.ndarray  # float64 (rows, columns)
    roots: np.ndarray  # root of each row's weight
    sums: np.ndarray  # weighted column sums
    squares: np.ndarray  # weighted column sums of squares
    weight: float
    exponent: np.ndarray


class ShiftedColumns:
    """The segments of one array of ``width`` columns."""

    def __init__(self, width: int):
        self.width = width
        self.weight = 0.0  # of the open segment; 0 where there is none

    def open(self) -> None:
        """Start a segment with a pilot of 0, of which the kernel may make another."""
        first = panels(self.width)
        memory = np.zeros(first + 2 * self.width)
        self.shift, self.sums, self.squares = memory[:first], memory[first : -self.width], memory[-self.width :]
        shift = own_address(memory)
        sums = shift + 8 * first
        self.places = shift, sums, sums + 8 * self.width  # of what the kernel subtracts and adds to
        self.pilot, self.exponent = self.shift[: self.width], _no_exponents(self.width)
        self.pilot_low: np.ndarray | None = None  # of integers beyond float64
        self._scale: np.ndarray | None = None
        self.plain = True  # whether deviations are differences from the pilot, and nothing else

    def begin(self, block: np.ndarray, weights: np.ndarray | None, extreme: bool) -> None:
        """Start a segment whose pilot is near the mean of ``block``, or the value itself where that is constant."""
        self.open()
        # Weights may lie on rows that a sample leaves out.
        rows = block[::_SAMPLE_STEP] if weights is None else block
        sample = rows.astype(np.float64)
        shares = None if weights is None else weights / weights.max()  # tiny weights of tiny values underflow
        average = _mean if weights is None else partial(np.average, axis=0, weights=shares)
        with np.errstate(over="ignore", invalid="ignore"):
            self.pilot = pilot_of(sample, average)
        if beyond_float64(rows):  # whose float64 mean may lie many spreads away
            rest = (high_part(rows) - self.pilot) + low_part(rows)
            low = np.rint(np.average(rest, axis=0, weights=shares))
            self.pilot_low = low if low.any() else None
        if extreme:
            exponent = self._wanted_exponent(block)
            exponent[exponent == NO_EXPONENT] = 0
            self.exponent, self._scale = exponent, np.ldexp(1.0, -exponent)
        self.plain = self._scale is None and self.pilot_low is None
        self.shift[: self.width] = self.pilot if self._scale is None else self.pilot * self._scale

    def _wanted_exponent(self, block: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", over="ignore"):
            return quantised_exponent(magnitude(block, self.pilot))

    def deviations(self, block: np.ndarray, weights: np.ndarray | None, out: np.ndarray) -> Deviations:
        """Return ``(block - pilot) * 2**-exponent``, times the root of each row's weight, in ``out``."""
        whole = not beyond_float64(block)
        np.copyto(out, block if whole else high_part(block))
        with np.errstate(invalid="ignore", over="ignore"):
            for rows in self._wide(out):
                if self._scale is not None:  # first, as differences of the largest numbers leave float64's range
                    rows *= np.resize(self._scale, rows.shape[1])
                rows -= np.resize(self.shift[: self.width], rows.shape[1])
            if not whole:
                out += low_part(block)
            if self.pilot_low is not None:
                out -= self.pilot_low
            if weights is None:
                roots, weight = np.ones(len(block)), float(len(block))
                sums, squares = sums_and_squares(out)
            else:
                roots, weight = np.sqrt(weights), sum_in_order(weights)
                out *= roots[:, None]
                sums, squares = sums_and_squares(out, roots[:, None])
            spoilt = ~np.isfinite(sums)
            if spoilt.any():  # infinity would leave infinity or NaN in the products, depending on how rows are cut
                out[:, spoilt] = squares[spoilt] = np.nan
        return Deviations(out, roots, sums, squares, weight, self.exponent)

    def _wide(self, rows: np.ndarray) -> list[np.ndarray]:
        """Views of several short rows taken as one, since NumPy's inner loops run along a row, and of the rest."""
        group = max(1, _WIDE // self.width)
        whole = len(rows) // group * group
        return [part for part in (rows[:whole].reshape(-1, group * self.width), rows[whole:]) if len(part)]

    def drifted(self, block: Deviations) -> bool:
        """Say whether folding this block into the segment would cost digits."""
        if self.weight == 0:
            return False
        total = self.weight + block.weight
        cancelled = (self.sums + block.sums) ** 2 / total
        mean = block.sums / block.weight
        between = self.weight * block.weight / total * (mean - self.sums / self.weight) ** 2
        spread = self.squares - self.sums**2 / self.weight + between
        if not (cancelled > _MOST_CANCELLED * spread).any():
            return False
        sample = block.rows[::_SAMPLE_STEP] - mean * block.roots[::_SAMPLE_STEP, None]
        return bool((cancelled > _MOST_CANCELLED * (spread + (sample**2).sum(axis=0))).any())

    def outgrown(self, block: np.ndarray, extreme: bool) -> bool:
        """Say whether a block needs another scale than the segment's, which only extreme magnitudes can ask for."""
        if not (extreme or self._scale is not None):
            return False
        wanted = self._wanted_exponent(block)
        finer = (wanted < self.exponent) & (self.squares == 0)
        return bool(((wanted != NO_EXPONENT) & ((wanted > self.exponent) | finer)).any())

    def commit(self, block: Deviations) -> None:
        """Count a block's sums into the segment."""
        self.sums += block.sums
        self.squares += block.squares
        self.weight += block.weight

    def columns(self) -> Columns:
        """Return the segment's moments; rows and census are counted elsewhere."""
        if self.plain and compiled():
            moments = np.empty((3, self.width))
            function("end")(self.width, self.weight, *self.places, own_address(moments))
            mean, mean_low, squares = moments
            return Columns(0, 0, self.weight, 0.0, mean, mean_low, squares, self.exponent, uncounted(self.width))
        offset = self.sums / self.weight
        squares = self.squares - self.sums * offset
        columns = columns_about(self.pilot, self.exponent, offset, squares, self.weight)
        if self.pilot_low is None:
            return columns
        mean, mean_low = two_sum(self.pilot, self.pilot_low + np.ldexp(offset, self.exponent))
        return columns._replace(mean=mean, mean_low=mean_low)


def beyond_float64(block: np.ndarray) -> bool:
    """Return whether a block holds integers that float64 would round."""
    if block.dtype.kind not in "iu" or block.dtype.itemsize < 8 or block.size == 0:
        return False
    return bool(block.max() > 1 << 53 or block.min() < -(1 << 53))


def high_part(block: np.ndarray) -> np.ndarray:
    """Return integers less their last 32 bits, which float64 holds exactly; the rest is ``low_part``."""
    return np.ldexp((block >> 32).astype(np.float64), 32)


def low_part(block: np.ndarray) -> np.ndarray:
    return (block & 0xFFFFFFFF).astype(np.float64)


def less_mean(rows: np.ndarray, mean: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Return rows, of any dtype, less a mean in two parts, float64; integers beyond float64 keep their digits."""
    found = np.asarray((np.asarray(rows, np.float64) - mean) - low)
    if not beyond_float64(rows):
        return found
    high = high_part(rows)  # NumPy 2.0 crashes where unsigned integers are compared with a negative one
    large = (high >= 1 << 53) | (high < -(1 << 53))
    return np.where(large, ((high - mean) + low_part(rows)) - low, found)


def pilot_of(rows: np.ndarray, average: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return a number near each column's mean, or the value itself where a column is constant; 0 for what is infinite.

    A constant column must leave deviations of exactly 0, which its rounded mean would not.
    """
    constant = (rows == rows[0]).all(axis=0)
    mean = _near_mean(rows, average)
    if np.isfinite(mean).all():
        return np.where(constant, rows[0], mean)
    # Sums of the largest numbers leave float64's range.
    mean = np.where(np.isfinite(mean), mean, _near_mean(rows * 2.0**-64, average) * 2.0**64)
    pilot = np.where(constant, rows[0], mean)
    return np.where(np.isfinite(pilot), pilot, 0.0)


def _mean(rows: np.ndarray) -> np.ndarray:
    return np.add.reduce(rows, axis=0) / len(rows)


def _near_mean(rows: np.ndarray, average: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    mean = average(rows)
    # The float64 number next to the mean is within a spread of it, however close together the rows are.
    mean += average(rows - mean)
    return mean


def magnitude(block: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return how far each column reaches from its centre; half as far where that is beyond float64."""
    found = np.abs(block - centre).max(axis=0)
    beyond = np.isinf(found)
    return np.where(beyond, np.abs(block / 2 - centre / 2).max(axis=0), found) if beyond.any() else found


def columns_about(
    pilot: np.ndarray, exponent: np.ndarray, offset: np.ndarray, squares: np.ndarray, weight: float
) -> Columns:
    """Return the moments of columns whose scaled mean lies ``offset`` from the pilot; rows are counted elsewhere."""
    if exponent.any():
        top = np.maximum(exponent, 0)  # the step may be larger than float64's range, where both ends of it are not
        mean, mean_low = two_sum(np.ldexp(pilot, -top), np.ldexp(offset, exponent - top))
        mean, mean_low = np.ldexp(mean, top), np.ldexp(mean_low, top)
    else:
        mean, mean_low = two_sum(pilot, offset)
    squares = np.where(squares < 0, 0.0, squares)
    return Columns(0, 0, weight, 0.0, mean, mean_low, squares, exponent, uncounted(len(pilot)))
