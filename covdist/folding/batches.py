"""Many small arrays, several to a task: a task costs dask a millisecond, as long as folding one of them takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import uuid4

from dask.delayed import Delayed, delayed

from covdist.engine.plan import Plan
from covdist.folding.in_memory import first_strips
from covdist.folding.passes import Item
from covdist.folding.request import Request
from covdist.numerics.blas import single_thread
from covdist.results.labelled_state import computed
from covdist.results.moments import Moments
from covdist.rows.fold import fold

_TOGETHER = 64  # in one task
_SECONDS, _STATE_BYTES = 1e-2, 1 << 18  # of one of them, at most


class Batch(NamedTuple):
    """Small requests, by path."""

    requests: dict[str, Request]
    plans: list[Plan]

    def task(self) -> Delayed:
        """Return the promise of the list of their states, bit for bit what each is when folded alone."""
        planned = zip(self.requests.values(), self.plans, strict=True)
        items = [item for one, plan in planned for strip in first_strips(one, plan) for item in strip.items]
        return delayed(_Folds.states, pure=False, traverse=False)(_Folds(items), dask_key_name=f"fold-{uuid4().hex}")

    def moments(self, states: Sequence[object]) -> dict[str, Moments]:
        named = zip(self.requests.items(), states, strict=True)
        return {path: computed([one], Moments, request.widths[:1], request.layout()) for (path, request), one in named}


class _Folds:
    """Opaque on purpose, as ``Shard`` is."""

    def __init__(self, items: Sequence[Item]):
        self._items = items

    def states(self) -> list[object]:
        with single_thread():  # set and lifted once, not for each array
            return [fold(*item) for item in self._items]


def batches(requests: Mapping[str, Request], plans: Sequence[Plan]) -> list[Batch]:
    """Return what of several requests is so small that a task can fold many, by their plans."""
    named = zip(requests.items(), plans, strict=True)
    small = [(path, request, plan) for (path, request), plan in named if _is_small(request, plan)]
    cuts = [small[start : start + _TOGETHER] for start in range(0, len(small), _TOGETHER)]
    return [Batch({path: request for path, request, _ in cut}, [plan for _, _, plan in cut]) for cut in cuts]


def _is_small(request: Request, plan: Plan) -> bool:
    alone = plan.tasks == 1 and plan.strategy == "memory" and not plan.work.shared
    cheap = plan.core_seconds < _SECONDS and plan.state_bytes < _STATE_BYTES
    return alone and cheap and request.lazy and request.policy.strategy is None
