"""Moments to disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from dask.base import compute

from covdist.results.labelled_state import LabelledState
from covdist.results.layout import Layout
from covdist.results.store import new_result, write

M = TypeVar("M", bound=LabelledState)


def _computed(lazy: dict[str, M]) -> dict[str, M]:
    return dict(zip(lazy, compute(*lazy.values()), strict=True))


def save(
    nodes: Mapping[str, M], path: str | Path, computed: Callable[[dict[str, M]], dict[str, M]] = _computed
) -> dict[str, M]:
    """Write a mapping {node path: Moments} to a new Zarr store, and return them computed; one alone has the path "".

    The store appears only when everything is written. Workers write the tiles of a matrix in tiles themselves, so they
    must be able to reach it.
    """
    with new_result(path, list(nodes)) as groups:
        results = computed({node: one.with_tiles_in(groups[node]) for node, one in nodes.items()})
        for node, one in results.items():
            write(groups[node], one.dataset, _names(one.layout))
    return results


def _names(layout: Layout) -> dict[str, object]:
    """Return the names that the arrays do not carry: dims and coordinates may be stored under others."""
    stored, groups = layout.stored()
    axes = [
        {"dim": axis.dim, "size": axis.size, "coords": dict(zip(axis.coords, other.coords, strict=True))}
        | ({"levels": list(axis.levels)} if axis.levels else {})
        for axis, other in zip(layout.axes, stored, strict=False)
    ]
    if layout.groups is None or groups is None:
        return {"axes": axes}
    names: dict[str, object] = {"groups": layout.groups.dim, "groups_stored": groups.dim}
    if groups.levels:
        return {"axes": axes, **names, "groups_levels": dict(zip(layout.groups.levels, groups.levels, strict=True))}
    return {"axes": axes, **names} if groups.dim != layout.groups.dim else {"axes": axes, "groups": groups.dim}
