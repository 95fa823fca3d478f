"""A request for random Fourier features of x and of y, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, cast

import dask.array as da
import numpy as np

from covdist.folding.dependence.sample import draw
from covdist.folding.inputs import aligned
from covdist.folding.request import Request
from covdist.numerics.blas import single_thread
from covdist.numerics.dependence.kernels import centre_of, fourier_features, in_bandwidths, median_distance
from covdist.numerics.nonfinite import unmasked
from covdist.results.labels import Array, bare_axis
from covdist.state.scatter import Scatter

SAMPLE_ROWS = 1000
_FIRST_ROWS = 64


class Mapping(NamedTuple):
    """How features are made."""

    features: int  # of each side
    seed: int
    depth: int  # sample axes


def sample(request: Request, seed: int) -> list[Array]:
    """Return rows of x and of y, (rows, columns), drawn evenly: these are read once more."""
    return draw(request, SAMPLE_ROWS, seed)


def first_rows(request: Request) -> list[Array]:
    """Return the first rows of x and of y, (rows, columns), the same for any chunks."""
    found, index = list[Array](), cast(Any, (slice(_FIRST_ROWS), *[0] * (request.sample_ndim - 1)))
    for array in request.blocks.values():
        first: Any = array[index]
        found.append(first.reshape(len(first), math.prod(first.shape[1:])))
    return found


def bandwidths(sides: Sequence[Array]) -> Array:
    """Return the median distances in a sample of the rows of x and of y, (2,)."""
    found = []
    for rows in sides:
        if isinstance(rows, np.ndarray):
            found.append(np.array([median_distance(rows)]))
        else:
            found.append(da.map_blocks(_median, rows, chunks=((1,),), drop_axis=1, dtype=float, meta=np.empty(0)))
    return np.concatenate(found) if isinstance(found[0], np.ndarray) else da.concatenate(found).rechunk(-1)


def _median(rows: np.ndarray) -> np.ndarray:
    return np.array([median_distance(rows)])


def featured(request: Request, sides: Sequence[Array], widths: Array, features: int, seed: int) -> Request:
    """Return a request of the features of x and y, (samples, 2 features); NaN where a row of a side has NaN.

    Rows are told from the middle of some of their ``sides``.
    """
    mapping = Mapping(features, seed, request.sample_ndim)
    data = _mapped(list(request.blocks.values()), list(map(_centre, sides)), widths, mapping)
    name = f"the array of features of {request.source}"
    side = replace(request.sides[0], data=data, axis=bare_axis("feature", 2 * features), name=name)
    arrays = aligned([data, *request.vectors.values()], request.sample_ndim)
    return replace(
        request, sides=(replace(side, data=arrays[0]),), blocks={name: arrays[0]}, state=Scatter,
        vectors=dict(zip(request.vectors, arrays[1:], strict=True)), widths=(2 * features,), known={},
    )  # fmt: skip


def _mapped(arrays: list[Any], centres: list[Any], widths: Any, mapping: Mapping) -> Array:
    depth = mapping.depth
    if not any(isinstance(each, da.Array) for each in (*arrays, *centres, widths)):
        return _features(arrays[0], arrays[1], widths, centres[0], centres[1], mapping)
    lazy = next(each for each in (*arrays, da.asarray(arrays[0])) if isinstance(each, da.Array))
    rows = dict(enumerate(lazy.chunks[:depth]))
    whole = [da.asarray(each).rechunk({**rows, **dict.fromkeys(range(depth, each.ndim), -1)}) for each in arrays]
    samples = tuple(range(depth))
    indices = [(*samples, *(100 * side + axis for axis in range(depth, each.ndim))) for side, each in enumerate(whole)]
    return da.blockwise(
        partial(_features, mapping=mapping), (*samples, 1000), whole[0], indices[0], whole[1], indices[1],
        da.asarray(widths), (1001,), da.asarray(centres[0]), (1002, 1003), da.asarray(centres[1]), (1004, 1005),
        new_axes={1000: 2 * mapping.features}, dtype=np.float64,
        meta=np.empty((0,) * (depth + 1)), concatenate=True, align_arrays=False,
    )  # fmt: skip


def _centre(rows: Any) -> Array:
    if isinstance(rows, da.Array):
        whole = rows.rechunk(-1)
        return whole.map_blocks(_centre, chunks=((2,), whole.chunks[1]), dtype=np.float64, meta=np.empty((0, 0)))
    return centre_of(unmasked(rows))


def _features(
    x: Any, y: Any, widths: np.ndarray, centre_x: np.ndarray, centre_y: np.ndarray, mapping: Mapping
) -> np.ndarray:
    found = []
    with single_thread(), np.errstate(invalid="ignore", over="ignore"):
        for number, (block, centre) in enumerate(((unmasked(x), centre_x), (unmasked(y), centre_y))):
            rows, columns = math.prod(block.shape[: mapping.depth]), math.prod(block.shape[mapping.depth :])
            values = in_bandwidths(block.reshape(rows, columns), centre, widths[number])
            found.append(fourier_features(values, mapping.features, mapping.seed + number))
    return np.hstack(found).reshape(*x.shape[: mapping.depth], -1)
