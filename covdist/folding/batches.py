"""Many small arrays, several to a task: a task costs dask a millisecond, as long as folding one of them takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, cast
from uuid import uuid4

from dask.delayed import Delayed, delayed

from covdist.engine.forked import spread
from covdist.engine.plan import Plan
from covdist.folding.in_memory import first_strips
from covdist.folding.passes import Item
from covdist.folding.request import Request, rows_as_they_are
from covdist.folding.stacks import Alike, Stack, fold_alike, stack_of
from covdist.numerics.blas import single_thread
from covdist.results.labelled_state import computed
from covdist.results.moments import Moments
from covdist.rows.fold import Part, Shard
from covdist.rows.stream import source_of

_TOGETHER = 64  # in one task
_EACH, _START = 1e-3, 20.0  # seconds: of one of them beside its rows; of work for which workers are worth starting
_AT_LEAST = 4  # tasks for a process of its own
_SECONDS, _STATE_BYTES = 1e-2, 1 << 18  # of one of them, at most


class Batch(NamedTuple):
    """Small requests, by path."""

    requests: dict[str, Request]
    plans: list[Plan]

    def task(self) -> Delayed:
        """Return the promise of their states, bit for bit what each is when folded alone."""
        name = f"fold-small-arrays-{uuid4().hex}"
        return delayed(_Folds.states, pure=False, traverse=False)(self.folds(), dask_key_name=name)

    def folds(self) -> _Folds:
        return _Folds(self.items(), [stack_of(request) for request in self.requests.values()])

    def items(self) -> list[Item]:
        """Return what is folded; of arrays that share a plan, the first one's with the others' sources."""
        items: list[Item] = []
        known: dict[int, Item] = {}
        for request, plan in zip(self.requests.values(), self.plans, strict=True):
            if (source := _only_source(request)) is None or id(plan) not in known:
                found = [item for strip in first_strips(request, plan) for item in strip.items]
                if source is not None:
                    (known[id(plan)],) = found
                items += found
            else:
                shard, given = known[id(plan)]
                (part,), (name,) = shard.blocks.values(), request.blocks
                items.append((Shard(shard.accumulator, shard.start, {name: cast(Part, part).like(source)}, {}), given))
        return items

    def moments(self, states: Iterable[object]) -> dict[str, Moments]:
        named = zip(self.requests.items(), states, strict=True)
        return {path: computed([one], Moments, request.widths[:1], request.layout()) for (path, request), one in named}


class _Folds:
    """Opaque on purpose, as ``Shard`` is."""

    def __init__(self, items: Sequence[Item], stacks: Sequence[Stack | None]):
        self._items, self._stacks = items, stacks

    def states(self) -> _States:
        alike = defaultdict[Stack | int, list[int]](list)
        for number, stack in enumerate(self._stacks):
            alike[number if stack is None else stack].append(number)
        with single_thread():  # set and lifted once, not for each array
            return _States(
                [
                    (numbers, fold_alike(self._stacks[numbers[0]], [self._items[number] for number in numbers]))
                    for numbers in alike.values()
                ]
            )


class _States:
    """Those of a batch, in stacks as they travel: one by one, each would be pickled in a dozen arrays."""

    def __init__(self, found: Sequence[tuple[list[int], Alike]]):
        self._found = found

    def __iter__(self) -> Iterator[object]:
        states = dict[int, object]()
        for numbers, alike in self._found:
            states |= zip(numbers, alike.states(len(numbers)), strict=True)
        return map(states.__getitem__, range(len(states)))


def batches(requests: Mapping[str, Request], plans: Sequence[Plan]) -> list[Batch]:
    """Return what of several requests is so small that a task can fold many, by their plans."""
    named = zip(requests.items(), plans, strict=True)
    small = [(path, request, plan) for (path, request), plan in named if _is_small(request, plan)]
    cuts = [small[start : start + _TOGETHER] for start in range(0, len(small), _TOGETHER)]
    return [Batch({path: request for path, request, _ in cut}, [plan for _, _, plan in cut]) for cut in cuts]


def folded_here(small: Sequence[Batch]) -> dict[str, Moments]:
    """Return the moments of all batches, folded by this process or by copies of it."""
    return moments_of(small, spread(_Folds.states, [batch.folds() for batch in small], _AT_LEAST))


def moments_of(small: Sequence[Batch], states: Iterable[Iterable[object]]) -> dict[str, Moments]:
    """Return the moments of batches whose states have been folded."""
    found: dict[str, Moments] = {}
    for batch, those in zip(small, states, strict=True):
        found |= batch.moments(those)
    return found


def few(requests: Mapping[str, Request], small: Sequence[Batch]) -> bool:
    """Return whether all requests are folded here before workers, which take seconds to start, could help."""
    amount = sum(len(batch.requests) for batch in small)
    seconds = sum(plan.core_seconds for batch in small for plan in batch.plans)
    return amount == len(requests) and seconds + _EACH * amount < _START


def _only_source(request: Request) -> object | None:
    """Return the source of an array that is folded as it lies in a log, with nothing beside it."""
    plain = len(request.blocks) == 1 and not request.vectors and request.policy.stream is rows_as_they_are
    return source_of(request.x) if plain else None


def _is_small(request: Request, plan: Plan) -> bool:
    alone = plan.tasks == 1 and plan.strategy == "memory" and not plan.work.shared
    cheap = plan.core_seconds < _SECONDS and plan.state_bytes < _STATE_BYTES
    return alone and cheap and request.lazy and request.policy.strategy is None
