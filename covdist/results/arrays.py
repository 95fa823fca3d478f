"""A state as labelled arrays, and back: the form in which it is looked at and saved."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import xarray as xr

from covdist.numerics import packed as triangle
from covdist.numerics.columns import Columns
from covdist.numerics.divisors import PAIRWISE
from covdist.numerics.screening import SpecialCounts
from covdist.readings.cov import scatter_matrix
from covdist.results.arrays_pairwise import read_pairwise, state_of
from covdist.results.matrix import read_matrix
from covdist.results.moments import STATES, Layout, Moments
from covdist.state.grouped import Grouped
from covdist.state.variances import Variances

_SCALARS = {"count": np.int64, "skipped": np.int64, "weight": np.float64, "weight2": np.float64}
_VECTORS = {"mean": np.float64, "mean_low": np.float64, "squares": np.float64, "exponent": np.int64}


def read(moments: Moments) -> xr.Dataset:
    """Return the arrays of a state: see ``FIELDS`` in the docs for what each holds."""
    layout = moments.layout
    rows = _rows_name(layout)
    arrays = {
        name if name != "count" else rows: moments.read(partial(_scalar, name=name), (), dtype=dtype)
        for name, dtype in _SCALARS.items()
    }
    for side, axis in enumerate(layout.axes):
        suffix = "_y" if side else ""
        axis = layout.matrix_axes()[1] if side else axis
        for name, dtype in _VECTORS.items():
            arrays[name + suffix] = moments.read(partial(_vector, side=side, name=name), (axis,), dtype=dtype)
        for name in SpecialCounts._fields:
            arrays[name + suffix] = moments.read(partial(_counts, side=side, name=name), (axis,), dtype=np.int64)
    if layout.kind in PAIRWISE.values():
        arrays |= read_pairwise(moments)
    if layout.kind in ("full", "cross"):
        arrays["scatter"] = read_matrix(moments, _scatter, name="scatter", attrs={})
    return xr.Dataset(arrays, attrs={"kind": layout.kind, "ddof": 0, **layout.provenance})


def _rows_name(layout: Layout) -> str:
    """Pairs have counts of their own."""
    return "rows" if layout.kind in PAIRWISE.values() else "count"


def _columns(state: Any, side: int) -> Columns:
    return state.columns_y if side else state.columns


def _scalar(state: Any, name: str) -> float:
    return state.columns.rows if name == "count" else getattr(state.columns, name)


def _vector(state: Any, side: int, name: str) -> np.ndarray:
    return getattr(_columns(state, side), name)


def _counts(state: Any, side: int, name: str) -> np.ndarray:
    return getattr(_columns(state, side).census, name)


def _scatter(state: Any, rows: slice) -> np.ndarray:
    return scatter_matrix(state, rows)[0]


def from_arrays(arrays: Callable[[str], np.ndarray], layout: Layout) -> Any:
    """Rebuild the state of ``layout`` from the arrays that ``read`` names."""
    if layout.groups is None:
        return _state(arrays, layout)
    whole = cache(arrays)

    def one(code: int) -> Any:
        return _state(lambda name: whole(name)[code], layout)

    return Grouped(layout.empty(), {code: one(code) for code in range(len(layout.groups.values))})


def _state(arrays: Callable[[str], np.ndarray], layout: Layout) -> Any:
    sizes = [axis.size for axis in layout.axes]
    rows = int(arrays(_rows_name(layout)))
    sides = [_side(arrays, "_y" if side else "", size, rows) for side, size in enumerate(sizes)]
    if layout.kind in PAIRWISE.values():
        return state_of(arrays, layout, sides)
    if STATES[layout.kind] is Variances:
        return STATES[layout.kind](*sides)
    scatter = np.asarray(arrays("scatter"), np.float64).reshape(sizes[0], sizes[-1])
    matrix = scatter if layout.kind == "cross" else triangle.pack(scatter)
    return STATES[layout.kind](*sides, matrix)


def _side(arrays: Callable[[str], np.ndarray], suffix: str, size: int, rows: int) -> Columns:
    return Columns(
        rows=rows,
        skipped=int(arrays("skipped")),
        weight=float(arrays("weight")),
        weight2=float(arrays("weight2")),
        census=SpecialCounts(*(np.asarray(arrays(name + suffix)).reshape(size) for name in SpecialCounts._fields)),
        **{name: np.asarray(arrays(name + suffix), dtype).reshape(size) for name, dtype in _VECTORS.items()},
    )
