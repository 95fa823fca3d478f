"""``Ordinary``: folds ordinary rows by the compiled kernel, straight into open segments, up to the first special one.

What it adds is, bit for bit, what folding the same rows by ``Segments.add`` would.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from covdist.kernel.apart import Apart
from covdist.kernel.groups import Folded, Runs, fold_columns, fold_triangles
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
    own_address,
    packed_bytes,
    padded,
    panels,
    place,
    side_array,
)
from covdist.kernel.workspace import Workspace
from covdist.numerics import packed
from covdist.numerics.columns import Columns
from covdist.numerics.screening import SpecialCounts, ordinary_range
from covdist.numerics.segments import BlockFold, Blocks, OpenSegment, is_kernel_fold
from covdist.numerics.shifted_columns import beyond_float64
from covdist.numerics.weights import Vector, plain_weights

Tile = tuple[slice, BlockFold]

_TOGETHER = 1 << 16  # values whose deviations, as float64, stay within the second cache


def height_of(widths: Sequence[int], least_rows: int = 256) -> int:
    """Return how many rows are looked at together."""
    return max(least_rows, _TOGETHER // max(sum(widths), 1) // 256 * 256)


class _Kind(NamedTuple):
    """What the kernel is told of a side for its width, dtype and products alone."""

    number: int | None
    range: tuple[float, float, bool]
    work: int  # bytes of memory, apart from those that a row takes in panels
    row: int

    @classmethod
    def of(cls, dtype: np.dtype, width: int, kept: int, floats: bool) -> _Kind:
        row = 0 if kept == NONE else packed_bytes(width, floats)
        return cls(number_of(dtype), ordinary_range(dtype), 8 * WORK * padded(width), row)


_kind = lru_cache(maxsize=64)(_Kind.of)


class Ordinary:
    """Of the accumulator whose tiles and counts of special values these are, which looks at ``height`` rows together.

    Counts are int64 (4, columns) for each side, in the order of ``SpecialCounts``.
    """

    def __init__(self, tiles: Sequence[Tile], counts: Sequence[np.ndarray], height: int):
        folds = [(columns, each) for columns, each in tiles if is_kernel_fold(each)] if compiled() else []
        self._folds = folds if len(folds) == len(tiles) else []
        self._counts, self._height = counts, height

    def fold(self, blocks: Blocks, weights: Vector, workspace: Workspace) -> int:
        """Fold rows, ``height`` at a time; return how many were folded before the first that want a closer look."""
        if not (self._folds and all(map(_readable, blocks)) and plain_weights(weights)):
            return 0
        head = slice(self._height)
        opened: list[tuple[int, OpenSegment]] = []
        for columns, each in self._folds:
            segment = each.opened(
                [block[head, columns] for block in blocks], None if weights is None else weights[head]
            )
            if segment is None:
                return 0
            opened.append((columns.start or 0, segment))
        folded = self._call(blocks, weights, opened, workspace)
        for _, each in self._folds:
            each.folded(folded)
        return folded

    def _call(
        self, blocks: Blocks, weights: Vector, opened: Sequence[tuple[int, OpenSegment]], workspace: Workspace
    ) -> int:
        product, sides, number = opened[0][1].product, side_array(len(blocks) * len(opened))(), 0
        factors = _factors(opened[0][1])
        counts = [own_address(each) for each in self._counts]
        for first, segment in opened:
            for which, (block, shifted) in enumerate(zip(blocks, segment.shifted, strict=True)):
                width, rows = shifted.width, len(block)
                type_, ordinary, work, row = _kind(block.dtype, width, product.kept, bool(factors))
                zeros, wide = counts[which] + 8 * first, 8 * self._counts[which].shape[1]
                # Memory for the panels begins where a cache line does, as that for the rest does: there are whole ones.
                memory = workspace.address(f"side {number}", work + min(self._height, rows) * row)
                sides[number] = SideStruct(
                    place(block) + first * block.itemsize, rows, width, block.strides[0], type_, *shifted.places,
                    zeros, zeros + wide, own_address(factors[which]) if factors else None, shifted.weight, *ordinary,
                    memory, memory + work, segment.begins, product.scales == [],
                )  # fmt: skip
                number += 1
        weights = None if weights is None else np.ascontiguousarray(weights)
        roots = None if weights is None else np.sqrt(weights)
        given = ctypes.addressof(sides), address(weights), address(roots), own_address(product.sums)
        folded = function("fold")(SegmentStruct(*given, number, product.kept, self._height))
        for number, side in enumerate(sides):
            opened[number // len(blocks)][1].shifted[number % len(blocks)].weight = side.weight
        if folded and product.scales is not None and not product.scales:
            product.scales.extend(
                made[: len(each.sums)] for made, each in zip(factors, opened[0][1].shifted, strict=True)
            )
        return folded


def _factors(segment: OpenSegment) -> list[np.ndarray]:
    """Return each side's factors where products are of float32, and memory for them where the segment begins."""
    if segment.product.scales is None:
        return []
    held = [filled_up(scales) for scales in segment.product.scales]
    return held or [np.zeros(panels(shifted.width)) for shifted in segment.shifted]


class StackedColumns(NamedTuple):
    """Moments of arrays that lay side by side, along a first axis; right where their rows were ``ordinary``."""

    columns: Columns
    triangles: np.ndarray  # of products about the mean, of each array's columns, packed; or none
    ordinary: np.ndarray  # bool (arrays,)


def folds_side_by_side(dtype: np.dtype, width: int) -> bool:
    """Return whether the kernel folds arrays that lie side by side; of single columns numpy sums pilots in pairs."""
    return compiled() and number_of(dtype) is not None and 1 < width < packed.LEAST_COLUMNS


def fold_side_by_side(block: np.ndarray, products: int, floats: bool = False) -> StackedColumns | None:
    """Fold each of some arrays (rows, arrays, columns) by itself; None where that cannot be.

    ``floats`` says whether they are multiplied in float32.
    """
    rows, count, width = block.shape
    if not rows or not folds_side_by_side(block.dtype, width) or beyond_float64(block):
        return None
    one, offsets = block[:, 0], np.arange(count) * block.strides[1]
    apart = None if _readable(one) else Apart(block)
    runs = Runs(one, offsets, np.full(count, rows), width, height_of([width]), ordinary_range(block.dtype), apart)
    if products == NONE:
        triangles, folded = np.empty((count, 0)), fold_columns(runs)
    else:
        triangles = np.empty((count, packed.size(width)))
        folded = fold_triangles(runs, triangles, floats)
    return StackedColumns(moments_of(folded, slice(None), rows), triangles, folded.ordinary)


def runs_of(block: np.ndarray, offsets: np.ndarray, rows: np.ndarray, width: int, height: int) -> Runs | None:
    """Return groups of rows that the kernel can fold as they lie, ``height`` at a time; None where it cannot."""
    if not compiled() or width < 2 or not _readable(block) or beyond_float64(block):
        return None  # of single columns numpy sums pilots in pairs
    return Runs(block, offsets, rows, width, height, ordinary_range(block.dtype))


def moments_of(folded: Folded, which: slice | np.ndarray, rows: int) -> Columns:
    """Return the moments of some groups, which have as many rows, along a first axis."""
    moments, counts = folded.moments[which], folded.counts[which]
    zeros, weight = np.zeros(counts[:, 0].shape, np.int64), float(rows)
    census = SpecialCounts(counts[:, 0], counts[:, 1], zeros, zeros)
    return Columns(rows, 0, weight, weight, moments[:, 0], moments[:, 1], moments[:, 2], zeros, census)


def _readable(block: np.ndarray) -> bool:
    """Return whether the kernel can read a block as it lies."""
    beside = block.shape[1] == 1 or block.strides[1] == block.itemsize
    return number_of(block.dtype) is not None and beside and block.strides[0] >= 0 and block.flags.aligned
