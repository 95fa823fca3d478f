"""A request for the ranks of its rows as a sample of them tells: a chunk at a time, and only the sample is sorted."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, cast

import dask.array as da
import numpy as np

from covdist.errors import DataError
from covdist.folding.dependence.ranks import check_plain, column_ranks, with_data
from covdist.folding.dependence.sample import draw
from covdist.folding.request import Request
from covdist.numerics.dependence.ranks import estimated_ranks
from covdist.numerics.nonfinite import unmasked
from covdist.results.labels import Array

SAMPLE_ROWS = 1 << 14


def ranked_by_sample(request: Request, what: str) -> Request:
    """Return the request with each value replaced by its rank among those of its column in a sample, less the middle.

    A value that is not finite stays what it is, so that the policy for missing values meets it where it lies.
    """
    check_plain(request, what)
    if request.groups is not None and not request.positions:
        raise DataError(
            f"{what} estimates the ranks among all rows, found groups by {request.groups.dim!r}: pass the rows of one "
            "group at a time, or method='spearman', or read it off covdist.moments(x, by=..., state='sampled')"
        )
    sample = _of_complete_rows(request, draw(request, SAMPLE_ROWS, seed=0))
    arrays = zip(request.blocks.values(), sample, strict=True)
    return with_data(request, [_placed(array, drawn, request.sample_ndim) for array, drawn in arrays])


def _of_complete_rows(request: Request, sides: list[Array]) -> list[Array]:
    """Return the rows of a sample, those that the policy would drop as NaN."""
    if request.missing != "drop":
        return sides
    holed: Any = sum((~np.isfinite(side)).any(axis=1) for side in sides) > 0
    return [np.where(holed[:, None], np.nan, side) if side.dtype.kind == "f" else side for side in sides]


def _placed(array: Array, sample: Array, depth: int) -> Array:
    if isinstance(array, np.ndarray) and isinstance(sample, np.ndarray):
        return _placed_block(array, _sorted_columns(sample), depth)
    array = cast(da.Array, da.asarray(array))
    ordered = da.map_blocks(_sorted_columns, sample, dtype=sample.dtype, meta=np.empty((0, 0), sample.dtype))
    ordered = ordered.reshape(sample.shape[0], *array.shape[depth:]).rechunk((-1, *array.chunks[depth:]))
    axes = tuple(range(array.ndim))
    return da.blockwise(
        partial(_placed_block, depth=depth), axes, array, axes, ordered, (array.ndim, *axes[depth:]),
        dtype=np.float32, meta=np.empty((0,) * array.ndim, np.float32), concatenate=True, align_arrays=False,
    )  # fmt: skip


def _sorted_columns(sample: np.ndarray) -> np.ndarray:
    """Return each column sorted, with NaN behind its finite values."""
    values = unmasked(sample)
    if values.dtype.kind == "f":
        values = np.where(np.isfinite(values), values, values.dtype.type(np.nan))
    return np.sort(values, axis=0)


def _placed_block(block: Any, ordered: np.ndarray, depth: int) -> np.ndarray:
    values = unmasked(block)
    rows, width = math.prod(values.shape[:depth]), math.prod(values.shape[depth:])
    columns, ordered = values.reshape(rows, width), ordered.reshape(len(ordered), width)
    found = np.empty(columns.shape, np.float32)
    for number in range(width):
        sample = ordered[: np.count_nonzero(np.isfinite(ordered[:, number])), number]
        found[:, number] = column_ranks(columns[:, number], None, None, partial(_estimated, sample))
    return found.reshape(values.shape)


def _estimated(sample: np.ndarray, values: np.ndarray, codes: np.ndarray | None) -> np.ndarray:
    return estimated_ranks(values, sample)
