"""A request for the ranks of its rows: sorted column by column, or placed within a sample of the rows."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial, reduce
from typing import Any, cast

import dask
import dask.array as da
import numpy as np

from covdist.engine.plan import PROCESS_BYTES, human_bytes
from covdist.engine.room import Room, client_here, least_room
from covdist.engine.threads import of_caller, of_task, sharing
from covdist.errors import DataError, PlanError
from covdist.folding.inputs import aligned
from covdist.folding.request import Request
from covdist.kernel.threads import shared
from covdist.limits import limits
from covdist.numerics.dependence.ranks import doubled_ranks, ranks_dtype
from covdist.numerics.nonfinite import holes, unmasked
from covdist.results.labels import Array
from covdist.rows.promised import checked

_POLICIES = ("raise", "propagate", "drop")
_PIECE = 1 << 25  # bytes of the ranks that are folded together
_COLUMN_BYTES = 40  # a row of the column that is sorted: its order, runs of equal values, ranks
_MOST_BLOCKS = 500_000  # of rows and columns, through which each value goes: some minutes of a dask scheduler

_ESTIMATE = "estimate the ranks with method='spearman-approx'"
Ranking = Callable[[np.ndarray, np.ndarray | None], np.ndarray]  # of finite values of one column, and their groups


def ranked(request: Request, what: str) -> Request:
    """Return the request with each value replaced by its doubled rank among the rows that are kept, in its group.

    A value that is not finite stays what it is, so that the policy for missing values meets it where it lies.
    """
    check_plain(request, what)
    codes, keep = request.vectors.get("by"), complete_rows(request)
    data = [_sorted(request, array, codes, keep) for array in request.blocks.values()]
    return with_data(request, data)


def check_plain(request: Request, what: str) -> None:
    """Raise DataError where rows weigh differently, or missing values would be made up."""
    if request.weighted:
        raise DataError(f"{what} takes no weights: leave weights out")
    if request.missing not in _POLICIES:
        raise DataError(
            f"{what} takes values as they are, missing={request.missing!r} would make others: pass one of "
            f"{', '.join(map(repr, _POLICIES))}, or the array that covdist.fill returns"
        )


def with_data(request: Request, data: Sequence[Array]) -> Request:
    """Return the same request of other values of the same rows and columns."""
    arrays = aligned([*data, *request.vectors.values()], request.sample_ndim)
    sides = [replace(side, data=each) for side, each in zip(request.sides, arrays, strict=False)]
    return replace(
        request,
        sides=tuple(sides),
        blocks=dict(zip(request.blocks, arrays, strict=False)),
        vectors=dict(zip(request.vectors, arrays[len(data) :], strict=True)),
        known={},
    )


def complete_rows(request: Request) -> Array | None:
    """Return which rows "drop" keeps, bool over the sample axes; None where the policy keeps all."""
    floats = [array for array in request.blocks.values() if array.dtype.kind == "f" or isinstance(array, da.Array)]
    if request.missing != "drop" or not floats:
        return None
    features = [tuple(range(request.sample_ndim, array.ndim)) for array in floats]
    arrays = zip(floats, features, strict=True)
    whole: list[Any] = [~_holes(array, request.options.inf).any(axis=axes) for array, axes in arrays]
    return cast(Array, reduce(operator.and_, whole))


def _holes(array: Array, inf: str) -> Array:
    if isinstance(array, np.ndarray):
        return holes(array, inf)
    return da.map_blocks(_holes_of_block, checked(array), inf=inf, dtype=bool, meta=np.empty((0,) * array.ndim, bool))


def _holes_of_block(block: Any, inf: str) -> np.ndarray:
    return holes(unmasked(block), inf)


def _sorted(request: Request, array: Any, codes: Any, keep: Any) -> Array:
    dtype, depth = ranks_dtype(request.rows), request.sample_ndim
    if not any(isinstance(each, da.Array) for each in (array, codes, keep)):
        with sharing(of_caller):
            return _ranked(array, codes, keep, depth, dtype)
    strips = in_strips(request, checked(da.asarray(array)), limits().sorted_bytes, _ESTIMATE)
    axes = tuple(range(strips.ndim))
    vectors = [(None, None) if each is None else (_whole(each), axes[:depth]) for each in (codes, keep)]
    ranks = da.blockwise(
        partial(_ranked_task, depth=depth, dtype=dtype), axes, strips, axes, *vectors[0], *vectors[1],
        dtype=dtype, meta=np.empty((0,) * strips.ndim, dtype), concatenate=True, align_arrays=False,
    )  # fmt: skip
    height = max(1, _PIECE // max(1, dtype.itemsize * math.prod(array.shape[1:])))
    with dask.config.set({"array.rechunk.method": "tasks"}):
        return ranks.rechunk({0: height})


def _whole(vector: Array) -> da.Array:
    return da.asarray(vector).rechunk(-1)


def in_strips(request: Request, array: da.Array, size: int, otherwise: str) -> da.Array:
    """Return an array in chunks of some columns with all of their rows: of so many bytes, if workers have the memory.

    ``otherwise`` is what to do where not even one column fits.
    """
    depth, room = request.sample_ndim, request.room
    if room is None and (client := client_here()) is not None:
        room = least_room(client)
    if room is not None:
        size = min(size, _room_for(request, array, room, otherwise))
    wanted = tuple(-1 if axis < depth else "auto" for axis in range(array.ndim))
    cuts = da.core.normalize_chunks(wanted, array.shape, size, array.dtype, array.chunks)
    if (blocks := array.numblocks[0] * math.prod(map(len, cuts))) > _MOST_BLOCKS:
        raise PlanError(
            f"to sort {request.rows:,} rows of {math.prod(array.shape[depth:]):,} columns they would be cut into "
            f"{blocks:,} blocks, more than {_MOST_BLOCKS:,}: choose fewer columns or larger chunks, or {otherwise}"
        )
    with dask.config.set({"array.rechunk.method": "tasks"}):
        return array.rechunk(cuts)


def _room_for(request: Request, array: da.Array, room: Room, otherwise: str) -> int:
    """Return the bytes of columns that a thread has memory to join and sort; PlanError if not even one."""
    rows, itemsize, rank = request.rows, array.dtype.itemsize, ranks_dtype(request.rows).itemsize
    free = (room.memory - PROCESS_BYTES) // room.threads - _COLUMN_BYTES * rows
    held = rows * (2 * itemsize + rank)
    if free < held:
        need = PROCESS_BYTES + room.threads * (held + _COLUMN_BYTES * rows)
        raise PlanError(
            f"to sort a column of {rows:,} rows a worker needs {human_bytes(need)} but has {human_bytes(room.memory)}: "
            f"give workers more memory or fewer threads, or {otherwise}"
        )
    return free // held * rows * itemsize


def _ranked_task(block: Any, codes: Any, keep: Any, depth: int, dtype: np.dtype) -> np.ndarray:
    with sharing(of_task):
        return _ranked(unmasked(block), codes, keep, depth, dtype)


def _ranked(
    block: np.ndarray, codes: np.ndarray | None, keep: np.ndarray | None, depth: int, dtype: np.dtype
) -> np.ndarray:
    rows = math.prod(block.shape[:depth])
    columns = block.reshape(rows, math.prod(block.shape[depth:]))
    codes, keep = (each if each is None else np.reshape(each, rows) for each in (codes, keep))
    found = np.empty(columns.shape, dtype)

    def rank(numbers: Iterable[int]) -> None:
        for number in numbers:
            found[:, number] = column_ranks(columns[:, number], codes, keep, doubled_ranks)

    shared(rank, range(columns.shape[1]), columns.size)
    return found.reshape(block.shape)


def column_ranks(column: np.ndarray, codes: np.ndarray | None, keep: np.ndarray | None, ranking: Ranking) -> np.ndarray:
    """Return the ranks of a column's finite values among the rows that are kept; NaN for the rest of the others."""
    finite = np.isfinite(column)
    if (every := bool(finite.all())) and keep is None:
        return ranking(np.ascontiguousarray(column), codes)
    taken = finite if keep is None else finite & keep
    found = np.full(len(column), np.nan) if every else np.where(finite, np.nan, column)
    found[taken] = ranking(column[taken], None if codes is None else codes[taken])
    return found
