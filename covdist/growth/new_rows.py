"""The rows that have come to a log since a result was made from it."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import dask.array as da
import xarray as xr

from covdist.folding.selection import Unread
from covdist.logs.nodes import LogNode
from covdist.logs.source import Source

Ranges = Sequence[slice]


def old_and_new(parts: Mapping[str, Source], known: Mapping[str, int]) -> tuple[list[slice], list[slice]]:
    """Return where rows lie in an array joined of parts: the first so many of each, and the others."""
    old, new, start = list[slice](), list[slice](), 0
    for name, part in parts.items():
        between, stop = start + known.get(name, 0), start + part.shape[0]
        old += [slice(start, between)] if between > start else []
        new += [slice(between, stop)] if stop > between else []
        start = stop
    return old, new


def taken(x: xr.DataArray, ranges: Ranges) -> xr.DataArray:
    """Return ranges of an array's first dim, one below the other."""
    dim = x.dims[0]
    pieces = [x.isel({dim: each}) for each in ranges or [slice(0, 0)]]
    if len(pieces) == 1:
        return pieces[0]
    return xr.concat(pieces, dim, coords="minimal", compat="override", join="override", combine_attrs="override")


class NewRows:
    """A node of a log in which some arrays have only ranges of their rows, by name."""

    def __init__(self, node: LogNode, ranges: Mapping[str, Ranges]):
        self._node, self._ranges = node, ranges

    @property
    def data(self) -> Mapping[str, int]:
        return self._node.data

    @property
    def unreadable(self) -> Mapping[str, Unread]:
        return self._node.unreadable

    @property
    def coords(self) -> Collection[str]:
        return self._node.coords

    @property
    def dims(self) -> Mapping[str, Sequence[str]]:
        return self._node.dims

    def __contains__(self, name: str) -> bool:
        return name in self._node

    def array(self, name: str, called: str) -> xr.DataArray:
        x = self._node.array(name, called)
        return taken(x, self._ranges[name]) if name in self._ranges else x

    def kind(self, name: str, samples: Collection[str]) -> Hashable | None:
        kind, ranges = self._node.kind(name, samples), self._ranges.get(name, ())
        return None if kind is None else (kind, *((each.start, each.stop) for each in ranges))

    def lazy(self, name: str) -> da.Array:
        rows = self._node.lazy(name)
        if name not in self._ranges:
            return rows
        pieces: list[Any] = [rows[each] for each in self._ranges[name]]
        return pieces[0] if len(pieces) == 1 else da.concatenate(pieces)

    def check(self, name: str) -> None:
        self._node.check(name)
