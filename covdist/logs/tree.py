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
    joined = xr.DataTree(node.dataset if node.entries else None)
    joined.children = children
    return joined
