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
from covdist.numerics import packed as triangle
from covdist.numerics.accumulator import COLUMN_BYTES, Cost, Options, RowsAccumulator, finish_one
from covdist.numerics.columns import Columns
from covdist.numerics.masked import Side, observe
from covdist.numerics.nonfinite import all_finite, holes
from covdist.numerics.present import ObservedCounts, combine
from covdist.numerics.segments import Blocks, Segments, Vector
from covdist.numerics.workspace import Workspace
from covdist.state.scatter import Scatter
from covdist.state.variances import LEAST_ROWS

_GATHERED = 1 << 22  # values of rows with holes that are sorted at once: a pattern then has many of them


class Table(NamedTuple):
    """Patterns, one a row: which columns they hold, and the moments of what they hold, times 2**-exponent."""

    held: np.ndarray  # bool (patterns, columns)
    weight: np.ndarray  # (patterns,)
    mean: np.ndarray  # (patterns, columns), less the origin; 0 in holes
    scatter: np.ndarray  # (patterns, columns, columns), centred; 0 in holes

    @classmethod
    def empty(cls, width: int) -> Table:
        return cls(np.zeros((0, width), bool), np.zeros(0), np.zeros((0, width)), np.zeros((0, width, width)))

    def moved(self, shift: np.ndarray, step: np.ndarray) -> Table:
        """Return the same in other powers of two, and for an origin that lies ``step`` lower then."""
        mean, scatter = self.mean, self.scatter
        if shift.any():
            mean, scatter = np.ldexp(mean, shift), np.ldexp(np.ldexp(scatter, shift[:, None]), shift)
        return self._replace(mean=np.where(self.held, mean + step, 0.0), scatter=scatter)

    def merge(self, other: Table) -> Table:
        """Merge patterns that are alike (Chan, Golub and LeVeque 1983)."""
        if not (len(self.held) and len(other.held)):
            return self if len(self.held) else other
        held, place = distinct(np.concatenate([self.held, other.held]))
        count, width = held.shape
        mine, its = place[: len(self.held)], place[len(self.held) :]
        weight, mean, scatter = np.zeros(count), np.zeros((count, width)), np.zeros((count, width, width))
        weight[mine], mean[mine], scatter[mine] = self.weight, self.mean, self.scatter
        before = weight[its]
        total = before + other.weight
        share = np.divide(other.weight, total, out=np.zeros(len(total)), where=total > 0)
        delta = np.where((before > 0)[:, None], other.mean - mean[its], 0.0)
        scatter[its] += other.scatter + (before * share)[:, None, None] * (delta[:, :, None] * delta[:, None, :])
        mean[its] = np.where((before > 0)[:, None], mean[its] + delta * share[:, None], other.mean)
        weight[its] = total
        return Table(held, weight, mean, scatter)


class Patterns(NamedTuple):
    """Columns' moments, the scatter of rows without holes, and about ``origin`` the table of all other patterns.

    The table has the columns' exponents.

    ``complete`` is 0 where those are too many to be kept.
    """

    columns: Columns
    seen: ObservedCounts
    clean: Scatter
    origin: np.ndarray
    table: Table
    complete: int = 1

    @classmethod
    def empty(cls, width: int) -> Patterns:
        return cls(
            Columns.empty(width), ObservedCounts.empty(width), Scatter.empty(width), np.zeros(width), Table.empty(width)
        )

    @classmethod
    def folded(cls, width: int, options: Options) -> RowsAccumulator:
        """Return what folds blocks of rows; not ``accumulator``: merging depends on how many patterns there are."""
        return RowsAccumulator(
            [width], LEAST_ROWS, [(slice(None), _PatternSegments(width, options))], finish_one, options
        )

    @classmethod
    def cost(cls, width: int) -> Cost:
        return Cost(
            limits().pattern_table_bytes + COLUMN_BYTES * width,
            2.0 * width * width,
            LEAST_ROWS,
            width,
            5 * 8 * _GATHERED,
        )

    def merge(self, other: Patterns) -> Patterns:
        columns, seen, shifts = combine(self, other)
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
            return Patterns(columns, seen, clean, origin, Table.empty(len(origin)), 0)
        return Patterns(columns, seen, clean, origin, *_fitting(tables[0].merge(tables[1])))

    @property
    def all(self) -> Table:
        """Every pattern, that without holes too."""
        columns, width = self.clean.columns, self.columns.width
        if columns.weight == 0:
            return self.table
        scatter = triangle.unpack(
            triangle.rescale(self.clean.triangle, columns.exponent - self.columns.exponent), width
        )
        mean = np.ldexp((columns.mean - self.origin) + columns.mean_low, -self.columns.exponent)
        whole = Table(np.ones((1, width), bool), np.array([columns.weight]), mean[None], scatter[None])
        return self.table.merge(whole)


def _fitting(table: Table) -> tuple[Table, int]:
    if table.scatter.nbytes <= limits().pattern_table_bytes:
        return table, 1
    return Table.empty(table.held.shape[1]), 0


class _PatternSegments:
    """Rows without holes go the way of every scatter; those with holes are gathered, then sorted by pattern."""

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
    return Patterns(columns, seen, clean, columns.mean, Table.empty(width))


def _sorted(side: Side, held: np.ndarray, weights: Vector) -> Patterns:
    """Return the patterns of a block."""
    columns, width = side.columns, side.columns.width
    kinds, place = distinct(held)
    if 8 * len(kinds) * width * width > limits().pattern_table_bytes:
        return Patterns(columns, side.seen, Scatter.empty(width), columns.mean, Table.empty(width), 0)
    order = np.argsort(place, kind="stable")
    rows = (side.rows - side.centre * side.roots)[order]  # about the columns' own means
    roots = np.ones(len(rows)) if weights is None else np.sqrt(weights)[order]
    starts = np.searchsorted(place[order], np.arange(len(kinds) + 1))
    weight, mean, scatter = np.zeros(len(kinds)), np.zeros(kinds.shape), np.zeros((len(kinds), width, width))
    for i, (start, stop) in enumerate(pairwise(starts)):
        mine, root = rows[start:stop], roots[start:stop]
        weight[i], mean[i] = root @ root, root @ mine
        np.matmul(mine.T, mine, out=scatter[i])
    mean /= weight[:, None]
    scatter -= weight[:, None, None] * (mean[:, :, None] * mean[:, None, :])
    return Patterns(columns, side.seen, Scatter.empty(width), columns.mean, Table(kinds, weight, mean, scatter))


def distinct(held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different rows of a bool array, and for each row which of them it is."""
    bits = np.packbits(held, axis=1)
    padded = np.zeros((len(bits), max(8, bits.shape[1])), np.uint8)
    padded[:, : bits.shape[1]] = bits
    keys = padded.view(np.uint64 if padded.shape[1] == 8 else f"V{padded.shape[1]}").ravel()
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    return held[first], place
