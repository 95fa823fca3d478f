"""Fold and merge as a dask graph: a tree whose shape depends on the list alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from dask.core import flatten
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph
from dask.typing import Key

from covdist.engine.dask_private import DerivedLayer, queued_task
from covdist.engine.order import Span, merge_order


def tree(
    fold: Callable[..., Any],
    merge: Callable[[Any, Any], Any],
    items: Sequence[tuple[Any, ...]],
    *,
    name: str,
    fan_in: int,
    dependencies: Sequence[Any] = (),
    derived_from: tuple[Callable[[Any], Any], str] | None = None,
) -> Delayed:
    """Return the merge of ``fold(*item)`` over ``items``, of which there is at least one, lazily.

    ``merge`` must not change its arguments. Keys of ``dependencies`` among an item's are replaced by their values.
    Equal names must mean equal results. If the key of ``derived_from`` is computed in the same call, the result is the
    function of its value and nothing is folded.
    """
    root, layer = root_key(name), f"{name}-tree"
    if len(items) == 1:
        graph: Any = {root: (fold, *items[0])}
    else:
        given = flatten([collection.__dask_keys__() for collection in dependencies])
        graph = {**_folds(fold, items, name, set(given)), **_merges(merge, len(items), name, fan_in)}
    if derived_from is not None:
        graph = DerivedLayer(graph, root, *derived_from)
    return Delayed(root, HighLevelGraph.from_collections(layer, graph, dependencies=list(dependencies)), layer=layer)


def root_key(name: str) -> str:
    return f"state-{name}"


def _folds(fold: Callable[..., Any], items: Sequence[tuple[Any, ...]], name: str, given: set[Key]) -> dict[Key, Any]:
    """Return one task an item, all waiting for a small one.

    Dask starts tasks that wait for none in any order, but tasks that wait for the same one in the order of their keys.
    In any order, states of shards far apart would stay in memory until those between are made.
    """
    begin = _begin_key(name)
    graph: dict[Key, Any] = {begin: (_begin,)}
    for number, item in enumerate(items):
        key = _key(name, Span(number, number + 1))
        graph[key] = queued_task(key, (_after, begin, fold, *item), {begin, *given})
    return graph


def _merges(merge: Callable[[Any, Any], Any], leaves: int, name: str, fan_in: int) -> dict[Key, Any]:
    graph: dict[Key, Any] = {
        _key(name, span): (merge_all, merge, [_key(name, part) for part in parts])
        for span, parts in merge_order(leaves, fan_in).items()
        if parts
    }
    # dask never fuses a task that has two dependencies: the inputs of the last merge are freed before a reading runs.
    graph[root_key(name)] = (_first, _key(name, Span(0, leaves)), _begin_key(name))
    return graph


def _begin_key(name: str) -> str:
    return f"begin-{name}"


def _key(name: str, span: Span) -> str:
    # dask groups tasks by the first word of their keys; only folds are to wait for a free worker.
    return f"{'fold' if span.stop - span.start == 1 else 'merge'}-{name}-{span}"


def _begin() -> None:
    pass


def _after(_: None, function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _first(state: Any, _: None) -> Any:
    return state


def merge_all(merge: Callable[[Any, Any], Any], states: list[Any]) -> Any:
    """Merge from left to right, letting go of each state as soon as it is merged."""
    return reduce(merge, states)
