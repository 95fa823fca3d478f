"""``RowsAccumulator``: takes blocks of rows as they come, counts and cleans them, and folds them in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from covdist.errors import NonFiniteError
from covdist.kernel.workspace import Workspace
from covdist.numerics.blas import single_thread
from covdist.numerics.columns import Columns
from covdist.numerics.filled_block import Block, FilledBlock
from covdist.numerics.nonfinite import RowPolicy, refuse
from covdist.numerics.ordinary import Ordinary, Tile, height_of
from covdist.numerics.screening import TILE, SpecialCounts, screen, widen
from covdist.numerics.segments import Blocks, Segments
from covdist.numerics.weights import SquaredWeights, Vector, checked, combined


@dataclass(frozen=True)
class Options:
    """How rows are folded."""

    missing: RowPolicy = refuse  # decides which rows with NaN or infinity are kept
    precision: str = "high"  # float64 products, or "fast", see ``covdist.numerics.products``
    inf: str = "raise"  # or "missing": infinity counts as missing


class Cost(NamedTuple):
    """Memory and work of folding, for the plan."""

    state_bytes: int
    row_flops: float
    least_rows: int
    tile_columns: int  # folded together
    merged_bytes: int = 0  # of the states that folding one block merges

    @property
    def block_bytes(self) -> int:
        """Memory of one block beside the rows as they come: its deviations, and the temporaries of screening."""
        return 2 * 8 * max(self.least_rows * self.tile_columns, TILE) + self.merged_bytes


_STRETCH = 64  # blocks a call of the kernel: where each is special, weights are not looked through to the end anew
# Per column: mean and its low part, squares and exponent, four counts.
COLUMN_BYTES = 8 * 8
COLUMN_FLOPS = 8.0


class Counted(NamedTuple):
    """Counts of the rows, whatever they are folded into."""

    rows: int
    skipped: int
    weight2: SquaredWeights
    censuses: Sequence[SpecialCounts]  # one a side

    def into(self, columns: Columns, side: int = 0) -> Columns:
        """Return a side's moments with these counts."""
        weight2, of = self.weight2.within(columns.weight_unit), columns
        return Columns(
            self.rows, self.skipped, of.weight, weight2, of.mean, of.mean_low, of.squares, of.exponent,
            self.censuses[side], of.weight_unit,
        )  # fmt: skip


Finish = Callable[[Counted, list[Any]], Any]


def finish_one(counted: Counted, states: list[Any]) -> Any:
    (state,) = states
    return state._replace(columns=counted.into(state.columns))


def finish_two(counted: Counted, states: list[Any]) -> Any:
    (state,) = states
    return state._replace(columns=counted.into(state.columns), columns_y=counted.into(state.columns_y, 1))


def _cut(vectors: tuple[Vector, Vector], cut: slice) -> Sequence[Vector]:
    if vectors[0] is None and vectors[1] is None:
        return vectors
    return [None if vector is None else vector[cut] for vector in vectors]


class RowsAccumulator:
    """Mutable, lives inside one task.

    ``widths`` are the sides' columns, ``least_rows`` are worth folding at once, ``tiles`` are ranges of columns and
    what folds each, and ``finish`` makes the state of the counts and the tiles' states.
    """

    def __init__(self, widths: Sequence[int], least_rows: int, tiles: Sequence[Tile], finish: Finish, options: Options):
        self.least_rows = least_rows
        self.workspace = Workspace()  # the accumulators of groups share one
        self._height = height_of(widths, least_rows)
        self._tiles, self._finish = tiles, finish
        self._policy, self._inf = options.missing, options.inf
        self._seen = self._rows = self._skipped = 0
        self._weight2 = SquaredWeights()
        self._counts = [np.zeros((4, width), np.int64) for width in widths]
        by_kernel = all([isinstance(each, Segments) and each.by_kernel for _, each in tiles])
        self._limited = nullcontext if by_kernel else single_thread  # which waits for a thread, 0.1 ms and more
        self._ordinary, self._all_ordinary = Ordinary(tiles, self._counts, self._height), by_kernel

    def add(self, *blocks: Block, frequency: Vector = None, reliability: Vector = None) -> None:
        """Fold rows in place, (rows, columns) of any real dtype for each side.

        ``frequency`` says how often each row counts, ``reliability`` how much it is trusted.
        """
        plain: list[np.ndarray] = []
        for counts, block in zip(self._counts, blocks, strict=True):
            if isinstance(block, FilledBlock):  # what was there before is counted
                census = SpecialCounts.of(counts)
                census.nans[:] += np.isnan(block.before).sum(axis=0)
                census.infs[:] += np.isinf(block.before).sum(axis=0)
                block = block.rows
            plain.append(block)
        start, rows, most = 0, len(plain[0]), _STRETCH * self._height
        while start < rows:
            stretch = slice(start, start + most)
            start += self._step([block[stretch] for block in plain], *_cut((frequency, reliability), stretch))

    def _step(self, blocks: Blocks, frequency: Vector, reliability: Vector) -> int:
        """Fold the leading rows, as many as are ordinary, or those of one height; return how many."""
        weights = combined(frequency, reliability)
        folded = self._ordinary.fold(blocks, weights, self.workspace)
        if folded:
            self._rows += folded
            if weights is None:
                self._weight2.add(folded, None, None)
            else:
                self._weigh(folded, frequency, reliability)
        else:
            cut = slice(self._height)
            folded = len(blocks[0][cut])
            how_often, how_sure = (w if w is None else checked(w) for w in _cut((frequency, reliability), cut))
            self._all_ordinary = False
            with self._limited(), np.errstate(over="ignore", invalid="ignore"):
                self._fold([block[cut] for block in blocks], how_often, how_sure)
        self._seen += folded
        return folded

    def _weigh(self, folded: int, frequency: Vector, reliability: Vector) -> None:
        """Add the weights of ordinary rows as if they came one height at a time, as special ones do."""
        for start in range(0, folded, self._height):
            rows = min(self._height, folded - start)
            how_often, how_sure = _cut((frequency, reliability), slice(start, start + rows))
            self._weight2.add(rows, combined(how_often, how_sure), how_sure)

    def _fold(self, blocks: Blocks, frequency: Vector, reliability: Vector) -> None:
        dtypes = [block.dtype for block in blocks]
        blocks = [widen(block) for block in blocks]
        screens = seen = [screen(*pair, self.workspace) for pair in zip(blocks, dtypes, strict=True)]
        if any(s.nonfinite for s in screens):
            keep = self._kept(blocks, combined(frequency, reliability))
            if keep is not None:
                self._skipped += len(keep) - int(keep.sum())
                blocks = [block[keep] for block in blocks]
                frequency, reliability = (w if w is None else w[keep] for w in (frequency, reliability))
                screens = [screen(*pair, self.workspace) for pair in zip(blocks, dtypes, strict=True)]
            if self._inf == "missing":
                blocks = [np.where(np.isinf(block), np.nan, block) for block in blocks]
        for census, kept, every in zip(map(SpecialCounts.of, self._counts), screens, seen, strict=True):
            # NaN and infinities are counted in rows left out, too.
            holes = {name: every.counts[name] for name in ("nans", "infs") if name in every.counts}
            for name, count in (kept.counts | holes).items():
                getattr(census, name)[:] += count
        self._rows += len(blocks[0])
        weights = combined(frequency, reliability)
        self._weight2.add(len(blocks[0]), weights, reliability)
        if weights is not None and not weights.all():
            live = weights > 0
            blocks, weights = [block[live] for block in blocks], weights[live]
        if len(blocks[0]):
            extreme = [s.extreme for s in screens]
            for columns, each in self._tiles:
                each.add([block[:, columns] for block in blocks], weights, extreme, self.workspace)

    def _kept(self, blocks: Blocks, weights: Vector) -> Vector:
        """Return which rows the policy keeps, asked about those alone that are finite or weigh something."""
        if weights is None or weights.all():
            return self._asked(blocks, np.arange(len(blocks[0])))
        finite = np.all([np.isfinite(block).all(axis=1) for block in blocks], axis=0)
        counts = finite | (weights > 0)
        if not finite[counts].all():
            keep = self._asked([block[counts] for block in blocks], np.flatnonzero(counts))
            counts[counts] = True if keep is None else keep
        return counts

    def _asked(self, blocks: Blocks, numbers: np.ndarray) -> Vector:
        try:
            return self._policy(blocks, self._inf)
        except NonFiniteError as error:
            error.row = self._seen + int(numbers[error.row])
            raise

    def state(self) -> Any:
        censuses = [SpecialCounts.of(counts.copy()) for counts in self._counts]  # rows may still be added
        counted = Counted(self._rows, self._skipped, self._weight2, censuses)
        if self._all_ordinary:  # nothing of which overflows, so that there is no warning to hold back, which takes 8 us
            return self._finish(counted, [each.state() for _, each in self._tiles])
        with self._limited(), np.errstate(over="ignore", invalid="ignore"):
            return self._finish(counted, [each.state() for _, each in self._tiles])
