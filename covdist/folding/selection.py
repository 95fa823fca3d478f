"""Arrays of a log, chosen and turned into requests: for ``covdist run``, ``covdist plan`` and jobs."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from functools import partial
from numbers import Real
from typing import Any, Protocol

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from covdist import plugins
from covdist.engine import small_arrays
from covdist.errors import CovdistError, DataError, shown
from covdist.folding.grouping import bins, keys, labelling, named
from covdist.folding.request import IN_MEMORY, IN_TILES, Request, another, make_request, of_rows_alone, rows_as_they_are
from covdist.given import choices, names, nearest, one_of, text, told, whole
from covdist.results.accepted import check_real
from covdist.results.labels import ArrayLike, Bins, Rows
from covdist.state.variances import Variances

Chosen = Mapping[tuple[str, str], str]  # by paths of nodes and names of arrays, what a result calls them
_LATER = ("state", "halflife", "blocks", "each")  # fields that the first jobs did not have


@dataclass(frozen=True)
class Selection:
    """Which arrays of a log to fold, and how; ``Selection(**selection.asked())`` is the same."""

    layer: str = "*"  # a node's path, or a glob of several
    var: str | None = None  # all if None
    against: str | None = None  # the variable it is set against, for a cross-covariance
    dim: str | Sequence[str] | None = None  # the array's first if None
    by: Rows = None  # coordinate to group by, bins of one, several of them, or one value per sample
    missing: str = "raise"
    precision: str = "high"
    max_columns: int = 4096  # up to so many the full covariance matrix is folded, for more what ``beyond`` names:
    beyond: str = Variances.name  # variances alone, or the full matrix in tiles
    inf: str = "raise"
    state: str | tuple[str, ...] = ()  # to fold instead, by name, such as "lagged(lag=3)"; several are folded together
    blocks: int | None = None  # runs of consecutive rows with a state each
    halflife: float | None = None  # rows count half for every so many units of the sample coordinate before the last
    each: str | Sequence[str] = ()  # dims of which every position has a state of its own

    def __post_init__(self) -> None:
        self._check_words()
        for name in ("each", "state"):
            given: Any = getattr(self, name)
            if name == "each" or not isinstance(given, str):
                object.__setattr__(self, name, () if given is None else names(name, given))
        object.__setattr__(self, "max_columns", whole("max_columns", self.max_columns, 0))
        if self.blocks is not None:
            object.__setattr__(self, "blocks", whole("blocks", self.blocks))
        if not isinstance(self.halflife, str | None):
            object.__setattr__(self, "halflife", float(self.halflife))
        if self.dim is not None and not isinstance(self.dim, str):
            dims = names("dim", self.dim)
            object.__setattr__(self, "dim", dims[0] if len(dims) == 1 else dims)
        by: Any = _from_json(self.by) if isinstance(self.by, Mapping) else self.by  # as `asked` writes it
        if several := keys(by):
            by = tuple(named(each) if isinstance(each, str) else each for each in several)
        object.__setattr__(self, "by", by[0] if isinstance(by, tuple) and len(by) == 1 else by)

    def _check_words(self) -> None:
        for name in ("layer", "var", "against"):
            given = getattr(self, name)
            if name == "layer" or given is not None:
                text(name, given)
        one_of("missing", self.missing, plugins.names("missing"))
        one_of("inf", self.inf, ("raise", "missing"))
        one_of("precision", self.precision, ("high", "fast"))
        one_of("beyond", self.beyond, (Variances.name, IN_TILES))
        halflife: Any = self.halflife
        if not isinstance(halflife, Real | str | None):
            raise DataError(f"halflife={told(halflife)} is no length: pass a number of steps")

    def asked(self) -> dict[str, object]:
        """Return the selection as JSON, without later fields that are not asked for: jobs begun before go on."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.by is not None and not isinstance(self.by, str):
            values["by"] = _as_json(self.by)
        asked: dict[str, object] = json.loads(json.dumps(values))
        return {key: value for key, value in asked.items() if key not in _LATER or value}


def _as_json(by: Any) -> dict[str, object]:
    """Return what rows are grouped by as JSON."""
    if isinstance(by, tuple):
        return {"coordinates": [each if isinstance(each, str) else _as_json(each) for each in by]}
    if not isinstance(by, Bins):
        return _values_as_json(by)
    of = by.of if isinstance(by.of, str) else _values_as_json(by.of)
    edges = _values_as_json(by.bins) if isinstance(by.bins, np.ndarray) else by.bins
    plain = isinstance(by.width, str | int | float | None)
    return {"bins": edges, "of": of, "width": by.width if plain else str(pd.Timedelta(by.width))}


def _from_json(found: Mapping[str, Any]) -> Rows:
    if not found.keys() & {"coordinates", "bins", "values"}:
        raise DataError("by is a mapping, expected the name of a coordinate, bins of one, or one value per sample")
    if "coordinates" in found:
        several: Any = (each if isinstance(each, str) else _from_json(each) for each in found["coordinates"])
        return tuple(several)
    if "bins" in found:
        of, edges = (_values_of(each) if isinstance(each, Mapping) else each for each in (found["of"], found["bins"]))
        return bins(of, edges, width=found["width"])
    return _values_of(found)


def _values_as_json(by: ArrayLike) -> dict[str, object]:
    """Return one value per sample as JSON that gives the same bits again."""
    values = small_arrays.values(by)
    if values.dtype.kind not in "biufUmM":
        raise DataError(f"by has dtype {values.dtype}, which a job cannot write down: pass numbers, text or times")
    found: dict[str, object] = {"dtype": values.dtype.str}
    if isinstance(by, xr.DataArray):
        found |= {"dims": list(map(str, by.dims)), "name": by.name and str(by.name)}
    return {**found, "values": (values.view("i8") if values.dtype.kind in "mM" else values).tolist()}


def _values_of(found: Mapping[str, Any]) -> ArrayLike:
    dtype = np.dtype(found["dtype"])
    values = np.array(found["values"], "i8" if dtype.kind in "mM" else dtype)
    values = values.view(dtype) if dtype.kind in "mM" else values
    return xr.DataArray(values, dims=found["dims"], name=found["name"]) if "dims" in found else values


def requests(nodes: Mapping[str, Arrays], selection: Selection, chosen: Chosen | None = None) -> dict[str, Request]:
    """Return the requests, for the nodes of a log by path, by the path a result stores them under.

    They are of the arrays that are ``wanted``, or of some of these. LogError or DataError where one of the arrays
    cannot be read or folded, without which a result would be incomplete.
    """
    found, refused = possible_requests(nodes, selection, chosen)
    for path, error in refused.items():
        raise type(error)(
            f"{len(refused):,} of {len(found) + len(refused):,} arrays cannot be folded, such as {shown(path)} "
            f"({str(error).rstrip('.')}): mend the log, or choose others by layer or variable (--layer, --var)."
        ) from error
    return found


def possible_requests(
    nodes: Mapping[str, Arrays], selection: Selection, chosen: Chosen | None = None
) -> tuple[dict[str, Request], dict[str, CovdistError]]:
    """Return the requests, and the errors of arrays that cannot be read or folded, by their paths; not errors alone."""
    found, refused = dict[str, Request](), dict[str, CovdistError]()
    alike: dict[Hashable, Request] = {}  # of thousands of arrays many are, and a request takes 0.3 ms
    for (path, name), called in (wanted(nodes, selection) if chosen is None else chosen).items():
        node = nodes[path]
        kind = _kind(node, name, selection)
        try:
            if kind in alike:
                found[called] = another(alike[kind], node.lazy(name), _full(path, name))
                continue
            sides = _sides(node, path, name, selection)
        except CovdistError as error:
            refused[_full(path, name)] = error
            continue
        found[called] = _request(node, path, sides, selection)
        if kind is not None and _of_rows_alone(found[called], sides[0].data):
            alike[kind] = _unlabelled(found[called])
    if not found:
        raise next(iter(refused.values()))
    return found, refused


def _kind(node: Arrays, name: str, selection: Selection) -> Hashable | None:
    """Return what is equal for arrays of which ``another`` makes the request of one from that of any other."""
    if selection.against is not None or selection.by is not None or selection.halflife is not None:
        return None
    dim = node.dims.get(name, ())[:1] if selection.dim is None else selection.dim
    return node.kind(name, (dim,) if isinstance(dim, str) else dim)


def _of_rows_alone(request: Request, data: Any) -> bool:
    """Return whether a request is of these data, and coordinates have no part in how they are folded."""
    as_they_are = request.policy.stream is rows_as_they_are or not request.sides[0].coords
    return as_they_are and of_rows_alone(request, data)


def _unlabelled(request: Request) -> Request:
    return replace(request, sides=tuple(replace(side, coords={}, labels={}) for side in request.sides))


def wanted(nodes: Mapping[str, Arrays], selection: Selection) -> Chosen:
    """Return the arrays that are chosen, by the paths of their nodes and their names, and what a result calls them."""
    unread = {_full(path, name): (path, name) for path, node in nodes.items() for name in node.unreadable}
    there = {unread.pop(full) for full in nodes.keys() & unread}  # layers whose arrays are there all the same
    layer = selection.layer.strip("/")
    literal = layer in nodes or layer in unread
    paths = [path for path in nodes if (path == layer if literal else fnmatchcase(path, selection.layer))]
    chosen = [(path, name) for path in paths for name in _names(nodes[path], selection)]
    for full, key in unread.items():
        maybe = nodes[key[0]].unreadable[key[1]].layer and key[1] not in nodes[key[0]].coords
        if full == layer or (maybe and not literal and fnmatchcase(full, selection.layer)):
            chosen.append(key)
    chosen = [key for key in dict.fromkeys(chosen) if key not in there]
    if not chosen:
        asked = f"layer {selection.layer!r}" + ("" if selection.var is None else f" and variable {selection.var!r}")
        raise DataError(f"nothing selected: {asked}, but the log holds {_inventory(nodes, selection)}")
    if len({path for path, _ in chosen}) == len(chosen):  # one variable a node: the node's path says it all
        return {(path, name): path for path, name in chosen}
    return {(path, name): _full(path, name) for path, name in chosen}


def _inventory(nodes: Mapping[str, Arrays], selection: Selection) -> str:
    """Return what there is to choose from, and which layer, or variable, is nearest to one that is not there."""
    paths = [_full(path, name) for path, node in nodes.items() for name in node.data]
    more = f" and {len(paths) - 8} more" if len(paths) > 8 else ""
    if any(fnmatchcase(path, selection.layer) for path in nodes):
        near = nearest(selection.var, [name for node in nodes.values() for name in node.data], shown)
    else:
        near = nearest(selection.layer, nodes, shown)
    return (", ".join(paths[:8]) or "no variables") + more + near


def _full(path: str, name: str) -> str:
    return f"{path}/{name}".strip("/")


class Unread(Protocol):
    """What cannot be read."""

    @property
    def layer(self) -> bool:
        """Whether it may be a layer, for all that is known."""


class Arrays(Protocol):
    """The arrays at one path of a log."""

    @property
    def data(self) -> Mapping[str, int]:
        """Numbers of dims of those that are no coordinates, by name."""

    @property
    def unreadable(self) -> Mapping[str, Unread]:
        """Those that cannot be read, by name."""

    @property
    def coords(self) -> Collection[str]:
        """Names of coordinates."""

    @property
    def dims(self) -> Mapping[str, Sequence[str]]:
        """Names of dims, by the names of arrays and coordinates."""

    def __contains__(self, name: str) -> bool: ...

    def array(self, name: str, called: str) -> xr.DataArray:
        """Return one of them, under another name, with its coordinates; LogError if they cannot be read."""

    def kind(self, name: str, samples: Collection[str]) -> Hashable | None:
        """Return what is equal for arrays that differ in names, values and coordinates of ``samples`` alone.

        None where there may be more to it.
        """

    def lazy(self, name: str) -> da.Array:
        """Return the data of an array that has a kind; LogError where it has an index that cannot be read."""

    def check(self, name: str) -> None:
        """Raise LogError if an array cannot be read."""


def _names(node: Arrays, selection: Selection) -> list[str]:
    if selection.var is not None:
        return [selection.var] if selection.var in node else []
    unread = [name for name in node.unreadable if name not in node.coords]
    alone = len(node.data.keys() | unread) == 1
    return [*(name for name, ndim in node.data.items() if ndim > 1 or alone), *unread]


def _sides(node: Arrays, path: str, name: str, selection: Selection) -> list[xr.DataArray]:
    """Return an array, and the one that it is set against, if the node has it."""
    by, against = selection.by, selection.against
    for _, coordinate in labelling(by):
        if isinstance(coordinate, str):
            node.check(coordinate)
    names = [name] if against is None or against not in node else [name, against]
    sides = [node.array(each, _full(path, each)) for each in names]
    for side in sides:
        check_real(side.dtype, str(side.name))
    return sides


def _request(node: Arrays, path: str, sides: Sequence[xr.DataArray], selection: Selection) -> Request:
    x, y = sides[0], sides[-1]
    dim = selection.dim if selection.dim is not None else next(map(str, x.dims), None)
    dims = (dim,) if isinstance(dim, str) else dim or ()
    make = partial(
        make_request, dim=dim, by=selection.by, missing=selection.missing, inf=selection.inf,
        precision=selection.precision, state=selection.state or None, halflife=selection.halflife,
        blocks=selection.blocks, each=selection.each,
    )  # fmt: skip
    if selection.against is not None:
        if selection.against not in node.data:
            raise DataError(
                f"{path or 'the log'} has no variable {selection.against!r} to set "
                f"against {x.name!r}, there are {choices(selection.against, map(str, node.data), str)}"
            )
        if y.dims and dim in x.dims[:1] and dim not in y.dims:  # renamed at opening: the lengths differ
            y = y.rename({y.dims[0]: dim})
        return make(x, y)
    columns = x.size // max(math.prod(x.sizes.get(each, 1) for each in (*dims, *selection.each)), 1)
    if columns <= selection.max_columns or selection.state:
        return make(x, matrix=IN_MEMORY)
    if selection.beyond == IN_TILES:
        return make(x, matrix=IN_TILES)
    return make(x, state=Variances)
