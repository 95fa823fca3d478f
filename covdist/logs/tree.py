"""Builds the lazy tree of a log, and names its dims, from the headers that a format has read."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import xarray as xr

from covdist.errors import LogError
from covdist.logs import cf
from covdist.logs.source import Entry, Named, Nodes, Source

INDEX_ENTRIES = 1_000_000  # longer coordinates stay on disk
INDEX_CHUNKS = 1_000  # so do coordinates cut finer: each chunk is a file to open


def build(nodes: Nodes) -> xr.DataTree:
    """Build the tree; coordinates of nodes that have children get no index."""
    _check_names(nodes)
    sizes: dict[str, dict[str, int]] = {}
    datasets = {}
    inner = {upper for path in nodes for upper in _above(path)}
    for path in sorted(nodes):
        above = {dim: n for upper in _above(path) for dim, n in sizes.get(upper, {}).items()}
        dims = _dims(path, nodes[path], above)
        sizes[path] = {d: n for v, e in nodes[path].items() for d, n in zip(dims[v], e.source.shape, strict=True)}
        datasets[path] = _dataset(nodes[path], dims, leaf=path not in inner)
    return _tree(datasets, inner)


def _tree(datasets: Mapping[str, xr.Dataset], inner: set[str]) -> xr.DataTree:
    """Join the nodes from below: adding children to a node one by one, as ``from_dict`` does, is quadratic.

    Children that are given to a new node would be copied, those that are set are not.
    """
    below: defaultdict[str, dict[str, xr.DataTree]] = defaultdict(dict)
    for path in sorted({*datasets, *inner} - {""}, key=lambda path: (-path.count("/"), path)):
        upper, _, name = path.rpartition("/")
        below[upper][name] = _node(datasets.get(path), below.pop(path, {}))
    return _node(datasets.get(""), below[""])


def _node(dataset: xr.Dataset | None, children: dict[str, xr.DataTree]) -> xr.DataTree:
    node = xr.DataTree(dataset)
    node.children = children
    return node


def _above(path: str) -> list[str]:
    """Return the paths of all nodes above one, the root's first."""
    parts = path.split("/") if path else []
    return ["/".join(parts[:depth]) for depth in range(len(parts))]


def _check_names(nodes: Nodes) -> None:
    for path, variables in nodes.items():
        parts = path.split("/") if path else []
        for part in (*parts, *variables):
            if part in ("", ".", ".."):
                raise LogError(f"{path}/{part} is no name of an array or a layer: rename it in the log.")
        for depth, part in enumerate(parts):
            if part in nodes.get("/".join(parts[:depth]), {}):
                raise LogError(f"{'/'.join(parts[: depth + 1])} is both an array and a layer: rename one of them.")


def _dims(path: str, variables: Mapping[str, Entry], above: Mapping[str, int]) -> dict[str, list[str]]:
    taken = dict(above)
    dims = {}
    # Wide variables first: a vector beside them takes the leading dim that it fits.
    for name in sorted(variables, key=lambda name: (len(variables[name].source.shape) < 2, name)):
        entry = variables[name]
        dims[name] = _choose(path, name, entry.source.shape, entry.dims, taken)
        taken.update(zip(dims[name], entry.source.shape, strict=True))
    return dims


def _choose(node: str, variable: str, shape: tuple[int, ...], named: Named, taken: Mapping[str, int]) -> list[str]:
    """Return one free name per axis: the log's, else by convention, longer where sizes clash with ``taken``."""
    defaults = _convention(variable, len(shape))
    if named is None and len(shape) == 1:
        fitting = (name for name in (variable, "sample", "step") if taken.get(name) == shape[0])
        defaults = (next(fitting, "sample"),)
    preferred = [name or default for name, default in zip(named or defaults, defaults, strict=True)]
    chosen: list[str] = []
    for axis, (name, size) in enumerate(zip(preferred, shape, strict=True)):
        own = f"{variable}_{name}"
        options = (name, own, f"{own}_{axis}", f"{node.replace('/', '_')}_{own}_{axis}")
        blocked = {*chosen, variable} if len(shape) > 1 else set()
        chosen.append(next(each for each in options if each not in blocked and taken.get(each, size) == size))
    return chosen


def _convention(variable: str, ndim: int) -> tuple[str, ...]:
    if variable == "gradient" and ndim in (2, 3):
        return ("step", "param") if ndim == 2 else ("step", "sample", "param")
    return ("sample", "unit")[:ndim] if ndim <= 2 else ("sample", *(f"unit_{axis}" for axis in range(ndim - 1)))


def _dataset(variables: Mapping[str, Entry], dims: Mapping[str, list[str]], leaf: bool) -> xr.Dataset:
    leading = {dims[name][0] for name in variables if len(dims[name]) > 1}
    named = {name for entry in variables.values() for name in _named_coordinates(entry)} & variables.keys()
    coords = named | {n for n in variables if len(dims[n]) == 1 and (dims[n][0] in leading or dims[n] == [n])}
    indexes = {n for n in coords if leaf and dims[n] == [n] and _small(variables[n].source)}
    made = {}
    for name, entry in sorted(variables.items()):
        source = entry.coordinate or entry.source if name in coords else entry.source
        attrs = {key: value for key, value in entry.attrs.items() if key != "coordinates"}
        made[name] = (cf.loaded if name in indexes else cf.lazy)(dims[name], source, attrs)
    lazy = xr.Coordinates({n: made[n] for n in made if n in coords - indexes}, indexes={})
    return xr.Dataset({n: made[n] for n in made if n not in coords}, lazy).assign_coords(
        {n: made[n] for n in sorted(indexes)}
    )


def _named_coordinates(entry: Entry) -> list[str]:
    return str(entry.attrs.get("coordinates", "")).split()


def _small(source: Source) -> bool:
    entries = source.shape[0]
    return entries <= INDEX_ENTRIES and math.ceil(entries / max(1, source.chunks[0])) <= INDEX_CHUNKS
