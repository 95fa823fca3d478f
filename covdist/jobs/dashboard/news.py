"""What the dashboard is told of a job: how far it is, layer by layer, and what the plan says of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from covdist.engine.plan import Plan
from covdist.errors import shown
from covdist.jobs.directory.directory import Progress
from covdist.jobs.machine.machine import Machine

_MOST = 40  # layers that a page has room for


class LayerProgress(NamedTuple):
    name: str
    folded: int
    shards: int


class JobNews(NamedTuple):
    """Of one job at one time; names are as people are to see them."""

    job: str
    log: str
    progress: Progress
    layers: tuple[LayerProgress, ...]
    peak_bytes: int  # of a worker with one thread, by the plan
    fold_bytes: int  # that each further thread takes


def news_of(
    job: str, log: str, labels: Sequence[str], plans: Sequence[Plan], progress: Progress, machine: Machine
) -> JobNews:
    """Return the news; ``labels`` name what each tree folds, trees of one name are added up."""
    found: dict[str, LayerProgress] = {}
    for label, tree in zip(labels, machine.trees, strict=True):
        name, before = shown(label, 60), found.get(label, LayerProgress("", 0, 0))
        found[label] = LayerProgress(name, before.folded + machine.folded_of(tree), before.shards + tree.shards)
    largest = max(plans, key=lambda plan: plan.peak_bytes)
    return JobNews(job, shown(log, 200), progress, _some(list(found.values())), largest.peak_bytes, largest.fold_bytes)


def _some(layers: list[LayerProgress]) -> tuple[LayerProgress, ...]:
    """Return those that a page has room for: the first that are not done, in their order, and the sum of the others."""
    if len(layers) <= _MOST:
        return tuple(layers)
    by_need = sorted(range(len(layers)), key=lambda place: (layers[place].folded >= layers[place].shards, place))
    kept, others = sorted(by_need[: _MOST - 1]), by_need[_MOST - 1 :]
    folded, shards = (sum(getattr(layers[place], name) for place in others) for name in ("folded", "shards"))
    return *(layers[place] for place in kept), LayerProgress(f"{len(others):,} others", folded, shards)
