"""``Patterns``: rows sorted by which columns they hold; each pattern's count, mean and scatter.

They are all that the likelihood of a Gaussian needs of the rows. With many more rows than patterns, fitting one works
on them alone. Where the patterns would take more room than a few matrices, only the columns' moments are kept, and
each iteration folds the rows again, into ``Expected``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from covdist.kernel.workspace import Workspace
from covdist.limits import limits
from covdist.numerics import packed
from covdist.numerics.accumulator import COLUMN_BYTES, Cost, Options, RowsAccumulator
from covdist.numerics.blas import single_thread
from covdist.numerics.columns import Columns, ObservedCounts, combine_observed, common_unit
from covdist.numerics.em import Fit, Model, PatternTable, Regression, complete, distinct, inverse_root
from covdist.numerics.masked import Side, observe
from covdist.numerics.nonfinite import all_finite, holes
from covdist.numerics.segments import Blocks, OpenSegment
from covdist.numerics.weights import Vector, combined, in_unit
from covdist.state.base import fold_whole, segments
from covdist.state.scatter import Scatter
from covdist.state.variances import LEAST_ROWS

_GATHERED = 1 << 22  # values of rows with missing values that are sorted at once: a pattern then has many of them
_VALUES = 1 << 18  # of rows completed at once


class Patterns(NamedTuple):
    """Columns' moments, the scatter of complete rows, and the table of all other patterns."""

    columns: Columns
    seen: ObservedCounts
    clean: Scatter
    origin: np.ndarray
    table: PatternTable  # about ``origin``, with the columns' exponents
    complete: int = 1  # 0 where the patterns are too many to be kept

    @classmethod
    def empty(cls, width: int) -> Patterns:
        columns, seen, clean = Columns.empty(width), ObservedCounts.empty(width), Scatter.empty(width)
        return cls(columns, seen, clean, np.zeros(width), PatternTable.empty(width))

    @classmethod
    def folded(cls, width: int, options: Options) -> RowsAccumulator:
        """Return an accumulator; not called ``accumulator``, since merging depends on the number of patterns."""
        return fold_whole(_PatternSegments(width, options), [width], LEAST_ROWS, options)

    @classmethod
    def cost(cls, width: int) -> Cost:
        state_bytes = limits().pattern_table_bytes + COLUMN_BYTES * width
        return Cost(state_bytes, 2.0 * width * width, LEAST_ROWS, width, 5 * 8 * _GATHERED)

    def within(self, unit: int) -> Patterns:
        """Return the same with weights counted in another unit; complete rows keep that of their own."""
        shift = self.columns.weight_unit - unit
        return self._replace(
            columns=self.columns.within(unit), seen=self.seen.scaled(shift), table=self.table.scaled(shift)
        )

    def merge(self, other: Patterns) -> Patterns:
        unit = common_unit(self.columns, other.columns)
        self, other = self.within(unit), other.within(unit)
        columns, seen, shifts = combine_observed((self.columns, self.seen), (other.columns, other.seen))
        clean = self.clean.merge(other.clean)
        if shifts is None:
            kept = other if self.columns.weight == 0 else self
            return kept._replace(columns=columns, seen=seen, clean=clean)
        origin = np.where(self.seen.weight > 0, self.origin, other.origin)
        ours = self.table.moved(shifts.shift_a, np.ldexp(self.origin - origin, -columns.exponent))
        theirs = other.table.moved(shifts.shift_b, np.ldexp(other.origin - origin, -columns.exponent))
        table = ours.merge(theirs)
        if self.complete and other.complete and table.scatter.nbytes <= limits().pattern_table_bytes:
            return Patterns(columns, seen, clean, origin, table)
        return Patterns(columns, seen, clean, origin, PatternTable.empty(len(origin)), 0)

    @property
    def all(self) -> PatternTable:
        """Every pattern, that of complete rows too."""
        columns, width = self.clean.columns, self.columns.width
        if columns.weight == 0:
            return self.table
        half = (columns.weight_unit - self.columns.weight_unit) // 2
        columns, shift = columns.within(self.columns.weight_unit), columns.exponent - self.columns.exponent + half
        scatter = packed.unpack(packed.rescale(self.clean.triangle, shift), width)
        mean = np.ldexp((columns.mean - self.origin) + columns.mean_low, -self.columns.exponent)
        whole = PatternTable(np.ones((1, width), bool), np.array([columns.weight]), mean[None], scatter[None])
        return self.table.merge(whole)


class _PatternSegments:
    """Complete rows are folded like any scatter; the others are gathered, then sorted by pattern."""

    def __init__(self, width: int, options: Options):
        self._clean = segments(Scatter, width, options=options)
        self._inf, self._held, self._rows = options.inf, Patterns.empty(width), 0
        self._waiting: list[tuple[np.ndarray, Vector, bool]] = []

    def add(self, blocks: Blocks, weights: Vector, extreme: Sequence[bool], workspace: Workspace) -> None:
        (block,) = blocks
        if all_finite(block):
            self._clean.add(blocks, weights, extreme, workspace)
            self._rows += len(block)
            return
        self._waiting.append((block.copy(), weights, extreme[0]))
        if sum(each.size for each, _, _ in self._waiting) >= _GATHERED:
            self._sort()

    def _sort(self) -> None:
        if self._waiting:
            blocks, weights, extreme = zip(*self._waiting, strict=True)
            self._waiting = []
            block = np.concatenate(blocks)
            given = None if weights[0] is None else np.concatenate(weights)
            held = ~holes(block, self._inf)
            self._held = self._held.merge(_sorted(observe(block, held, given, any(extreme)), held, given))

    def opened(self, blocks: Blocks, weights: Vector) -> OpenSegment | None:
        return self._clean.opened(blocks, weights)

    def folded(self, rows: int) -> None:
        self._rows += rows

    def state(self) -> Patterns:
        self._sort()
        clean: Scatter = self._clean.state()
        columns, width = clean.columns, clean.columns.width
        seen = ObservedCounts.all(width, self._rows, columns.weight)
        return Patterns(columns, seen, clean, columns.mean, PatternTable.empty(width)).merge(self._held)


def _sorted(side: Side, held: np.ndarray, weights: Vector) -> Patterns:
    columns, width = side.columns, side.columns.width
    weights, _ = in_unit(weights)
    patterns, pattern = distinct(held)
    bare = Patterns(columns, side.seen, Scatter.empty(width), columns.mean, PatternTable.empty(width), 0)
    if 8 * len(patterns) * width * width > limits().pattern_table_bytes:
        return bare
    order = np.argsort(pattern, kind="stable")
    rows = (side.rows - side.centre * side.roots)[order]  # about the columns' own means
    roots = np.ones(len(rows)) if weights is None else np.sqrt(weights)[order]
    starts = np.searchsorted(pattern[order], np.arange(len(patterns) + 1))
    weight, mean, scatter = np.zeros(len(patterns)), np.zeros(patterns.shape), np.zeros((len(patterns), width, width))
    for i, (start, stop) in enumerate(pairwise(starts)):
        alike, root = rows[start:stop], roots[start:stop]
        weight[i], mean[i] = root @ root, root @ alike
        np.matmul(alike.T, alike, out=scatter[i])
    mean /= weight[:, None]
    scatter -= weight[:, None, None] * (mean[:, :, None] * mean[:, None, :])
    return bare._replace(table=PatternTable(patterns, weight, mean, scatter), complete=1)


def begin(patterns: Patterns, fit: Fit) -> Model:
    """Return the model that is fitted to a table of all patterns; without one, a model of independent columns."""
    columns, weight = patterns.columns, patterns.seen.weight
    active = (weight > 0) & (columns.squares > 0)
    variances = columns.squares[active] * (1.0 / weight[active])
    origin, exponent = patterns.origin[active], columns.exponent[active]
    mean = np.ldexp((columns.mean[active] - origin) + columns.mean_low[active], -exponent)
    converged = not active.any() or without_holes(patterns)  # no missing value is left to be fitted
    model = Model(active, origin, exponent, mean, np.diag(variances), fit, converged=converged)
    model = model._replace(weight_unit=columns.weight_unit)
    if patterns.complete and not model.done:
        with single_thread():  # two threads take twice as long as one for matrices so small
            table = patterns.all.columns(model.active)
            while not model.done:
                model = model.stepped(*expected_of(table, model))
    return model


def without_holes(patterns: Patterns) -> bool:
    return bool(patterns.complete and not len(patterns.table.held))


def moments_of(model: Model, patterns: Patterns) -> tuple[Columns, np.ndarray]:
    """Return the columns' moments and the scatter, as of complete rows; NaN if never seen."""
    columns, width, weight = patterns.columns, patterns.columns.width, patterns.columns.weight
    known = patterns.seen.weight > 0
    mean, low = np.where(known, columns.mean, np.nan), np.where(known, columns.mean_low, 0.0)
    mean[model.active], low[model.active] = model.origin, np.ldexp(model.mean, model.exponent)
    scatter = np.zeros((width, width))
    scatter[np.ix_(model.active, model.active)] = model.cov * weight
    scatter[~known], scatter[:, ~known] = np.nan, np.nan
    total = mean + low
    low = np.where(np.isfinite(total), (mean - total) + low, 0.0)
    exponent = np.zeros(width, np.int64)
    exponent[model.active] = model.exponent
    return columns._replace(mean=total, mean_low=low, squares=np.diagonal(scatter).copy(), exponent=exponent), scatter


# ---- sums over rows, with missing values as a Gaussian expects them; of a table or row by row


class Expected(NamedTuple):
    """Sums over the active columns of a model, less its mean; an iteration turns them into the next model."""

    weight: float
    sums: np.ndarray
    products: np.ndarray
    log_likelihood: float

    @classmethod
    def empty(cls, width: int) -> Expected:
        return cls(0.0, np.zeros(width), np.zeros((width, width)), 0.0)

    def merge(self, other: Expected) -> Expected:
        weight, log_likelihood = self.weight + other.weight, self.log_likelihood + other.log_likelihood
        return Expected(weight, self.sums + other.sums, self.products + other.products, log_likelihood)


def expected_of(table: PatternTable, model: Model) -> Expected:
    """Return the sums over all rows of a table of the active columns, each pattern at once."""
    inverse, weight = inverse_root(model), table.weight
    away = np.where(table.held, table.mean - model.mean, 0.0)
    sums, products = weight @ away, table.scatter.sum(axis=0) + (away * weight[:, None]).T @ away
    log_likelihood = -0.5 * float(weight @ (table.held @ model.volume + inverse.log_determinant))
    for held, w, mean, scatter in zip(table.held, weight, away, table.scatter, strict=True):
        present, missing = np.flatnonzero(held), np.flatnonzero(~held)
        known = scatter[present[:, None], present] + w * np.outer(mean[present], mean[present])
        basis, solve, covariance, log_determinant = (one[0] for one in Regression.of(inverse.matrix, missing[None]))
        left = inverse.matrix[:, present]
        along = basis.T @ left
        coefficients = solve @ along
        crossed = coefficients @ known
        sums[missing] -= w * (coefficients @ mean[present])
        products[missing[:, None], present] -= crossed
        products[present[:, None], missing] -= crossed.T
        products[missing[:, None], missing] += crossed @ coefficients.T + w * covariance
        left -= basis @ along
        log_likelihood -= 0.5 * (w * log_determinant + float(np.vdot(left.T @ left, known)))
    return Expected(float(weight.sum()), sums, products, log_likelihood)


class ExpectedAccumulator:
    """Folds rows, which the pass that made the model has screened; mutable, lives inside one task."""

    least_rows = 256

    def __init__(self, model: Model, inf: str):
        self._model, self._inf = model, inf
        self._held = Expected.empty(len(model.mean))
        with single_thread():
            self._inverse = inverse_root(model)

    def add(self, block: np.ndarray, frequency: Vector = None, reliability: Vector = None) -> None:
        weights = combined(frequency, reliability)
        if weights is not None:
            weights = np.ldexp(weights, -self._model.weight_unit)
        height = max(1, _VALUES // max(block.shape[1], 1))
        with single_thread():
            for start in range(0, len(block), height):
                given = None if weights is None else weights[start : start + height]
                self._fold(block[start : start + height], given)

    def _fold(self, block: np.ndarray, given: Vector) -> None:
        values = block[:, self._model.active].astype(np.float64)
        present = ~holes(values, self._inf)
        weights = np.ones(len(block)) if given is None else given
        some = present.any(axis=1) & (weights > 0)
        values, present, weights = values[some], present[some], weights[some]
        filled = complete(values, present, weights, self._model, self._inverse)
        rows = filled.rows if given is None else filled.rows * np.sqrt(weights)[:, None]
        sums, products = weights @ filled.rows, rows.T @ rows + filled.covariance
        self._held = self._held.merge(Expected(float(weights.sum()), sums, products, filled.log_likelihood))

    def state(self) -> Expected:
        return self._held
