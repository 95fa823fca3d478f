"""Sums of products of given rows, the same bits on every processor."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from covdist.kernel.library import (
    PACKED,
    RECTANGLE,
    SQUARE,
    WORK,
    SegmentStruct,
    SideStruct,
    address,
    filled_up,
    function,
    own_address,
    packed_bytes,
    panels,
)  # fmt: skip

_FEW = 1 << 16  # products of single rows, which numpy adds in the time that the kernel takes to be called
_HEIGHT = 1024  # rows packed at once; a multiple of the 256 whose sum starts from zero


def add_gram(rows: np.ndarray, sums: np.ndarray, factor: float = 1.0) -> None:
    """Add ``factor * rows.T @ rows`` to a triangle in rectangular full packed storage, or a square's lower triangle."""
    if len(rows) == 1 and sums.ndim == 2 and sums.size <= _FEW:
        _add_outer(rows * factor, rows, sums)
    else:
        _multiply([rows] if factor == 1 else [rows * factor, rows], sums, SQUARE if sums.ndim == 2 else PACKED)


def add_product(left: np.ndarray, right: np.ndarray, out: np.ndarray, factor: float = 1.0) -> None:
    """Add ``factor * left.T @ right`` to ``out``."""
    if len(left) == 1 and out.size <= _FEW:
        _add_outer(left * factor, right, out)
    else:
        _multiply([left if factor == 1 else left * factor, right], out, RECTANGLE)


def _add_outer(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    """Add the products of one row with one row: each is rounded, then added, as the kernel does."""
    out += np.multiply.outer(left[0], right[0])


def centred(square: np.ndarray, sums: np.ndarray, factor: float) -> np.ndarray:
    """Return the packed triangle of ``square + factor * outer(sums, sums)``, as ``add_gram`` of one row adds that."""
    n = len(square)
    packed = np.empty(n * (n + 1) // 2)
    function("centre")(n, factor, own_address(sums), own_address(square), own_address(packed))
    return packed


def add_float_gram(rows: np.ndarray, scale: np.ndarray, sums: np.ndarray) -> None:
    """Add the products of ``rows * scale``, rounded to float32 and summed in it 256 rows at a time."""
    _multiply([rows], sums, SQUARE if sums.ndim == 2 else PACKED, [scale])


def add_float_product(rows: Sequence[np.ndarray], scales: Sequence[np.ndarray], out: np.ndarray) -> None:
    """Add the products of two sides' rows, rounded and summed as by ``add_float_gram``."""
    _multiply(rows, out, RECTANGLE, scales)


def _multiply(
    blocks: Sequence[np.ndarray], out: np.ndarray, products: int, factors: Sequence[np.ndarray] | None = None
) -> None:
    height, sides = min(_HEIGHT, len(blocks[0])), (SideStruct * len(blocks))()
    held: list[np.ndarray] = []
    for number, (side, block) in enumerate(zip(sides, blocks, strict=True)):
        width = block.shape[1]
        shift, work = np.zeros(panels(width)), np.empty(WORK * panels(width))
        room = np.empty(height * packed_bytes(width, factors is not None), np.uint8)
        held += [shift, work, room]
        if factors is not None:
            held.append(filled := filled_up(factors[number]))
            side.factors = address(filled)
        side.data, side.rows, side.columns, side.stride = address(block), *block.shape, block.strides[0]
        side.shift, side.work, side.panels = address(shift), address(work), address(room)
    segment = SegmentStruct(ctypes.addressof(sides), None, None, address(out), len(blocks), products, height)
    function("multiply")(segment)
