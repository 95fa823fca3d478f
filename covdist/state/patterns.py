"""``Patterns``: rows sorted by which columns they hold; each pattern's count, mean and scatter.

They are all that the likelihood of a Gaussian needs of the rows. With many more rows than patterns, fitting one works
on them alone; where the patterns would take more room than a few matrices, only the columns' moments are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from covdist.limits import limits
from covdist.numerics import packed
from covdist.numerics.accumulator import COLUMN_BYTES, Cost, Options, RowsAccumulator, finish_one
from covdist.numerics.blas import single_thread
from covdist.numerics.columns import Columns, ObservedCounts, combine_observed
from covdist.numerics.em import Fit, Model, PatternTable, distinct
from covdist.numerics.masked import Side, observe
from covdist.numerics.nonfinite import all_finite, holes
from covdist.numerics.segments import Blocks, Segments, Vector
from covdist.numerics.workspace import Workspace
from covdist.state.expected import expected_of
from covdist.state.scatter import Scatter
from covdist.state.variances import LEAST_ROWS

_GATHERED = 1 << 22  # values of rows with missing values that are sorted at once: a pattern then has many of them


class Patterns(NamedTuple):
    """Columns' moments, the scatter of complete rows, and about ``origin`` the table of all other patterns.

    The table has the columns' exponents.

    ``complete`` is 0 where those are too many to be kept.
    """

    columns: Columns
    seen: ObservedCounts
    clean: Scatter
    origin: np.ndarray
    table: PatternTable
    complete: int = 1

    @classmethod
    def empty(cls, width: int) -> Patterns:
        return cls(
            Columns.empty(width),
            ObservedCounts.empty(width),
            Scatter.empty(width),
            np.zeros(width),
            PatternTable.empty(width),
        )

    @classmethod
    def folded(cls, width: int, options: Options) -> RowsAccumulator:
        """Return an accumulator; not called ``accumulator``, since merging depends on the number of patterns."""
        folds = [(slice(None), _PatternSegments(width, options))]
        return RowsAccumulator([width], LEAST_ROWS, folds, finish_one, options)

    @classmethod
    def cost(cls, width: int) -> Cost:
        state_bytes = limits().pattern_table_bytes + COLUMN_BYTES * width
        return Cost(state_bytes, 2.0 * width * width, LEAST_ROWS, width, 5 * 8 * _GATHERED)

    def merge(self, other: Patterns) -> Patterns:
        columns, seen, shifts = combine_observed((self.columns, self.seen), (other.columns, other.seen))
        clean = self.clean.merge(other.clean)
        if shifts is None:
            kept = other if self.columns.weight == 0 else self
            return kept._replace(columns=columns, seen=seen, clean=clean)
        origin = np.where(self.seen.weight > 0, self.origin, other.origin)
        tables = [
            state.table.moved(shift, np.ldexp(state.origin - origin, -columns.exponent))
            for state, shift in ((self, shifts.shift_a), (other, shifts.shift_b))
        ]
        if not (self.complete and other.complete):
            return Patterns(columns, seen, clean, origin, PatternTable.empty(len(origin)), 0)
        return Patterns(columns, seen, clean, origin, *_fitting(tables[0].merge(tables[1])))

    @property
    def all(self) -> PatternTable:
        """Every pattern, that of complete rows too."""
        columns, width = self.clean.columns, self.columns.width
        if columns.weight == 0:
            return self.table
        scatter = packed.unpack(packed.rescale(self.clean.triangle, columns.exponent - self.columns.exponent), width)
        mean = np.ldexp((columns.mean - self.origin) + columns.mean_low, -self.columns.exponent)
        whole = PatternTable(np.ones((1, width), bool), np.array([columns.weight]), mean[None], scatter[None])
        return self.table.merge(whole)


def _fitting(table: PatternTable) -> tuple[PatternTable, int]:
    if table.scatter.nbytes <= limits().pattern_table_bytes:
        return table, 1
    return PatternTable.empty(table.held.shape[1]), 0


class _PatternSegments:
    """Complete rows are folded like any scatter; the others are gathered, then sorted by pattern."""

    def __init__(self, width: int, options: Options):
        self._clean: Segments = Scatter.segments(width, options)
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

    def state(self) -> Patterns:
        self._sort()
        clean: Any = self._clean.state()
        return _lifted(clean, self._rows).merge(self._held)


def _lifted(clean: Scatter, rows: int) -> Patterns:
    columns, width = clean.columns, clean.columns.width
    seen = ObservedCounts.all(width, rows, columns.weight)
    return Patterns(columns, seen, clean, columns.mean, PatternTable.empty(width))


def _sorted(side: Side, held: np.ndarray, weights: Vector) -> Patterns:
    columns, width = side.columns, side.columns.width
    patterns, pattern = distinct(held)
    if 8 * len(patterns) * width * width > limits().pattern_table_bytes:
        return Patterns(columns, side.seen, Scatter.empty(width), columns.mean, PatternTable.empty(width), 0)
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
    return Patterns(
        columns, side.seen, Scatter.empty(width), columns.mean, PatternTable(patterns, weight, mean, scatter)
    )


def start(patterns: Patterns, fit: Fit) -> Model:
    """Return a model of independent columns, converged where no missing value is left to be fitted."""
    columns, seen = patterns.columns, patterns.seen
    active = (seen.weight > 0) & (columns.squares > 0)
    share = np.divide(1.0, seen.weight, out=np.zeros(columns.width), where=active)
    variances, exponent = (columns.squares * share)[active], columns.exponent[active]
    origin = patterns.origin[active]
    mean = np.ldexp((columns.mean[active] - origin) + columns.mean_low[active], -exponent)
    model = Model(active, origin, exponent, mean, np.diag(variances), fit)
    return model._replace(converged=not active.any() or without_holes(patterns))


def begin(patterns: Patterns, fit: Fit) -> Model:
    """Return the model that is fitted to a table of all patterns; without one, a model to begin with."""
    model = start(patterns, fit)
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
