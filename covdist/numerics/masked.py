"""Blocks with missing values: deviations that are zero there, and ``MaskedSegments``, which sorts out such blocks.

A complete block is folded as by every other state, at that speed. One with missing values becomes a state of its own,
about the means of its values, and is merged; so there is no pilot that could drift away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from covdist.kernel.sums import column_sums
from covdist.kernel.workspace import Workspace
from covdist.numerics.accumulator import Options
from covdist.numerics.columns import NO_EXPONENT, Columns, ObservedCounts, quantised_exponent, share
from covdist.numerics.nonfinite import all_finite, holes
from covdist.numerics.segments import Blocks, OpenSegment, Segments
from covdist.numerics.shifted_columns import columns_about, magnitude, pilot_of
from covdist.numerics.weights import Vector, in_unit


class Side(NamedTuple):
    """One side's rows of a block with missing values, and the moments of its columns."""

    deviations: np.ndarray  # from a pilot, times 2**-exponent; 0 where missing
    rows: np.ndarray  # deviations, times the root of the row's weight
    mask: np.ndarray  # 1.0 where there is a value
    weighted: np.ndarray  # the row's weight where there is a value
    roots: np.ndarray  # the root of the row's weight where there is a value
    centre: np.ndarray  # mean of the deviations, scaled
    columns: Columns
    seen: ObservedCounts


Lift = Callable[[Any, int], Any]
Fold = Callable[[list[Side]], Any]


class MaskedSegments:
    """Stands in for ``Segments``, which folds complete blocks, where every value is left out by itself.

    ``lift(clean.state(), rows)`` is a state of the kind wanted, ``fold(sides)`` that of a block with missing values.
    """

    def __init__(self, clean: Segments, lift: Lift, fold: Fold, empty: Any, options: Options):
        self._clean, self._lift, self._block, self._held = clean, lift, fold, empty
        self._inf = options.inf
        self._rows = 0

    def add(self, blocks: Blocks, weights: Vector, extreme: Sequence[bool], workspace: Workspace) -> None:
        if all(map(all_finite, blocks)):
            self._clean.add(blocks, weights, extreme, workspace)
            self._rows += len(blocks[0])
        else:
            pairs = zip(blocks, extreme, strict=True)
            sides = [observe(block, ~holes(block, self._inf), weights, is_extreme) for block, is_extreme in pairs]
            self._held = self._held.merge(self._block(sides))

    def opened(self, blocks: Blocks, weights: Vector) -> OpenSegment | None:
        return self._clean.opened(blocks, weights)

    def folded(self, rows: int) -> None:
        self._rows += rows

    def state(self) -> Any:
        return self._lift(self._clean.state(), self._rows).merge(self._held)


def observe(block: np.ndarray, present: np.ndarray, weights: Vector, extreme: bool) -> Side:
    """Centre the values that each column of a block holds; squares of ``extreme`` ones might leave float64's range."""
    mask = present.astype(np.float64)
    pilot = _pilot(block, present, mask, weights)
    exponent, deviations = np.zeros(block.shape[1], np.int64), block - pilot
    if extreme:  # scaled before it is subtracted, as differences of the largest numbers leave float64's range
        exponent = quantised_exponent(magnitude(np.where(present, block, pilot), pilot))
        exponent[exponent == NO_EXPONENT] = 0
        scale = np.ldexp(1.0, -exponent)
        deviations = block * scale - pilot * scale
    rows = deviations = np.where(present, deviations, 0.0)
    weights, unit = in_unit(weights)
    roots, weighted, total, counts = mask, mask, float(len(block)), mask.sum(axis=0)
    weight = counts
    if weights is not None:
        root = np.sqrt(weights)[:, None]
        rows, roots, weighted = rows * root, mask * root, mask * weights[:, None]
        total, weight = float(weights.sum()), column_sums(mask, weights[:, None])
    sums = column_sums(roots, rows)
    offset = share(sums, weight)
    squares = column_sums(rows, rows) - sums * offset
    columns = columns_about(pilot, exponent, offset, squares, total)._replace(weight_unit=unit)
    return Side(
        deviations, rows, mask, weighted, roots, offset, columns, ObservedCounts(counts.astype(np.int64), weight)
    )


def _pilot(block: np.ndarray, present: np.ndarray, mask: np.ndarray, weights: Vector) -> np.ndarray:
    # Tiny weights of tiny values underflow.
    shares = None if weights is None else (weights / weights.max())[:, None]
    amount = np.maximum(column_sums(mask, shares), np.finfo(float).tiny)
    first = block[present.argmax(axis=0), np.arange(block.shape[1])]
    # The first value in its holes leaves a column constant; of a column without any, 0.
    rows = np.where(present, block, np.where(present.any(axis=0), first, 0)).astype(np.float64)
    return pilot_of(rows, lambda values: column_sums(np.where(present, values, 0), shares) / amount)
