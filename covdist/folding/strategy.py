"""In memory or in tiles: chosen by the data, the options and the memory of workers at hand, and the plan of each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

from covdist.engine.plan import PROCESS_BYTES, Plan, human_bytes
from covdist.engine.room import check_kernels, client_here, least_room
from covdist.errors import DataError
from covdist.folding.fitted import pattern_plan
from covdist.folding.in_memory import memory_plan
from covdist.folding.request import IN_MEMORY, IN_TILES, Request
from covdist.folding.tiled import Tiles
from covdist.rows.stream import kind_of
from covdist.state.scatter import Scatter

_FEW_COLUMNS = 4096
_SMALL_STATE = f"up to {_FEW_COLUMNS:,} columns a state is small"
_SMALL_BYTES = PROCESS_BYTES + (1 << 26)  # work for which no worker is asked what it has
_MOST_STATE_BYTES = 1_700_000_000  # 20,600 columns; a worker holds two or three of them


def choose(request: Request) -> tuple[str, str]:
    """Return ``IN_MEMORY`` or ``IN_TILES``, and the reason."""
    if not can_be_tiled(request):
        if request.matrix == IN_TILES:
            found = f"groups by {request.groups.dim!r}" if request.groups else f"a {request.state.name} matrix"
            raise DataError(
                f"matrix='tiles' is for one array's columns with each other and without groups, found {found}: "
                "leave out y and by, or pick the rows of one group at a time"
            )
        return IN_MEMORY, ""
    if request.matrix != "auto":
        return request.matrix, "asked for"
    (columns,) = request.widths
    if (room := request.room) is not None and (peak := memory_plan(request).peak(room.threads)) > room.memory:
        return IN_TILES, f"in memory a worker would need {human_bytes(peak)} of {human_bytes(room.memory)}"
    if columns <= _FEW_COLUMNS:
        return IN_MEMORY, _SMALL_STATE
    state = Scatter.cost(columns).state_bytes
    if state > _MOST_STATE_BYTES:
        return IN_TILES, f"one state would take {human_bytes(state)}, more than {human_bytes(_MOST_STATE_BYTES)}"
    return IN_MEMORY, f"one state takes {human_bytes(state)}"


def can_be_tiled(request: Request) -> bool:
    """Return whether the result is one matrix of an array's columns with each other."""
    return request.state is Scatter and request.groups is None


def plan_of(request: Request, others: Callable[[Plan], Sequence[Plan]] = lambda memory: ()) -> Plan:
    """Return the plan of the strategy that is chosen, with those of all strategies.

    ``others`` returns, given the plan in memory, those that lead to no matrix.

    PlanError if it does not fit into the memory that the caller named, or in no way into that of the workers at hand.
    """
    chosen, reason = choose(request)
    plan = (memory_plan if request.policy.strategy is None else pattern_plan)(request)
    if can_be_tiled(request):
        plans = (plan, Tiles(request).plan, *others(plan))
        plan = next(replace(each, reason=reason, strategies=plans) for each in plans if each.strategy == chosen)
    request.check_room(plan)
    return plan


def plans_of(requests: Mapping[str, Request], make: Callable[[Request], Plan] = plan_of) -> dict[str, Plan]:
    """Return a plan for each request; arrays that are alike, as most of thousands are, share one."""
    known: dict[Hashable, Plan] = {}
    plans = {}
    for path, request in requests.items():
        kind = likeness(request)
        if kind not in known:
            known[kind] = make(request)
        plans[path] = known[kind]
    return plans


def likeness(request: Request) -> Hashable:
    """Return all that a plan is made of: equal only for requests whose plans are equal."""
    arrays = *request.blocks.values(), *request.vectors.values()
    asked = (
        request.widths, request.sample_ndim, request.state, request.missing, request.options, request.weighted,
        request.matrix, request.memory, request.workers, request.fit, request.groups and len(request.groups.values),
    )  # fmt: skip
    return asked, tuple(map(kind_of, arrays))


def for_workers(request: Request, plan: Plan | None = None) -> Request:
    """Return a request for the workers at hand, unless the caller named their memory or nothing runs on them.

    ``plan`` is that of the request, where it is known. ClusterError where a worker could not fold it.
    """
    if request.memory is not None or not request.lazy:
        return request
    memory = plan if plan is not None and plan.strategy == IN_MEMORY else memory_plan(request)
    client = None if memory.peak_bytes < _SMALL_BYTES else client_here()
    if client is None:
        return request
    check_kernels(client)
    return replace(request, workers=least_room(client))
