"""``Segments``: folds clean blocks into sums, starting a new segment where pilot or scale no longer serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol, TypeGuard, runtime_checkable

import numpy as np

from covdist.kernel.library import compiled
from covdist.kernel.workspace import Workspace
from covdist.numerics.columns import Columns
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns
from covdist.numerics.weights import Vector, in_unit

Blocks = Sequence[np.ndarray]  # one a side, (rows, columns)


class OpenProduct(NamedTuple):
    """Where the compiled kernel adds products of deviations."""

    kept: int  # which, as the kernel calls them
    sums: np.ndarray
    scales: list[np.ndarray] | None = None  # of each side, for products of float32; empty before there are rows


class Product(Protocol):
    """Sums of products of deviations within a segment."""

    def add(self, sides: Sequence[Deviations]) -> None:
        """Add the products of one block."""

    def close(self, shifted: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Any:
        """Turn the segment into a state; the product is empty afterwards."""


class OpenSegment(NamedTuple):
    """What the compiled kernel adds ordinary rows to."""

    shifted: Sequence[ShiftedColumns]
    product: OpenProduct
    begins: bool  # whether the kernel makes the pilots, of the first rows


@runtime_checkable
class KernelProduct(Protocol):
    """A product that the compiled kernel can add to as well; where there is one, it multiplies by that, not by BLAS."""

    def open(self) -> OpenProduct | None:
        """Return where the products of the segment are summed; None where a block must come by ``add`` first."""


class BlockFold(Protocol):
    """Takes clean blocks of rows from an accumulator."""

    def add(self, blocks: Blocks, weights: Vector, extreme: Sequence[bool], workspace: Workspace) -> None:
        """Fold rows of positive weight."""

    def state(self) -> Any:
        """Return the state of all rows so far."""


def is_kernel_product(product: Product) -> TypeGuard[KernelProduct]:
    return _implements(type(product), KernelProduct)


@runtime_checkable
class KernelFold(Protocol):
    """A fold that the compiled kernel can add to as well."""

    def opened(self, blocks: Blocks, weights: Vector) -> OpenSegment | None:
        """Return the open segment, begun with these rows where there is none; None where rows come by ``add`` alone."""

    def folded(self, rows: int) -> None:
        """Count rows that were folded into the open segment."""


def is_kernel_fold(fold: BlockFold) -> TypeGuard[KernelFold]:
    return _implements(type(fold), KernelFold)


@cache  # isinstance takes 20 us to compare with a protocol
def _implements(kind: type, protocol: type) -> bool:
    return issubclass(kind, protocol)


class Segments:
    """The closed segments of some columns, merged, and the open one: a product and a shift for each side."""

    def __init__(self, widths: Sequence[int], product: Product, empty: Callable[[], Any]):
        self._product, self._empty = product, empty
        self._opening = product.open if is_kernel_product(product) else None
        self.by_kernel = compiled() and self._opening is not None
        self._closed: Any = None  # before the first is: of a thousand groups, empty states take a thousand matrices
        self._shifted = [ShiftedColumns(width) for width in widths]
        self._narrowest = min(widths, default=0)
        self._unit = 0  # of the open segment's weights

    def add(self, blocks: Blocks, weights: Vector, extreme: Sequence[bool], workspace: Workspace) -> None:
        weights, unit = in_unit(weights, self._unit if self._shifted[0].weight else None)
        if unit != self._unit and self._shifted[0].weight:
            self._close()
        self._unit = unit
        if not self._shifted[0].weight:
            self._begin(blocks, weights, extreme)
        sides = self._deviations(blocks, weights, workspace)
        together = zip(self._shifted, sides, blocks, extreme, strict=True)
        if any(
            shifted.drifted(side) or shifted.outgrown(block, is_extreme)
            for shifted, side, block, is_extreme in together
        ):
            self._close()
            self._begin(blocks, weights, extreme)
            sides = self._deviations(blocks, weights, workspace)
        self._product.add(sides)
        for shifted, side in zip(self._shifted, sides, strict=True):
            shifted.commit(side)

    def opened(self, blocks: Blocks, weights: Vector) -> OpenSegment | None:
        if self._opening is None:
            return None
        begins = False
        if not self._shifted[0].weight:
            self._unit = 0
            begins = weights is None and self._narrowest > 1  # of single columns numpy sums pilots in pairs
            if begins:
                for shifted in self._shifted:
                    shifted.open()
            else:
                self._begin(blocks, weights, [False] * len(blocks))
        product = self._opening()
        if product is None or self._unit:
            return None
        if not begins and (product.scales == [] or not all([shifted.plain for shifted in self._shifted])):
            return None
        return OpenSegment(self._shifted, product, begins)

    def folded(self, rows: int) -> None:
        """Count nothing: the sides know their weight."""

    def _begin(self, blocks: Blocks, weights: Vector, extreme: Sequence[bool]) -> None:
        for shifted, block, is_extreme in zip(self._shifted, blocks, extreme, strict=True):
            shifted.begin(block, weights, is_extreme)

    def _deviations(self, blocks: Blocks, weights: Vector, workspace: Workspace) -> list[Deviations]:
        outs = [workspace.array(f"deviations {side}", block.shape, np.float64) for side, block in enumerate(blocks)]
        together = zip(self._shifted, blocks, outs, strict=True)
        return [shifted.deviations(block, weights, out) for shifted, block, out in together]

    def _close(self) -> None:
        columns = [shifted.columns() for shifted in self._shifted]
        if self._unit:
            columns = [each._replace(weight_unit=self._unit) for each in columns]
        closed = self._product.close(self._shifted, columns)
        self._closed = closed if self._closed is None else self._closed.merge(closed)
        for shifted in self._shifted:
            shifted.weight = 0.0

    def state(self) -> Any:
        if self._shifted[0].weight:
            self._close()
        return self._empty() if self._closed is None else self._closed
