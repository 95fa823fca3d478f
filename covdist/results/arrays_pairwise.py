"""What states of pairs hold beside the columns' moments, as labelled arrays and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np
import xarray as xr

from covdist.numerics.columns import Columns
from covdist.numerics.pairs import PairMarginals, Pairs
from covdist.numerics.present import ObservedCounts
from covdist.results.moments import STATES, Layout, Moments

_SEEN = {"rows": "column_count", "weight": "column_weight"}
_PAIRS = {"rows": "count", "weight": "pair_weight", "scatter": "scatter"}
_HALF = {"offset": "offset", "squares": "pair_squares"}
_WHOLE = ("count", "column_count")


def read_pairwise(moments: Moments) -> dict[str, xr.DataArray]:
    """Return the arrays of counts, weights and pairs."""
    layout, axes = moments.layout, moments.layout.matrix_axes()
    arrays: dict[str, xr.DataArray] = {}
    for side in range(len(layout.axes)):
        arrays |= _read(moments, "seen", _SEEN, side, axes[side : side + 1])
    if layout.kind != "pairwise variances":
        arrays |= _read(moments, "pairs", _PAIRS, 0, axes)
        for side in range(len(layout.axes)):
            arrays |= _read(moments, "half", _HALF, side, axes)
    return arrays


def _read(
    moments: Moments, field: str, names: dict[str, str], side: int, axes: tuple[Any, ...]
) -> dict[str, xr.DataArray]:
    suffix = "_y" if side else ""
    return {
        stored + suffix: moments.read(
            partial(_get, path=f"{field}{suffix}.{name}"), axes, dtype=_dtype(stored), name=stored + suffix
        )
        for name, stored in names.items()
    }


def _get(state: Any, path: str) -> np.ndarray:
    found: np.ndarray = attrgetter(path)(state)
    return found


def _dtype(stored: str) -> type:
    return np.int64 if stored in _WHOLE else np.float64


def state_of(arrays: Callable[[str], np.ndarray], layout: Layout, sides: list[Columns]) -> Any:
    """Rebuild a state from its columns' moments and the arrays that ``read_pairwise`` names."""
    sizes = [axis.size for axis in layout.axes]
    shape = sizes[0], sizes[-1]
    suffixes = ["", "_y"][: len(sizes)]
    seen = [ObservedCounts(**_given(arrays, _SEEN, end, (size,))) for end, size in zip(suffixes, sizes, strict=True)]
    kind = STATES[layout.kind]
    if layout.kind == "pairwise variances":
        return kind(*sides, *seen)
    halves = [PairMarginals(**_given(arrays, _HALF, end, shape)) for end in suffixes]
    return kind(*sides, *seen, Pairs(**_given(arrays, _PAIRS, "", shape)), *halves)


def _given(
    arrays: Callable[[str], np.ndarray], names: dict[str, str], suffix: str, shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
    return {name: np.asarray(arrays(stored + suffix), _dtype(stored)).reshape(shape) for name, stored in names.items()}
