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
    """Which arrays of a log to fold, and how."""

    layer: str = "*"  # glob of node paths
    var: str | None = None  # all if None
    against: str | None = None  # the variable it is set against, for a cross-covariance
    dim: str | None = None  # the array's first if None
    by: str | None = None  # coordinate to group by
    missing: str = "raise"
    precision: str = "high"
    max_columns: int = 4096  # up to so many the full covariance matrix is folded, for more what ``beyond`` names:
    beyond: str = Variances.name  # variances alone, or the full matrix in tiles
    inf: str = "raise"
    state: str | tuple[str, ...] = ()  # to fold instead, by name, such as "lagged(lag=3)"; several are folded together
    halflife: float | None = None  # rows count half for every so many units of the sample coordinate before the last

    def asked(self) -> dict[str, object]:
        """Return the selection as JSON, without later fields that are not asked for: jobs begun before go on."""
        asked: dict[str, object] = json.loads(json.dumps(asdict(self)))
        return {key: value for key, value in asked.items() if key not in _LATER or value}


def requests(log: xr.DataTree, selection: Selection) -> dict[str, Request]:
    """Return the requests by the path a result stores them under."""
    nodes = {node.path.strip("/"): node for node in log.subtree}
    chosen = {
        (path, name): _request(node, path, name, selection)
        for path, node in nodes.items()
        if fnmatchcase(path, selection.layer)
        for name in _names(node, selection)
    }
    if not chosen:
        wanted = f"layer {selection.layer!r}" + ("" if selection.var is None else f" and variable {selection.var!r}")
        found = [f"{path}/{name}".strip("/") for path, node in nodes.items() for name in node.data_vars]
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        inventory = (", ".join(found[:8]) or "no variables") + more
        raise DataError(f"nothing selected: {wanted}, but the log holds {inventory}")
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
