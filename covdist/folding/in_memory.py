"""One state of everything, or of each strip of columns, in one pass."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from covdist.engine.plan import Plan, Work, make_plan
from covdist.engine.task_names import letters
from covdist.engine.threads import of_caller, sharing
from covdist.engine.tree import root_key
from covdist.folding.passes import Item, Pass
from covdist.folding.positions import PositionsAccumulator, least_rows
from covdist.folding.request import Request
from covdist.folding.streams import Streams, column_strips, rows_at_once, streams_of, strip_widths
from covdist.limits import limits
from covdist.results.deferred import Deferred
from covdist.results.moments import Moments
from covdist.rows.fold import Accumulate, Part, Shard, fold, folded_at_once
from covdist.rows.readers import ArrayReader
from covdist.state.base import State, StateType, stored_bytes
from covdist.state.few_rows import Folding
from covdist.state.grouped import Grouped, room_for_rows
from covdist.state.named import containing, described


class Strip(NamedTuple):
    """The columns of one tree of folds and merges, for runners that build no dask graph."""

    plan: Plan
    width: int
    items: list[Item]  # arguments of ``fold``, for each shard


def in_memory(request: Request) -> Moments:
    """Return the moments: lazy if an array is, else folded by this thread or, of several shards, this machine's."""
    if not request.lazy and (state := _at_once(request)) is not None:
        return Moments(Deferred((state,), request.widths[:1], request.groups), request.layout())
    strips = [(strip, strip_widths(request, strip)) for strip in column_strips(request)]
    parts, plans = zip(*[_state(request, *strip, len(strips)) for strip in strips], strict=True)
    deferred = Deferred(parts, tuple([widths[0] for _, widths in strips]), plans=plans[:1] if request.lazy else ())
    moments = Moments(deferred, request.layout())
    return moments if request.lazy or not deferred.lazy else moments.compute(scheduler="threads")


def memory_plan(request: Request) -> Plan:
    first, *others = column_strips(request)
    return _plan(request, streams_of(request, first), strip_widths(request, first), 1 + len(others))


def first_strips(request: Request, plan: Plan | None = None, accumulator: Accumulate | None = None) -> list[Strip]:
    """Return the strips that ``in_memory`` folds, or the first pass of another plan with another accumulator."""
    strips, found = column_strips(request), []
    for strip in strips:
        widths, streams = strip_widths(request, strip), streams_of(request, strip)
        one = Pass(streams, plan or _plan(request, streams, widths, len(strips)), request.lazy)
        shards, ready = one.shards(accumulator or accumulator_of(request, widths)), streams.ready()
        found.append(Strip(one.plan, widths[0], [(shard, ready) for shard in shards]))
    return found


def _at_once(request: Request) -> Any:
    """Return the state of arrays in memory that are one shard, whatever the plan; of others None."""
    accumulator = accumulator_of(request, request.widths)
    if request.positions:
        return _positions(request, accumulator)
    if (rows := rows_at_once(request)) is None:
        return None
    if request.groups is None:
        return folded_at_once(accumulator, *rows)
    with sharing(of_caller):
        return folded_at_once(accumulator, *rows)


def _state(request: Request, strip: slice, widths: tuple[int, ...], strips: int) -> tuple[Any, Plan]:
    """Return the state of a strip, or the promise of it, and the plan of all strips."""
    streams = streams_of(request, strip)
    one = Pass(streams, _plan(request, streams, widths, strips), request.lazy)
    function = request.in_turn(one.plan, fold)
    derived_from = None
    if request.lazy and (wider := _wider(request)) is not None:
        derived_from = (_columns_of, root_key(_key(one, request, wider)))
    key, accumulator = partial(_key, one, request, request.state), accumulator_of(request, widths)
    return one.state(key, accumulator, function, derived_from), one.plan


def _positions(request: Request, accumulator: Accumulate) -> Any:
    """Return the states of positions in memory, folded by this process: its threads share positions, and not rows."""
    (name,), rows = request.blocks, request.rows
    whole = Part(ArrayReader(request.x.reshape(rows, request.positions, -1)), 0, 1, 0, rows)
    vectors = {name: request.stream_of(array) for name, array in request.vectors.items()}
    with sharing(of_caller):
        shard = Shard(accumulator, 0, {name: whole}, {each: stream.part(0, rows) for each, stream in vectors.items()})
        return fold(shard, [[] for _ in range(1 + len(vectors))])


def _key(one: Pass, request: Request, kind: StateType) -> str:
    about = (request.positions,) if request.positions else ()
    name = "-".join([letters(side.name) for side in request.sides]).strip("-") or "moments"
    return one.key(name, described(kind), request.options, request.sample_ndim, *about)


def accumulator_of(request: Request, widths: tuple[int, ...]) -> Accumulate:
    if request.groups is None:
        return partial(request.state.accumulator, *widths, options=request.options)
    if request.positions:
        return partial(PositionsAccumulator, request.state, widths[0], request.positions, request.options)
    folding = Folding.of(request.state, widths, request.options)
    room = room_for_rows(_states_bytes(request, request.state, widths, folding.kind.cost(*widths).state_bytes))
    return partial(Grouped.accumulator, folding, room)


def _states_bytes(request: Request, kind: StateType, widths: tuple[int, ...], one: int) -> int:
    """Return what all states take where each takes ``one``, or its rows where a group has few."""
    if (rows := request.group_rows) is None:
        return one * (request.positions or 1)
    return int(np.where(rows < Folding.of(kind, widths).few, rows * _row_bytes(request, widths), one).sum())


def _row_bytes(request: Request, widths: tuple[int, ...]) -> int:
    itemsizes = [side.data.dtype.itemsize for side in request.sides]
    return sum(width * size for width, size in zip(widths, itemsizes, strict=True))


def _wider(request: Request) -> StateType | None:
    """Return the type whose state of the same rows would contain this result, bit for bit because it is cut alike.

    States of groups would not: those that hold a matrix are folded later, from rows that were kept.
    """
    narrow = request.groups is None and request.widths[0] <= limits().derived_columns
    return containing(request.state) if narrow else None


def _columns_of(state: State) -> State:
    return state.side(0)


def _plan(request: Request, streams: Streams, widths: tuple[int, ...], strips: int) -> Plan:
    wider = _wider(request)
    cut_like = None if wider is None else work_of(request, streams, widths, wider)
    return make_plan(work_of(request, streams, widths, request.state), cut_like, strips)


def work_of(request: Request, streams: Streams, widths: tuple[int, ...], kind: StateType) -> Work:
    side_by_side, groups = request.positions or 1, 1 if request.groups is None else request.groups.size
    cost, row_bytes = kind.cost(*widths[: kind.sides]), side_by_side * _row_bytes(request, widths)
    states_bytes = max(
        cost.state_bytes, _states_bytes(request, kind, widths, cost.state_bytes)
    )  # one is read at a time
    return Work(
        rows=request.rows,
        pieces=len(streams.first.bounds) - 1,
        columns=" × ".join(f"{width:,}" for width in request.widths),
        row_bytes=row_bytes,
        piece_bytes=sum(block.piece_bytes for block in streams.blocks.values()),
        row_flops=side_by_side * cost.row_flops,
        state_bytes=states_bytes,
        # Rows of groups are kept, states of positions merged.
        block_bytes=cost.block_bytes
        + 2 * (least_rows(kind, widths[0], groups) if request.positions else cost.least_rows) * row_bytes
        + (0 if request.groups is None else states_bytes if request.positions else room_for_rows(states_bytes)),
        shared=streams.shared,
        result_bytes=_states_bytes(request, kind, request.widths, stored_bytes(kind, request.widths)),
    )
