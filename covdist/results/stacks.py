"""Computed states that are alike, taken together: of thousands, asking each by itself costs more than its answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from covdist.results.labelled_state import LabelledState
from covdist.state.base import numbers, stacked
from covdist.state.named import stackable

M = TypeVar("M", bound=LabelledState)
R = TypeVar("R")


def together(
    results: Mapping[str, M], likeness: Callable[[M], Hashable], function: Callable[[Sequence[M]], Iterator[R]]
) -> dict[str, R]:
    """Return by node what a function yields for each state of those that are alike; a likeness of None is of none."""
    alike = defaultdict[Hashable, list[str]](list)
    for node, one in results.items():
        kind = likeness(one)
        alike[node if kind is None else kind].append(node)
    found: dict[str, R] = {}
    for nodes in alike.values():
        found |= zip(nodes, function([results[node] for node in nodes]), strict=True)
    return {node: found[node] for node in results}


def same_fields(one: LabelledState) -> Hashable | None:
    """Return what is equal for states without groups or labels whose fields have the same shapes."""
    axes = one.layout.axes
    if one.layout.groups is not None or any(axis.coords for axis in axes):
        return None
    return one.layout.state, tuple((axis.dim, axis.size) for axis in axes)


def same_numbers(one: LabelledState) -> Hashable | None:
    """Return what is equal for states that answer in one ``stack``: as wide, and of as many rows."""
    layout = one.layout
    if layout.groups is not None or not stackable(layout.state):
        return None
    return layout.state, layout.widths, numbers(layout.state, one.deferred.joined())  # type: ignore[arg-type]


def stack(alike: Sequence[LabelledState]) -> Any | None:
    """Return states of a kind as one that answers of all along a first axis; None where the kind answers one by one."""
    kind = alike[0].layout.state
    return stacked(kind, [one.deferred.joined() for one in alike]) if stackable(kind) else None  # type: ignore[misc]
