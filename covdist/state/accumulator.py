"""``Accumulator``: folds blocks of rows in place into a state, whatever that state's product is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from covdist.errors import DataError, NonFiniteError
from covdist.state.blas import single_thread
from covdist.state.census import Census, Screen, screen, widen
from covdist.state.centre import Centre, Deviations
from covdist.state.columns import Columns
from covdist.state.missing import POLICIES

# Values per block: 2 MiB of float64, so that the passes over a block stay within the cache.
_BLOCK = 1 << 18
_LEAST_ROWS = 256  # fewer make the product's inner dimension too short: 128 rows cost 5 % at 1024 columns


Blocks = Sequence[np.ndarray]  # one a side, (rows, columns)
Vector = np.ndarray | None  # (rows,)


class State(Protocol):
    """Immutable and mergeable; ``merge`` is pure, and ``empty(...)`` is its identity bit for bit."""

    def merge(self, other: Self) -> Self: ...


class Product(Protocol):
    """Sums of products of deviations within a leg."""

    def add(self, sides: Sequence[Deviations]) -> None: ...

    def close(self, centres: Sequence[Centre], columns: Sequence[Columns]) -> State:
        """Turn the leg into a state; the product is empty afterwards."""


@dataclass(frozen=True)
class Options:
    """How rows are folded.

    missing : name in ``covdist.state.missing.POLICIES``
    precision : "high" (float64 products)
    """

    missing: str = "raise"
    precision: str = "high"


class Accumulator:
    """Mutable, lives inside one task; holds one product, a buffer per side and the closed legs."""

    def __init__(self, widths: Sequence[int], product: Product, empty: State, options: Options):
        self._height = max(_LEAST_ROWS, _BLOCK // max(sum(widths), 1))
        self._product, self._held = product, empty
        self._policy = POLICIES[options.missing]
        self._centres = [Centre(width) for width in widths]
        self._seen = 0
        self._start_count()

    def _start_count(self) -> None:
        self._count = self._skipped = 0
        self._weight2 = 0.0
        self._census = [Census.empty(centre.width) for centre in self._centres]

    def add(
        self,
        *blocks: np.ndarray,
        frequency: np.ndarray | None = None,
        reliability: np.ndarray | None = None,
    ) -> None:
        """Fold rows in place.

        Parameters
        ----------
        *blocks : arrays (rows, columns), one a side, any real dtype
        frequency, reliability : arrays (rows,), optional
            How often each row counts, and how much it is trusted.
        """
        pairs = list(zip(blocks, self._centres, strict=True))
        with single_thread(), np.errstate(over="ignore", invalid="ignore"):
            # Held no longer than this: one accumulator a group, and a thousand groups, would keep 2 GiB of them.
            buffers = [np.empty(min(self._height, len(block)) * centre.width) for block, centre in pairs]
            for start in range(0, len(blocks[0]), self._height):
                cut = slice(start, start + self._height)
                how_often, how_sure = (w if w is None else _checked(w[cut]) for w in (frequency, reliability))
                self._fold([block[cut] for block in blocks], how_often, how_sure, buffers)
                self._seen += len(blocks[0][cut])

    def _fold(self, blocks: Blocks, frequency: Vector, reliability: Vector, buffers: Blocks) -> None:
        dtypes = [block.dtype for block in blocks]
        blocks = [widen(block) for block in blocks]
        screens = [screen(*pair) for pair in zip(blocks, dtypes, strict=True)]
        if any(s.nonfinite for s in screens):
            keep = self._kept(blocks)
            if keep is not None:
                self._skipped += len(keep) - int(keep.sum())
                holes = screens
                blocks = [block[keep] for block in blocks]
                frequency, reliability = (w if w is None else w[keep] for w in (frequency, reliability))
                screens = [screen(*pair) for pair in zip(blocks, dtypes, strict=True)]
                screens = [_with_holes(*pair) for pair in zip(screens, holes, strict=True)]
        self._census = [
            census if s.census is None else census.merge(s.census)
            for census, s in zip(self._census, screens, strict=True)
        ]
        self._count += len(blocks[0])
        weights = _combined(frequency, reliability)
        self._weight2 += _weight2(len(blocks[0]), weights, reliability)
        if weights is not None and not weights.all():
            live = weights > 0
            blocks, weights = [block[live] for block in blocks], weights[live]
        if len(blocks[0]):
            self._multiply(blocks, weights, [s.extreme for s in screens], buffers)

    def _kept(self, blocks: Blocks) -> Vector:
        try:
            return self._policy(blocks)
        except NonFiniteError as error:
            error.row += self._seen
            raise

    def _multiply(self, blocks: Blocks, weights: Vector, extreme: Sequence[bool], buffers: Blocks) -> None:
        if not self._centres[0].started:
            self._begin(blocks, weights, extreme)
        sides = self._deviations(blocks, weights, buffers)
        if any(
            centre.drifted(side) or centre.outgrown(block, is_extreme)
            for centre, side, block, is_extreme in zip(self._centres, sides, blocks, extreme, strict=True)
        ):
            self._close()
            self._begin(blocks, weights, extreme)
            sides = self._deviations(blocks, weights, buffers)
        self._product.add(sides)
        for centre, side in zip(self._centres, sides, strict=True):
            centre.commit(side)

    def _begin(self, blocks: Blocks, weights: Vector, extreme: Sequence[bool]) -> None:
        for centre, block, is_extreme in zip(self._centres, blocks, extreme, strict=True):
            centre.begin(block, weights, is_extreme)

    def _deviations(self, blocks: Blocks, weights: Vector, buffers: Blocks) -> list[Deviations]:
        together = zip(self._centres, blocks, buffers, strict=True)
        return [centre.deviations(block, weights, buffer) for centre, block, buffer in together]

    def _close(self) -> None:
        counted = {"rows": self._count, "skipped": self._skipped, "weight2": self._weight2}
        columns = [
            centre.columns(census=census, **counted) for centre, census in zip(self._centres, self._census, strict=True)
        ]
        self._held = self._held.merge(self._product.close(self._centres, columns))
        self._start_count()
        for centre in self._centres:
            centre.weight = 0.0

    def state(self) -> State:
        """Return what was folded so far; nothing can be added afterwards."""
        with single_thread(), np.errstate(over="ignore", invalid="ignore"):
            self._close()
        return self._held


def _checked(weights: np.ndarray) -> np.ndarray:
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        bad = weights[~(np.isfinite(weights) & (weights >= 0))][0]
        raise DataError(f"weights must be finite and not negative, found {bad}: correct or leave out such rows")
    return weights


def _combined(frequency: Vector, reliability: Vector) -> Vector:
    given = [np.asarray(w, np.float64) for w in (frequency, reliability) if w is not None]
    return None if not given else given[0] if len(given) == 1 else given[0] * given[1]


def _weight2(rows: int, weights: Vector, reliability: Vector) -> float:
    if weights is None:
        return float(rows)
    return float(weights.sum() if reliability is None else (weights * reliability).sum())


def _with_holes(kept: Screen, all_rows: Screen) -> Screen:
    """Zeros and subnormals of the kept rows, NaN and infinities of all rows seen."""
    seen = all_rows.census
    if seen is None:
        return kept
    census = kept.census or Census.empty(len(seen.nans))
    return kept._replace(census=census._replace(nans=seen.nans, infs=seen.infs))
