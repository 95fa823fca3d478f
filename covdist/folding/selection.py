"""Arrays of a log, chosen and turned into requests: for ``covdist run``, ``covdist plan`` and jobs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import xarray as xr

from covdist.engine import small_arrays
from covdist.errors import DataError
from covdist.folding.request import IN_MEMORY, IN_TILES, Request, make_request
from covdist.state.variances import Variances

_LATER = ("state", "halflife")  # fields that the first jobs did not have


@dataclass(frozen=True)
class Selection:
    """Which arrays of a log to fold, and how; ``Selection(**selection.asked())`` is the same."""

    layer: str = "*"  # a node's path, or a glob of several
    var: str | None = None  # all if None
    against: str | None = None  # the variable it is set against, for a cross-covariance
    dim: str | Sequence[str] | None = None  # the array's first if None
    by: npt.ArrayLike | None = None  # coordinate to group by, several of them, or one value per sample
    missing: str = "raise"
    precision: str = "high"
    max_columns: int = 4096  # up to so many the full covariance matrix is folded, for more what ``beyond`` names:
    beyond: str = Variances.name  # variances alone, or the full matrix in tiles
    inf: str = "raise"
    state: str | tuple[str, ...] = ()  # to fold instead, by name, such as "lagged(lag=3)"; several are folded together
    halflife: float | None = None  # rows count half for every so many units of the sample coordinate before the last

    def __post_init__(self) -> None:
        if self.dim is not None and not isinstance(self.dim, str):
            dims = tuple(self.dim)
            object.__setattr__(self, "dim", dims[0] if len(dims) == 1 else dims)
        by: Any = self.by
        if isinstance(by, tuple) and len(by) == 1:
            object.__setattr__(self, "by", by[0])
        if isinstance(by, Mapping):  # as `asked` writes it
            object.__setattr__(self, "by", _from_json(by))

    def asked(self) -> dict[str, object]:
        """Return the selection as JSON, without later fields that are not asked for: jobs begun before go on."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.by is not None and not isinstance(self.by, str):
            values["by"] = {"coordinates": self.by} if isinstance(self.by, tuple) else _as_json(self.by)
        asked: dict[str, object] = json.loads(json.dumps(values))
        return {key: value for key, value in asked.items() if key not in _LATER or value}


def _as_json(by: npt.ArrayLike) -> dict[str, object]:
    """Return one value per sample as JSON that gives the same bits again."""
    values = small_arrays.values(by)
    if values.dtype.kind not in "biufUmM":
        raise DataError(f"by has dtype {values.dtype}, which a job cannot write down: pass numbers, text or times")
    found: dict[str, object] = {"dtype": values.dtype.str}
    if isinstance(by, xr.DataArray):
        found |= {"dims": list(map(str, by.dims)), "name": by.name and str(by.name)}
    return {**found, "values": (values.view("i8") if values.dtype.kind in "mM" else values).tolist()}


def _from_json(found: Mapping[str, Any]) -> npt.ArrayLike:
    if "coordinates" in found:
        return tuple(found["coordinates"])
    dtype = np.dtype(found["dtype"])
    values = np.array(found["values"], "i8" if dtype.kind in "mM" else dtype)
    values = values.view(dtype) if dtype.kind in "mM" else values
    return xr.DataArray(values, dims=found["dims"], name=found["name"]) if "dims" in found else values


def requests(nodes: Mapping[str, Arrays], selection: Selection) -> dict[str, Request]:
    """Return the requests, for the nodes of a log by path, by the path a result stores them under."""
    wanted_path = selection.layer.strip("/")
    chosen = {
        (path, name): _request(node, path, name, selection)
        for path, node in nodes.items()
        if (path == wanted_path if wanted_path in nodes else fnmatchcase(path, selection.layer))
        for name in _names(node, selection)
    }
    if not chosen:
        wanted = f"layer {selection.layer!r}" + ("" if selection.var is None else f" and variable {selection.var!r}")
        found = [f"{path}/{name}".strip("/") for path, node in nodes.items() for name in node.data]
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        inventory = (", ".join(found[:8]) or "no variables") + more
        raise DataError(f"nothing selected: {wanted}, but the log holds {inventory}")
    paths = [path for path, _ in chosen]
    if len(set(paths)) == len(paths):  # one variable a node: the node's path says it all
        return {path: request for (path, _), request in chosen.items()}
    return {f"{path}/{name}".strip("/"): request for (path, name), request in chosen.items()}


class Arrays(Protocol):
    """The arrays at one path of a log."""

    @property
    def data(self) -> Mapping[str, int]:
        """Numbers of dims of those that are no coordinates, by name."""

    def __contains__(self, name: str) -> bool: ...

    def array(self, name: str, called: str) -> xr.DataArray:
        """Return one of them, under another name, with its coordinates."""


def _names(node: Arrays, selection: Selection) -> list[str]:
    if selection.var is not None:
        return [selection.var] if selection.var in node else []
    return [name for name, ndim in node.data.items() if ndim > 1 or len(node.data) == 1]


def _request(node: Arrays, path: str, name: str, selection: Selection) -> Request:
    x = node.array(name, f"{path}/{name}".strip("/"))
    dim = selection.dim if selection.dim is not None else next(map(str, x.dims), None)
    dims = (dim,) if isinstance(dim, str) else dim or ()
    make = partial(
        make_request, dim=dim, by=selection.by, missing=selection.missing, inf=selection.inf,
        precision=selection.precision, state=selection.state or None, halflife=selection.halflife,
    )  # fmt: skip
    if selection.against is not None:
        if selection.against not in node.data:
            raise DataError(
                f"{path or 'the log'} has no variable {selection.against!r} to set "
                f"against {name!r}, there are {', '.join(node.data)}"
            )
        y = node.array(selection.against, f"{path}/{selection.against}".strip("/"))
        if y.dims and dim in x.dims[:1] and dim not in y.dims:  # renamed at opening: the lengths differ
            y = y.rename({y.dims[0]: dim})
        return make(x, y)
    columns = x.size // max(math.prod(x.sizes.get(each, 1) for each in dims), 1)
    if columns <= selection.max_columns or selection.state:
        return make(x, matrix=IN_MEMORY)
    if selection.beyond == IN_TILES:
        return make(x, matrix=IN_TILES)
    return make(x, state=Variances)
