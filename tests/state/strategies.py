"""Hypothesis strategies that draw rows, dtypes, memory layouts, weights, groups and cuttings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from ml_dtypes import bfloat16

thorough = settings(deadline=None, max_examples=30)

FLOATS = [np.dtype(name) for name in ("f2", "f4", "f8", ">f8", bfloat16)]
INTEGERS = [np.dtype(name) for name in ("?", "u1", "i4", "i8")]
_WHOLE = 2.0**53  # larger integers are not float64 numbers

Shape = Callable[[np.random.Generator, int], np.ndarray]


def _switch(first: float, second: float, at: float = 0.5) -> Shape:
    """Values of one size, then, from the share ``at`` of the rows on, of another."""
    return lambda rng, n: rng.normal(size=n) * np.where(np.arange(n) < at * n, first, second)


# What a column looks like in units of its spread, before it is shifted and scaled.
SHAPES: dict[str, Shape] = {
    "steady": lambda rng, n: rng.normal(size=n),
    "binary": lambda rng, n: 1.0 * (rng.random(n) < 0.3),
    "constant": lambda rng, n: np.full(n, rng.normal()),
    "nearly constant": lambda rng, n: 1 + 2.0**-52 * rng.integers(0, 2, n),
    "drifting": lambda rng, n: rng.normal(size=n) + np.linspace(0, 1e4, n),
    "drifting far": lambda rng, n: rng.normal(size=n) + np.linspace(-1e8, 1e8, n),
    "jump": lambda rng, n: rng.normal(size=n) + np.where(np.arange(n) < n // 3, 0, 1e8),
    "zero, then far": lambda rng, n: np.where(np.arange(n) < n // 3, 0, 1e8 + rng.normal(size=n)),
    "outlier first": lambda rng, n: rng.normal(size=n) + np.where(np.arange(n) < 1, 1e8, 0),
    "zeros first": _switch(0, 1),
    "zeros last": _switch(1, 0),
    "tiny first": _switch(1e-200, 1),
    "tiny last": _switch(1, 1e-200),
    "huge last": _switch(1, 1e100, 0.7),
}
SHIFTS = [0.0, 1.0, 1e4, 1e8, -1e8]  # in spreads
SCALES = [1.0, 1e-4, 1e-7, 1e-30, 1e-40, 1e-200, 1e-310, 1e30, 1e200]


def cast(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return values in a dtype, cut to what it can hold."""
    if dtype.kind == "b":
        return values > np.median(values, axis=0) if len(values) else values > 0
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return np.clip(np.rint(values), max(info.min, -_WHOLE), min(info.max, _WHOLE)).astype(dtype)
    top = float(np.finfo(dtype).max) if dtype.kind == "f" else 1e38
    return np.clip(values, -top, top).astype(dtype)


def _laid_out(values: np.ndarray, layout: str) -> np.ndarray:
    """Return the same values read-only, perhaps not contiguous."""
    if layout == "fortran":
        values = np.asfortranarray(values)
    elif layout == "every second":
        values = np.repeat(values, 2, axis=0)[::2]
    elif layout == "reversed":
        values = values[::-1].copy()[::-1]
    values.flags.writeable = False
    return values


LAYOUTS = ["plain", "fortran", "every second", "reversed"]


@dataclass(frozen=True)
class Rows:
    """Blocks of the same rows, one a side, and what goes with each row."""

    blocks: tuple[np.ndarray, ...]
    by: np.ndarray
    frequency: np.ndarray | None = None
    reliability: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.by)

    @property
    def widths(self) -> list[int]:
        return [block.shape[1] for block in self.blocks]

    @property
    def weights(self) -> np.ndarray | None:
        given = [np.asarray(w, np.float64) for w in (self.frequency, self.reliability) if w is not None]
        return np.prod(given, axis=0) if given else None

    def take(self, index: slice | np.ndarray) -> Rows:
        frequency, reliability = (w if w is None else w[index] for w in (self.frequency, self.reliability))
        return Rows(tuple(block[index] for block in self.blocks), self.by[index], frequency, reliability)

    def cut(self, cuts: Sequence[int]) -> list[Rows]:
        return [self.take(slice(*ends)) for ends in pairwise([0, *cuts, len(self)])]


# Few draws of one among many: a draw costs more than the rows that come of it.
_floats = st.sampled_from(list(product(sorted(SHAPES), SHIFTS, [1.0, *SCALES])))
_integers = st.sampled_from(list(product(sorted(SHAPES), SHIFTS, [1.0, 100.0])))
_kinds = st.sampled_from(list(product(FLOATS + INTEGERS, LAYOUTS)))
_widths = st.integers(1, 3)
_seeds = st.integers(0, 2**32)
_codes = st.sampled_from(list(product([False, True], LAYOUTS)))
_weights = st.sampled_from(list(product([False, True], [False, True], [1.0, 1e-5, 1e-20], LAYOUTS)))


@st.composite
def blocks(draw: st.DrawFn, rng: np.random.Generator, n: int, width: int) -> np.ndarray:
    """Draw a block whose columns differ in shape, mean and size."""
    dtype, layout = draw(_kinds)
    columns = []
    for _ in range(width):
        shape, shift, scale = draw(_floats if dtype.kind == "f" else _integers)
        columns.append((SHAPES[shape](rng, n) + shift) * scale)
    return _laid_out(cast(np.stack(columns, axis=1), dtype), layout)


@st.composite
def some_rows(draw: st.DrawFn, weighted: bool = False, most: int = 40) -> Rows:
    """Draw rows of two sides, with group codes, some of them negative."""
    rng = np.random.default_rng(draw(_seeds))
    n = draw(st.integers(0, most))
    sides = tuple(draw(blocks(rng, n, draw(_widths))) for _ in range(2))
    in_order, layout = draw(_codes)
    by = rng.integers(-1, 3, n)
    by = _laid_out(np.sort(by) if in_order else by, layout)
    if not weighted:
        return Rows(sides, by)
    often, reliable, size, layout = draw(_weights)
    frequency = _laid_out(rng.integers(0, 4, n), layout) if often else None
    reliability = _laid_out(rng.random(n) * np.where(rng.random(n) < 0.5, 1, size), layout) if reliable else None
    return Rows(sides, by, frequency, reliability)


def cuttings(n: int) -> st.SearchStrategy[list[int]]:
    """Draw where to cut n rows; a place drawn twice makes an empty piece."""
    return st.lists(st.integers(0, n), max_size=6).map(sorted)
