"""Fold and merge as a dask graph: a tree whose shape depends on the list alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from typing import Any

from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer
from dask.typing import Key

from covdist.engine.plan import depth


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
    graph: dict[Key, Any] = {}
    level = []
    for i, item in enumerate(items):
        graph[f"{name}-fold-{i}"] = (fold, *item)
        level.append(f"{name}-fold-{i}")
    height = 0
    while len(level) > 1:
        height += 1
        above: list[str] = []
        for start in range(0, len(level), fan_in):
            children = level[start : start + fan_in]
            key = f"{name}-merge-{height}-{len(above)}"
            if len(children) > 1:
                graph[key] = (merge_all, merge, children)
            above.append(key if len(children) > 1 else children[0])
        level = above
    layer = f"{name}-tree"
    tasks: Any = graph if contained is None else _ContainedLayer(graph, level[0], contained)
    whole = HighLevelGraph.from_collections(layer, tasks, dependencies=list(dependencies))
    return Delayed(level[0], whole, layer=layer)


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


def root_key(name: str, leaves: int, fan_in: int) -> str:
    """Return the key of what ``tree`` makes of so many items."""
    return f"{name}-merge-{depth(leaves, fan_in)}-0" if leaves > 1 else f"{name}-fold-0"


def merge_all(merge: Callable[[Any, Any], Any], states: list[Any]) -> Any:
    """Merge from left to right, letting go of each state as soon as it is merged."""
    return reduce(merge, states)
