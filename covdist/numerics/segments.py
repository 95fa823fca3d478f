"""``Segments``: folds clean blocks into a state, starting a new leg where the pilot or the scale no longer serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np

from covdist.numerics.columns import Columns
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns
from covdist.numerics.workspace import Workspace

Blocks = Sequence[np.ndarray]  # one a side, (rows, columns)
Vector = np.ndarray | None  # (rows,)


class State(Protocol):
    """Immutable and mergeable; ``merge`` is pure, and ``empty(...)`` is its identity bit for bit."""

    def merge(self, other: Self) -> Self: ...


class Product(Protocol):
    """Sums of products of deviations within a leg."""

    def add(self, sides: Sequence[Deviations]) -> None: ...

    def close(self, centres: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> State:
        """Turn the leg into a state; the product is empty afterwards."""


class BlockFold(Protocol):
    """What an accumulator hands its rows to."""

    def add(self, blocks: Blocks, weights: Vector, extreme: Sequence[bool], workspace: Workspace) -> None: ...

    def state(self) -> Any: ...


class Segments:
    """The closed legs of some columns, and the open one: a product and a centre for each side."""

    def __init__(self, widths: Sequence[int], product: Product, empty: State):
        self._product, self._held = product, empty
        self._centres = [ShiftedColumns(width) for width in widths]

    def add(self, blocks: Blocks, weights: Vector, extreme: Sequence[bool], workspace: Workspace) -> None:
        """Fold rows of positive weight."""
        if not self._centres[0].started:
            self._begin(blocks, weights, extreme)
        sides = self._deviations(blocks, weights, workspace)
        if any(
            centre.drifted(side) or centre.outgrown(block, is_extreme)
            for centre, side, block, is_extreme in zip(self._centres, sides, blocks, extreme, strict=True)
        ):
            self._close()
            self._begin(blocks, weights, extreme)
            sides = self._deviations(blocks, weights, workspace)
        self._product.add(sides)
        for centre, side in zip(self._centres, sides, strict=True):
            centre.commit(side)

    def _begin(self, blocks: Blocks, weights: Vector, extreme: Sequence[bool]) -> None:
        for centre, block, is_extreme in zip(self._centres, blocks, extreme, strict=True):
            centre.begin(block, weights, is_extreme)

    def _deviations(self, blocks: Blocks, weights: Vector, workspace: Workspace) -> list[Deviations]:
        outs = [workspace.array(f"deviations {side}", block.shape, np.float64) for side, block in enumerate(blocks)]
        together = zip(self._centres, blocks, outs, strict=True)
        return [centre.deviations(block, weights, out) for centre, block, out in together]

    def _close(self) -> None:
        columns = [centre.columns() for centre in self._centres]
        self._held = self._held.merge(self._product.close(self._centres, columns))
        for centre in self._centres:
            centre.started = False

    def state(self) -> State:
        """Return what was folded so far."""
        if self._centres[0].started:
            self._close()
        return self._held
