"""The nodes of a log that hold its layers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import xarray as xr

from covdist.errors import DataError, shown


def nodes_of(log: xr.DataTree, **variables: str) -> dict[str, xr.DataTree]:
    """Return by layer the nodes that hold one of the variables, which options name; DataError of what none holds.

    A layer is called by the path of its node, that of the log's root "root", with ``_`` behind it where a node has that
    name. They come in depth: each node before those below it, and all of these before the next beside it.
    """
    found = {
        node.path.strip("/") or _root_name(log): node
        for node in _in_depth(log)
        if any(name in node.data_vars for name in variables.values())
    }
    known = sorted({str(name) for node in log.subtree for name in node.data_vars})
    if absent := absent_of(variables, known):
        raise DataError(
            f"no node of the log holds a variable {' or '.join(map(repr, absent.values()))}, found are "
            f"{', '.join(map(shown, known)) or 'none'}: pass {' or '.join(f'{option}=...' for option in absent)}"
        )
    return found


def absent_of(variables: Mapping[str, str], known: Collection[str]) -> Mapping[str, str]:
    """Return by option the variables that were to be there: all where none is, else those named by the caller.

    An option is called as the variable that it stands for by default, which one of several need not have.
    """
    absent = {option: name for option, name in variables.items() if name not in known}
    if len(absent) == len(variables):
        return absent
    return {option: name for option, name in absent.items() if name != option}


def _in_depth(node: xr.DataTree) -> Iterator[xr.DataTree]:
    yield node
    for child in node.children.values():
        yield from _in_depth(child)


def _root_name(log: xr.DataTree) -> str:
    name = "root"
    while name in log.children:
        name += "_"
    return name
