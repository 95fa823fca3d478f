"""``Ordinary``: folds ordinary rows by the compiled kernel, straight into open segments, up to the first special one.

What it adds is, bit for bit, what folding the same rows by ``Segments.add`` would.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from covdist.kernel.library import (
    NONE,
    SQUARE,
    WORK,
    SegmentStruct,
    SideStruct,
    address,
    compiled,
    filled_up,
    function,
    number_of,
    own_address,
    packed_bytes,
    padded,
    panels,
    side_array,
)
from covdist.kernel.workspace import Workspace
from covdist.numerics import packed
from covdist.numerics.columns import PER_COLUMN, Columns
from covdist.numerics.screening import SpecialCounts, ordinary_range
from covdist.numerics.segments import BlockFold, Blocks, OpenSegment, is_kernel_fold
from covdist.numerics.shifted_columns import ShiftedColumns, beyond_float64
from covdist.numerics.weights import Vector, plain_weights

Tile = tuple[slice, BlockFold]

_LEAST_HEIGHT, _VALUES = 256, 1 << 15  # of arrays side by side: the rows and values that are looked at together


class Ordinary:
    """Of the accumulator whose tiles and censuses these are, which looks at ``height`` rows together."""

    def __init__(self, tiles: Sequence[Tile], censuses: Sequence[SpecialCounts], height: int):
        folds = [(columns, each) for columns, each in tiles if is_kernel_fold(each)]
        self._folds = folds if compiled() and len(folds) == len(tiles) else []
        self._counts = [[own_address(each.zeros), own_address(each.subnormals)] for each in censuses if self._folds]
        self._height = height

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
        factors = [filled_up(scales) for scales in product.scales]
        places: list[int | None] = [own_address(each) for each in factors] or [None] * amount
        held = side_array(amount * len(opened))()
        for number in range(len(held)):
            (columns, segment), which = opened[number // amount], number % amount
            held[number] = self._side(number, columns, segment, which, blocks[which], places[which], workspace)
        weights = None if weights is None else np.ascontiguousarray(weights)
        roots = None if weights is None else np.sqrt(weights)
        given = ctypes.addressof(held), address(weights), address(roots), own_address(product.sums)
        folded = function("fold")(SegmentStruct(*given, len(held), product.kept, self._height))
        for number, side in enumerate(held):
            opened[number // amount][1].shifted[number % amount].weight = side.weight
        return folded

    def _side(
        self, number: int, columns: slice, segment: OpenSegment, which: int, block: np.ndarray, factors: int | None,
        workspace: Workspace,
    ) -> SideStruct:  # fmt: skip
        shifted, kept = segment.shifted[which], segment.product.kept != NONE
        first = columns.start or 0
        zeros, subnormals = (place + 8 * first for place in self._counts[which])
        # Memory for the panels begins where a cache line does, as that for the rest does: there are whole ones of it.
        work = 8 * WORK * padded(shifted.width)
        rows = min(self._height, len(block))
        panels = rows * packed_bytes(shifted.width, bool(segment.product.scales)) if kept else 0
        memory = workspace.address(f"side {number}", work + panels)
        return SideStruct(
            block.ctypes.data + first * block.itemsize, len(block), shifted.width, block.strides[0],
            number_of(block.dtype), *shifted.places, zeros, subnormals, factors, shifted.weight,
            *ordinary_range(block.dtype), memory, memory + work, segment.begins,
        )  # fmt: skip


class StackedColumns(NamedTuple):
    """Moments of arrays that lay side by side, along a first axis; right where their rows were ``ordinary``."""

    columns: Columns  # without counts of rows
    census: SpecialCounts
    products: np.ndarray  # about the mean, of each array's columns
    ordinary: np.ndarray  # bool (arrays,)


def folds_side_by_side(dtype: np.dtype, width: int) -> bool:
    """Return whether the kernel folds arrays that lie side by side; of single columns numpy sums pilots in pairs."""
    return compiled() and number_of(dtype) is not None and 1 < width < packed.LEAST_COLUMNS


def fold_side_by_side(block: np.ndarray, width: int, products: int) -> StackedColumns | None:
    """Fold arrays of ``width`` columns that lie side by side, each by itself; None where that cannot be.

    What is made once for all columns, pilots and means, takes most of the time that folding a small array does.
    """
    if not (folds_side_by_side(block.dtype, width) and _readable(block)) or beyond_float64(block):
        return None
    rows, count = len(block), block.shape[1] // width
    shifted = ShiftedColumns(count * width)
    with np.errstate(over="ignore", invalid="ignore"):
        shifted.begin(block, None, False)
        matrices = np.zeros((count, width, width) if products == SQUARE else (count, 0, 0))
        census = SpecialCounts(*np.zeros((4, count, width), np.int64))
        ordinary = _fold_each(block, width, shifted, census, matrices, products)
        shifted.weight = float(rows)
        if products == SQUARE:
            sums = shifted.sums.reshape(count, width)
            matrices += (sums * (-1 / shifted.weight))[:, :, None] * sums[:, None, :]
        columns = shifted.columns()
    each: dict[str, Any] = {name: getattr(columns, name).reshape(count, width) for name in PER_COLUMN}
    return StackedColumns(columns._replace(**each, census=census), census, matrices, ordinary)


def _fold_each(
    block: np.ndarray, width: int, shifted: ShiftedColumns, census: SpecialCounts, matrices: np.ndarray, products: int
) -> np.ndarray:
    """Fold each array into its columns' sums, and return whether all of its rows were ordinary."""
    rows, count = len(block), block.shape[1] // width
    shifts = np.zeros((count, panels(width)))
    shifts[:, :width] = shifted.pilot.reshape(count, width)
    height = min(rows, max(_LEAST_HEIGHT, _VALUES // width))
    work, room = np.empty(WORK * padded(width)), np.empty(height * packed_bytes(width, False), np.uint8)
    structs, segments = (SideStruct * count)(), (SegmentStruct * count)()
    sides, made = np.frombuffer(structs, np.dtype(SideStruct)), np.frombuffer(segments, np.dtype(SegmentStruct))
    numbers = np.arange(count, dtype=np.uint64)
    sides["data"] = block.ctypes.data + numbers * (width * block.itemsize)
    sides["rows"], sides["columns"], sides["stride"] = rows, width, block.strides[0]
    sides["type"], sides["factors"], sides["weight"] = number_of(block.dtype), 0, 0
    for name, array in {"shift": shifts, "zeros": census.zeros, "subnormals": census.subnormals}.items():
        sides[name] = array.ctypes.data + numbers * array.strides[0]
    for name, array in {"sums": shifted.sums, "squares": shifted.squares}.items():
        sides[name] = array.ctypes.data + numbers * (8 * width)
    sides["small"], sides["largest"], sides["subnormal"] = ordinary_range(block.dtype)
    sides["work"], sides["panels"] = work.ctypes.data, room.ctypes.data
    made["sides"] = ctypes.addressof(structs) + numbers * ctypes.sizeof(SideStruct)
    made["matrix"] = matrices.ctypes.data + numbers * (8 * width * width)
    made["count"], made["products"], made["height"] = 1, products, height
    fold = function("fold")
    return np.array([fold(segment) == rows for segment in segments])


def _readable(block: np.ndarray) -> bool:
    """Return whether the kernel can read a block as it lies."""
    beside = block.shape[1] == 1 or block.strides[1] == block.itemsize
    return number_of(block.dtype) is not None and beside and block.strides[0] >= 0 and block.flags.aligned
