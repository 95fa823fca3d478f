"""Fold and merge as a dask graph: a tree whose shape depends on the list alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph
from dask.typing import Key


def tree(
    fold: Callable[..., Any],
    merge: Callable[[Any, Any], Any],
    items: Sequence[tuple[Any, ...]],
    *,
    name: str,
    fan_in: int,
    dependencies: Sequence[Any] = (),
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
    """
    graph: dict[Key, Any] = {}
    level = []
    for i, item in enumerate(items):
        graph[f"{name}-fold-{i}"] = (fold, *item)
        level.append(f"{name}-fold-{i}")
    depth = 0
    while len(level) > 1:
        depth += 1
        above: list[str] = []
        for start in range(0, len(level), fan_in):
            children = level[start : start + fan_in]
            key = f"{name}-merge-{depth}-{len(above)}"
            if len(children) > 1:
                graph[key] = (merge_all, merge, children)
            above.append(key if len(children) > 1 else children[0])
        level = above
    layer = f"{name}-tree"
    return Delayed(
        level[0], HighLevelGraph.from_collections(layer, graph, dependencies=list(dependencies)), layer=layer
    )


def merge_all(merge: Callable[[Any, Any], Any], states: list[Any]) -> Any:
    """Merge from left to right, letting go of each state as soon as it is merged."""
    return reduce(merge, states)


def depth(leaves: int, fan_in: int) -> int:
    """Levels of merging above ``leaves`` folds."""
    levels = 0
    while leaves > 1:
        leaves, levels = -(-leaves // fan_in), levels + 1
    return levels


def merges(leaves: int, fan_in: int) -> int:
    """Merge tasks above ``leaves`` folds."""
    total = 0
    while leaves > 1:
        total += leaves // fan_in + (leaves % fan_in > 1)
        leaves = -(-leaves // fan_in)
    return total
