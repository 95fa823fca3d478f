"""The lazy tree of a log: all of its nodes as one ``DataTree``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import xarray as xr

from covdist.logs.nodes import LogNode


def tree(nodes: Mapping[str, LogNode]) -> xr.DataTree:
    """Join the nodes from below: adding children to a node one by one, as ``from_dict`` does, is quadratic.

    Children that are given to a new node would be copied, those that are set are not.
    """
    below: defaultdict[str, dict[str, xr.DataTree]] = defaultdict(dict)
    for path in sorted(nodes.keys() - {""}, key=lambda path: (-path.count("/"), path)):
        upper, _, name = path.rpartition("/")
        below[upper][name] = _joined(nodes[path], below.pop(path, {}))
    return _joined(nodes[""], below[""])


def _joined(node: LogNode, children: dict[str, xr.DataTree]) -> xr.DataTree:
    dataset = node.dataset if node.entries else xr.Dataset()
    joined = _PartlyRead(dataset) if node.unreadable else xr.DataTree(dataset)
    joined.children = children
    if isinstance(joined, _PartlyRead):
        joined._unreadable = {name: one.error for name, one in node.unreadable.items() if name not in dataset}
    return joined


class _PartlyRead(xr.DataTree):
    """A node that has arrays which cannot be read; a copy of it no longer knows of them."""

    __slots__ = ("_unreadable",)

    def get(self, key: str, default: xr.DataTree | xr.DataArray | None = None) -> xr.DataTree | xr.DataArray | None:  # type: ignore[override]
        found = super().get(key, default)
        if found is default and key in getattr(self, "_unreadable", ()):
            raise self._unreadable[key].with_traceback(None)
        return found
