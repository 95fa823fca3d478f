"""``Columns``: count, mean, centred squares and census of each column; a part of every state."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from covdist.errors import DataError, MergeError
from covdist.numerics.screening import SpecialCounts

# Exponents are multiples of this, so that a column whose size wanders keeps its scale for a long time.
_STEP, _TOP = 256, 768  # 2.0**-768 scales the smallest and the largest float64 alike
PER_COLUMN = ("mean", "mean_low", "squares", "exponent")
DIGITS = 1e-12  # share of what a number was made of, below which it is rounding
NO_EXPONENT = -(1 << 20)  # of a column in which nothing has varied yet


class Columns(NamedTuple):
    """Per-column moments; float64 arrays of shape (columns,) unless said otherwise.

    ``mean + mean_low`` is the mean to about 32 digits: at a mean 1e10 spreads away, float64 alone would lose
    six digits of the differences between means that merging squares. ``squares`` is the centred sum of squares
    times ``4 ** -exponent``.
    """

    rows: int  # folded
    skipped: int  # rows left out by the missing policy
    weight: float  # sum of weights; rows where there are none
    weight2: float  # sum of frequency × reliability², numpy's aweights term
    mean: np.ndarray
    mean_low: np.ndarray
    squares: np.ndarray
    exponent: np.ndarray  # int64
    census: SpecialCounts
    weight_unit: int = 0  # weights, squares and matrices beside them count times 2**-weight_unit, weight2 its square

    @classmethod
    def empty(cls, width: int) -> Columns:
        zeros = np.zeros(width)
        return cls(0, 0, 0.0, 0.0, zeros, zeros, zeros, np.zeros(width, np.int64), SpecialCounts.empty(width))

    @property
    def width(self) -> int:
        return self.mean.shape[-1]

    def merge(self, other: Columns) -> Columns:
        return combine(self, other)[0]

    def within(self, unit: int) -> Columns:
        """Return the same with weights counted in another unit."""
        if (shift := self.weight_unit - unit) == 0:
            return self
        weight, weight2 = math.ldexp(self.weight, shift), math.ldexp(self.weight2, 2 * shift)
        return self._replace(weight=weight, weight2=weight2, squares=np.ldexp(self.squares, shift), weight_unit=unit)


class Link(NamedTuple):
    """How merging two ``Columns`` changes a matrix that goes with them."""

    shift_a: np.ndarray  # powers of two that bring each side to the common scale
    shift_b: np.ndarray
    delta: np.ndarray  # difference of the means, in the common scale
    factor: float  # weight of delta's outer product


def combine(a: Columns, b: Columns) -> tuple[Columns, Link | None]:
    """Merge (Chan, Golub and LeVeque 1983); the link is None where one side carries no weight."""
    unit = common_unit(a, b)
    halves = [(each.weight_unit - unit) // 2 for each in (a, b)]  # a matrix is shifted by its rows and its columns
    a, b = a.within(unit), b.within(unit)
    counted = _counted_together(a, b)
    if a.weight == 0 or b.weight == 0:
        return (b if a.weight == 0 else a)._replace(**counted), None
    columns, scaled, factor, _, _ = _combined(a, np.array(a.weight), b, np.array(b.weight), counted)
    shift_a, shift_b = (each.exponent - columns.exponent + half for each, half in zip((a, b), halves, strict=True))
    return columns, Link(shift_a, shift_b, scaled, float(factor))


def common_unit(a: Columns, b: Columns) -> int:
    """Return the unit in which the weights of both are counted when they are merged."""
    return max((each.weight_unit for each in (a, b) if each.weight), default=0)


def _counted_together(a: Columns, b: Columns) -> dict[str, Any]:
    """Return the fields of a merge that are plain sums; raise MergeError where the columns are not as many."""
    if a.width != b.width:
        raise MergeError(f"cannot merge a state of {a.width} columns with one of {b.width} columns")
    return {
        "rows": a.rows + b.rows,
        "skipped": a.skipped + b.skipped,
        "weight2": a.weight2 + b.weight2,
        "census": a.census.merge(b.census),
    }


def quantised_exponent(magnitude: np.ndarray) -> np.ndarray:
    """Multiple of 256 nearest to each magnitude's binary exponent; ``NO_EXPONENT`` for zeros and non-finite ones."""
    exponents = np.frexp(magnitude)[1].astype(np.int64)
    quantised = np.clip(_STEP * ((exponents + _STEP // 2) // _STEP), -_TOP, _TOP)
    return np.where((magnitude > 0) & np.isfinite(magnitude), quantised, NO_EXPONENT)


def two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``a + b`` rounded, and the rounding error, exactly (Knuth); no error where the sum is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        total = a + b
        back = total - a
        error = (a - (total - back)) + (b - back)
    return total, np.where(np.isfinite(total), error, 0.0)


def part(columns: Columns, which: slice) -> Columns:
    arrays: dict[str, Any] = {name: getattr(columns, name)[which] for name in PER_COLUMN}
    return columns._replace(census=SpecialCounts(*(field[which] for field in columns.census)), **arrays)


def concatenate(parts: list[Columns]) -> Columns:
    """Join states of the same rows side by side."""
    first = parts[0]
    if len(parts) == 1:
        return first
    arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in PER_COLUMN}
    census = SpecialCounts(*(np.concatenate(fields) for fields in zip(*(p.census for p in parts), strict=True)))
    return first._replace(census=census, **arrays)


def variance(columns: Columns, divided_by: float | np.ndarray) -> np.ndarray:
    return np.ldexp(columns.squares / divided_by, 2 * columns.exponent)


def deviation(columns: Columns, divided_by: float | np.ndarray) -> np.ndarray:
    """Return the standard deviations, right also where the variances underflow."""
    return np.ldexp(np.sqrt(columns.squares / divided_by), columns.exponent)


def mean(columns: Columns, weight: float | np.ndarray) -> np.ndarray:
    """Return the means, NaN where there is no weight."""
    return np.where(np.asarray(weight) > 0, columns.mean + columns.mean_low, np.nan)


def mean_low(columns: Columns) -> np.ndarray:
    """Return what ``mean`` leaves out of the means."""
    return two_sum(columns.mean, columns.mean_low)[1]


def divisor(columns: Columns, ddof: float) -> float:
    """Return N - ddof as weights count, with numpy's rule for reliabilities: sum w - ddof * sum(w a) / sum w."""
    left = columns.weight - ddof * columns.weight2 / columns.weight if columns.weight else 0.0
    if left <= DIGITS * columns.weight:
        weight = np.ldexp(columns.weight, columns.weight_unit)
        advice = "use a smaller ddof or more rows" if ddof > 0 else "fold rows that have a weight"
        raise DataError(
            f"ddof={ddof} leaves nothing to divide by: {columns.rows} rows with a total weight of "
            f"{weight:g} were folded, {columns.skipped} left out; {advice}"
        )
    return left


def own_divisors(columns: Columns, weight: np.ndarray, ddof: float) -> np.ndarray:
    """Return ``weight - ddof`` where columns, or pairs of them, have rows of their own; NaN where too few are left."""
    unit = columns.weight_unit
    if ddof and np.ldexp(columns.weight2, unit) != columns.weight:
        raise DataError(
            f"ddof={ddof} with reliability weights has no meaning for missing='pairwise', whose pairs have rows of "
            "their own: pass ddof=0, or whole numbers as frequency weights"
        )
    left = weight - np.ldexp(ddof, -unit)
    return np.where(left > 0, left, np.nan)


class ObservedCounts(NamedTuple):
    """Per column the rows that hold a value, those of weight zero left out, and their weight; shape (columns,)."""

    rows: np.ndarray  # int64
    weight: np.ndarray  # float64

    @classmethod
    def empty(cls, width: int) -> ObservedCounts:
        return cls(np.zeros(width, np.int64), np.zeros(width))

    @classmethod
    def all(cls, width: int, rows: int, weight: float) -> ObservedCounts:
        return cls(np.full(width, rows, np.int64), np.full(width, weight))

    def scaled(self, shift: int) -> ObservedCounts:
        """Return the same with weights times ``2**shift``."""
        return self._replace(weight=np.ldexp(self.weight, shift))

    def merge(self, other: ObservedCounts) -> ObservedCounts:
        return ObservedCounts(self.rows + other.rows, self.weight + other.weight)


class Shifts(NamedTuple):
    """How a merge changes the matrices that go with two states, per column and in the common scale."""

    shift_a: np.ndarray  # powers of two that bring each state to the common scale
    shift_b: np.ndarray
    step_a: np.ndarray  # from the old mean to the common one
    step_b: np.ndarray


Observed = tuple[Columns, ObservedCounts]  # each column has rows of its own; ``Columns.weight`` is that of all rows


def combine_observed(a: Observed, b: Observed) -> tuple[Columns, ObservedCounts, Shifts | None]:
    """Merge column by column (Chan, Golub and LeVeque 1983); no shifts where one state carries no weight."""
    (x, seen_x), (y, seen_y) = a, b
    counted, seen = _counted_together(x, y), seen_x.merge(seen_y)
    if x.weight == 0 or y.weight == 0:
        return (y if x.weight == 0 else x)._replace(**counted), seen, None
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity under missing="propagate"
        columns, scaled, _, share_x, share_y = _combined(x, seen_x.weight, y, seen_y.weight, counted)
        shifts = x.exponent - columns.exponent, y.exponent - columns.exponent
        return columns, seen, Shifts(*shifts, scaled * share_y, -scaled * share_x)


def _combined(
    x: Columns, weight_x: np.ndarray, y: Columns, weight_y: np.ndarray, counted: dict[str, Any]
) -> tuple[Columns, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the merge, the scaled difference of the means with the weight of its square, and each side's share."""
    weight, both = weight_x + weight_y, (weight_x > 0) & (weight_y > 0)
    difference, rest = two_sum(y.mean, -x.mean)
    half = np.where(np.isinf(difference), 0.5, 1.0)  # the largest means differ by more than float64 holds
    if np.isinf(difference).any():
        difference, rest = two_sum(y.mean * half, -x.mean * half)
    delta = np.where(both, difference + (rest + (y.mean_low - x.mean_low) * half), 0.0)
    share_x, share_y = share(weight_x, weight), share(weight_y, weight)
    # From the heavier side the step is short, and so is its rounding.
    heavier = weight_x >= weight_y
    step = delta * np.where(heavier, share_y, -share_x)
    base, low = np.where(heavier, x.mean, y.mean), np.where(heavier, x.mean_low, y.mean_low)
    mean, mean_low = two_sum(base * half, low * half + step)
    live = [np.where(side.squares > 0, side.exponent, NO_EXPONENT) for side in (x, y)]
    exponent = np.maximum(np.maximum(*live), quantised_exponent(np.abs(delta)))
    exponent[exponent == NO_EXPONENT] = 0
    scaled, factor = np.ldexp(delta, -exponent) / half, weight_x * share_y
    squares = np.ldexp(x.squares, 2 * (x.exponent - exponent)) + np.ldexp(y.squares, 2 * (y.exponent - exponent))
    squares += factor * scaled**2
    total = x.weight + y.weight
    moments = {"mean": mean / half, "mean_low": mean_low / half, "squares": squares, "exponent": exponent}
    columns = Columns(weight=total, weight_unit=x.weight_unit, **moments, **counted)
    return columns, scaled, factor, share_x, share_y


def share(part: np.ndarray | float, whole: np.ndarray) -> np.ndarray:
    """Return ``part / whole``, 0 where the whole is."""
    return np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)
