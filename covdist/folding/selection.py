"""Arrays of a log, chosen and turned into requests: for ``covdist run``, ``covdist plan`` and jobs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import partial

import xarray as xr

from covdist.errors import DataError
from covdist.folding.request import IN_MEMORY, IN_TILES, Request, make_request
from covdist.state.variances import Variances

_LATER = ("state", "halflife")  # fields that the first jobs did not have


@dataclass(frozen=True)
class Selection:
    """Which arrays of a log to fold, and how.

    Attributes
    ----------
    layer : str
        Glob of node paths.
    var, against : str or None
        Variable to fold, all if None; and the variable it is set against, for a cross-covariance.
    dim, by : str or None
        Sample dim, the array's first if None; coordinate to group by.
    missing, precision, inf : str
    max_columns : int
        Up to this many columns the full covariance matrix is folded, for more what ``beyond`` names.
    beyond : str
        Variances alone (the default), or the full matrix in tiles.
    state : str or tuple of str
        State to fold instead, by name, such as "lagged(lag=3)"; several are folded together.
    halflife : float, optional
        Rows count half for every so many units of the sample coordinate before the last.
    """

    layer: str = "*"
    var: str | None = None
    against: str | None = None
    dim: str | None = None
    by: str | None = None
    missing: str = "raise"
    precision: str = "high"
    max_columns: int = 4096
    beyond: str = Variances.name
    inf: str = "raise"
    state: str | tuple[str, ...] = ()
    halflife: float | None = None

    def asked(self) -> dict[str, object]:
        """Return the selection as JSON, without later fields that are not asked for: jobs begun before go on."""
        asked: dict[str, object] = json.loads(json.dumps(asdict(self)))
        return {key: value for key, value in asked.items() if key not in _LATER or value}


def requests(log: xr.DataTree, selection: Selection) -> dict[str, Request]:
    """Return the requests by the path a result stores them under.

    Raises
    ------
    DataError
        If nothing in the log is selected.
    """
    chosen = {}
    for node in log.subtree:
        path = node.path.strip("/")
        if not fnmatchcase(path, selection.layer):
            continue
        for name in _names(node, selection):
            chosen[path, name] = _request(node, path, name, selection)
    if not chosen:
        raise DataError(f"nothing selected: {_wanted(selection)}, but the log holds {_inventory(log)}")
    paths = [path for path, _ in chosen]
    if len(set(paths)) == len(paths):  # one variable a node: the node's path says it all
        return {path: request for (path, _), request in chosen.items()}
    return {f"{path}/{name}".strip("/"): request for (path, name), request in chosen.items()}


def _names(node: xr.DataTree, selection: Selection) -> list[str]:
    if selection.var is not None:
        return [selection.var] if selection.var in node.data_vars or selection.var in node.coords else []
    return [str(name) for name, array in node.data_vars.items() if array.ndim > 1 or len(node.data_vars) == 1]


def _request(node: xr.DataTree, path: str, name: str, selection: Selection) -> Request:
    x = node[name].rename(f"{path}/{name}".strip("/"))
    dim = selection.dim if selection.dim is not None else x.dims[0]
    make = partial(
        make_request, dim=dim, by=selection.by, missing=selection.missing, inf=selection.inf,
        precision=selection.precision, state=selection.state or None, halflife=selection.halflife,
    )  # fmt: skip
    if selection.against is not None:
        if selection.against not in node.data_vars:
            raise DataError(
                f"{path or 'the log'} has no variable {selection.against!r} to set "
                f"against {name!r}, there are {', '.join(map(str, node.data_vars))}"
            )
        y = node[selection.against].rename(f"{path}/{selection.against}".strip("/"))
        if dim == x.dims[0] and dim not in y.dims:  # renamed where the log was opened, because the lengths differ
            y = y.rename({y.dims[0]: dim})
        return make(x, y)
    columns = x.size // max(x.sizes.get(dim, 1), 1)
    if columns <= selection.max_columns or selection.state:
        return make(x, matrix=IN_MEMORY)
    if selection.beyond == IN_TILES:
        return make(x, matrix=IN_TILES)
    return make(x, state=Variances)


def _wanted(selection: Selection) -> str:
    return f"layer {selection.layer!r}" + ("" if selection.var is None else f" and variable {selection.var!r}")


def _inventory(log: xr.DataTree) -> str:
    found = [f"{node.path.strip('/')}/{name}".strip("/") for node in log.subtree for name in node.data_vars]
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    return (", ".join(found[:8]) or "no variables") + more
