"""Folds rows with every array that the kernel is given between two pages that must not be touched, for test_bits."""

from __future__ import annotations

import ctypes
import math
import mmap
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np

from covdist.kernel import groups, products
from covdist.kernel.library import SQUARE
from covdist.kernel.workspace import Workspace
from covdist.numerics import packed, shifted_columns
from covdist.numerics.accumulator import Options
from covdist.numerics.nonfinite import drop
from covdist.numerics.ordinary import fold_side_by_side, runs_of
from covdist.state.cross import Cross
from covdist.state.scatter import Scatter
from covdist.state.variances import Variances

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_size_t]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
at_end = [True]


def guarded(shape: int | tuple[int, ...], dtype=np.float64) -> np.ndarray:
    """Return an array of its own pages, at their end or beginning; they are never given back."""
    size = math.prod(np.atleast_1d(shape).tolist()) * np.dtype(dtype).itemsize
    inner = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    start = libc.mmap(None, inner + 2 * mmap.PAGESIZE, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    start += mmap.PAGESIZE
    assert not libc.mprotect(start, inner, mmap.PROT_READ | mmap.PROT_WRITE)
    memory = (ctypes.c_char * size).from_address(start + (inner - size if at_end[0] else 0))
    return np.frombuffer(memory, dtype).reshape(shape)


def copied(values: np.ndarray) -> np.ndarray:
    """Return a guarded copy."""
    found = guarded(values.shape, values.dtype)
    found[...] = values
    return found


def guarded_array(self: Workspace, name: str, shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    return guarded(shape, dtype)


def fold(rng: np.random.Generator, height: int, width: int, dtype: str) -> None:
    block = copied(rng.normal(50, 20, (height, width)).clip(0, 120).astype(dtype))
    beside = block[:, width // 3 :]  # whose rows lie apart
    weights = copied(rng.random(height))
    for precision in ("high", "fast"):
        for kind, blocks in ((Variances, [block]), (Scatter, [beside]), (Cross, [beside, block])):
            accumulator = kind.accumulator(*(each.shape[1] for each in blocks), Options(drop, precision))
            accumulator.add(*blocks)
            accumulator.add(*blocks, frequency=weights)
            accumulator.state()
    x = copied(block.astype("f8"))
    products.add_gram(x, guarded((width, width)))
    products.add_gram(x, guarded(packed.size(width)), 2.0)
    products.add_float_gram(x, copied(np.ones(width)), guarded(packed.size(width)))
    products.add_product(x, x, guarded((width, width)))


def fold_runs(rng: np.random.Generator, height: int, width: int, dtype: str) -> None:
    rows = copied(rng.normal(50, 20, (height, width)).clip(0, 120).astype(dtype))
    sizes = np.array([height // 3, height - height // 3])
    some = sizes > 0
    offsets = (np.array([0, sizes[0]]) * rows.strides[0])[some]
    found = runs_of(rows, offsets, sizes[some], width, 256)
    if found is not None:  # of single columns there is none
        groups.fold_columns(found)
        triangles, places = guarded((len(found.rows), packed.size(width))), np.flatnonzero(some)
        squares = groups.fold_triangles(found, triangles).moments[:, 2]
        groups.fold_triangles(found, guarded(triangles.shape), True)
        for divisor in (2.0, np.nan):
            matrices = guarded((2, width, width))
            groups.fold_matrices(found, np.full(len(found.rows), divisor), matrices, places)
            groups.matrices_of(triangles, squares, np.full(len(found.rows), divisor), matrices, places)


def fold_turned(rng: np.random.Generator, height: int, width: int, dtype: str) -> None:
    """Arrays of channels before positions, of which the last few are fewer than are turned at a time."""
    channels = copied(rng.normal(50, 20, (height, width, 37)).clip(0, 120).astype(dtype))
    fold_side_by_side(channels.transpose(0, 2, 1), SQUARE)


def main() -> None:
    made = SimpleNamespace(**vars(np) | {"empty": guarded, "zeros": guarded})
    Workspace.array = guarded_array
    products.np = shifted_columns.np = groups.np = made
    groups.empty_bytes = partial(guarded, dtype=np.uint8)
    for at_end[0] in (True, False):
        rng = np.random.default_rng(0)
        for height in (1, 7, 255, 600):
            for width in (1, 5, 16, 33, 70, 257):
                for each in (fold, fold_runs, fold_turned):
                    each(rng, height, width, rng.choice(["f2", "f4", "f8", "i1", "u2", "i4", "i8"]))
    sys.stdout.write("whole")


if __name__ == "__main__":
    main()
