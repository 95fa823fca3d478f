"""Fold and merge as a dask graph: a tree whose shape depends on the list alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from typing import Any

from dask._task_spec import Task, convert_legacy_task
from dask.core import flatten
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer
from dask.typing import Key

from covdist.engine.order import Span, merge_order


def tree(
    fold: Callable[..., Any],
    merge: Callable[[Any, Any], Any],
    items: Sequence[tuple[Any, ...]],
    *,
    name: str,
    fan_in: int,
    dependencies: Sequence[Any] = (),
    contained: tuple[Callable[[Any], Any], str] | None = None,
) -> Delayed:
    """Return the merge of ``fold(*item)`` over ``items``, lazily.

    Parameters
    ----------
    fold, merge : callables
        ``fold(*item) -> state`` and ``merge(state, state) -> state``; ``merge`` must not change its arguments.
    items : sequence of tuples, at least one
        Arguments of one fold each; keys of ``dependencies`` among them are replaced by what they make.
    name : str
        Makes the keys; equal names must mean equal results.
    fan_in : int
        States merged by one task.
    dependencies : sequence of dask collections
    contained : (function, key), optional
        Where ``key`` is computed in the same call, ``function`` of its value is the result, and nothing is folded.
    """
    given = set(flatten([collection.__dask_keys__() for collection in dependencies]))
    graph = _graph(fold, merge, items, name, fan_in, given)
    layer, root = f"{name}-tree", root_key(name)
    tasks: Any = graph if contained is None else _ContainedLayer(graph, root, contained)
    whole = HighLevelGraph.from_collections(layer, tasks, dependencies=list(dependencies))
    return Delayed(root, whole, layer=layer)


def _graph(
    fold: Callable[..., Any],
    merge: Callable[[Any, Any], Any],
    items: Sequence[tuple[Any, ...]],
    name: str,
    fan_in: int,
    given: set[Key],
) -> dict[Key, Any]:
    if len(items) == 1:
        return {root_key(name): (fold, *items[0])}
    # Dask starts what waits for nothing in any order, but what waits for one task in that of the shards: else states of
    # shards far apart would wait in memory for those between.
    begin = f"begin-{name}"
    graph: dict[Key, Any] = {begin: (_begin,)}
    known = {begin, *given}
    for span, parts in merge_order(len(items), fan_in).items():
        key = _key(name, span)
        merged = (merge_all, merge, [_key(name, part) for part in parts])
        graph[key] = merged if parts else _producer(key, (_after_it, begin, fold, *items[span.start]), known)
    # What depends on two tasks is not fused with either, so a reading does not hold what was merged last.
    graph[root_key(name)] = (_same, _key(name, Span(0, len(items))), begin)
    return graph


class _ContainedLayer(MaterializedLayer):
    """A tree whose result another tree of the same computation holds: dask asks each layer what it needs of it."""

    def __init__(self, graph: Mapping[Key, Any], root: str, contained: tuple[Callable[[Any], Any], str]):
        super().__init__(graph)
        self._root, self._contained = root, contained

    def cull(self, keys: set[Key], all_hlg_keys: Collection[Key]) -> tuple[Layer, Mapping[Key, set[Key]]]:
        function, other = self._contained
        if other not in all_hlg_keys:
            return super().cull(keys, all_hlg_keys)
        return MaterializedLayer({self._root: (function, other)}), {self._root: {other}}


def root_key(name: str) -> str:
    """Return the key of what ``tree`` makes."""
    return f"state-{name}"


def _key(name: str, span: Span) -> str:
    # Dask takes what comes first for the kind: only folds that are a kind of their own wait for a free worker.
    return f"{'fold' if span.stop - span.start == 1 else 'merge'}-{name}-{span}"


def _producer(key: str, call: tuple[Any, ...], known: set[Key]) -> Task:
    """Return a task that dask keeps back for a worker that is free, and does not send to where its inputs are."""
    task: Any = convert_legacy_task(key, call, known)
    return Task(key, task.func, *task.args, _data_producer=True)


def _begin() -> None:
    pass


def _after_it(_: None, function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _same(state: Any, _: None) -> Any:
    return state


def merge_all(merge: Callable[[Any, Any], Any], states: list[Any]) -> Any:
    """Merge from left to right, letting go of each state as soon as it is merged."""
    return reduce(merge, states)
