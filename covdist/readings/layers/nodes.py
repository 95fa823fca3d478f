"""The nodes of a log that hold its layers."""

from __future__ import annotations

from collections.abc import Iterator

import xarray as xr

from covdist.errors import DataError, shown


def nodes_of(log: xr.DataTree, **variables: str) -> dict[str, xr.DataTree]:
    """Return by layer the nodes that hold one of the variables, which options name; DataError where none does.

    A layer is called by the path of its node, that of the log's root "root", with ``_`` behind it where a node has that
    name. They come in depth: each node before those below it, and all of these before the next beside it.
    """
    found = {
        node.path.strip("/") or _root_name(log): node
        for node in _in_depth(log)
        if any(name in node.data_vars for name in variables.values())
    }
    if not found:
        known = sorted({str(name) for node in log.subtree for name in node.data_vars})
        raise DataError(
            f"no node of the log holds a variable {' or '.join(map(repr, variables.values()))}, found are "
            f"{', '.join(map(shown, known)) or 'none'}: pass {' or '.join(f'{option}=...' for option in variables)}"
        )
    return found


def _in_depth(node: xr.DataTree) -> Iterator[xr.DataTree]:
    yield node
    for child in node.children.values():
        yield from _in_depth(child)


def _root_name(log: xr.DataTree) -> str:
    name = "root"
    while name in log.children:
        name += "_"
    return name
