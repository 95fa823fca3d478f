"""``Ordinary``: folds ordinary rows by the compiled kernel, straight into open segments, up to the first special one.

What it adds is, bit for bit, what folding the same rows by ``Segments.add`` would.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from covdist.kernel.library import (
    NONE,
    WORK,
    SegmentStruct,
    SideStruct,
    address,
    compiled,
    filled_up,
    function,
    number_of,
    packed_bytes,
    padded,
)
from covdist.kernel.workspace import Workspace
from covdist.numerics.screening import SpecialCounts, ordinary_range
from covdist.numerics.segments import BlockFold, Blocks, OpenSegment, is_kernel_fold
from covdist.numerics.weights import Vector, plain_weights

Tile = tuple[slice, BlockFold]


class Ordinary:
    """Of the accumulator whose tiles and censuses these are, which looks at ``height`` rows together."""

    def __init__(self, tiles: Sequence[Tile], censuses: Sequence[SpecialCounts], height: int):
        folds = [(columns, each) for columns, each in tiles if is_kernel_fold(each)]
        self._folds = folds if compiled() and len(folds) == len(tiles) else []
        self._censuses, self._height = censuses, height

    def fold(self, blocks: Blocks, weights: Vector, workspace: Workspace) -> int:
        """Fold rows, ``height`` at a time; return how many were folded before the first that want a closer look."""
        if not (self._folds and all(map(_readable, blocks)) and plain_weights(weights)):
            return 0
        head, opened = slice(self._height), []
        for columns, each in self._folds:
            first = [block[head, columns] for block in blocks]
            segment = each.opened(first, None if weights is None else weights[head])
            if segment is None:
                return 0
            opened.append((columns, each, segment))
        folded = self._call(blocks, weights, [(columns, segment) for columns, _, segment in opened], workspace)
        for _, each, _ in opened:
            each.folded(folded)
        return folded

    def _call(
        self, blocks: Blocks, weights: Vector, opened: Sequence[tuple[slice, OpenSegment]], workspace: Workspace
    ) -> int:
        product, amount = opened[0][1].product, len(blocks)
        sides = (SideStruct * (amount * len(opened)))()
        height, factors = min(self._height, len(blocks[0])), list[np.ndarray]()
        for number, side in enumerate(sides):
            (columns, segment), which = opened[number // amount], number % amount
            block, shifted, census = blocks[which], segment.shifted[which], self._censuses[which]
            side.data = address(block[:, columns])
            side.rows, side.columns, side.stride = len(block), shifted.width, block.strides[0]
            side.type = number_of(block.dtype)
            side.shift, side.sums, side.squares = map(address, (shifted.shift, shifted.sums, shifted.squares))
            side.zeros, side.subnormals = address(census.zeros[columns]), address(census.subnormals[columns])
            side.weight = shifted.weight
            side.small, side.largest, side.subnormal = ordinary_range(block.dtype)
            side.work = workspace.address(f"work {number}", 8 * WORK * padded(shifted.width))
            if product.kept != NONE:
                room = height * packed_bytes(shifted.width, bool(product.scales))
                side.panels = workspace.address(f"panels {number}", room)
            if product.scales:
                factors.append(filled_up(product.scales[which]))
                side.factors = address(factors[-1])
        weights = None if weights is None else np.ascontiguousarray(weights)
        roots = None if weights is None else np.sqrt(weights)
        places = [ctypes.addressof(sides), *map(address, (weights, roots, product.sums))]
        folded = function("fold")(SegmentStruct(*places, len(sides), product.kept, self._height))
        for number, side in enumerate(sides):
            opened[number // amount][1].shifted[number % amount].weight = side.weight
        return folded


def _readable(block: np.ndarray) -> bool:
    """Return whether the kernel can read a block as it lies."""
    beside = block.shape[1] == 1 or block.strides[1] == block.itemsize
    return number_of(block.dtype) is not None and beside and block.strides[0] >= 0 and block.flags.aligned
