"""Builds the lazy tree of a log from the headers that a format has read."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr

from covdist.errors import LogError
from covdist.logs.dask_arrays import to_dask
from covdist.logs.dims import choose
from covdist.logs.source import Entry, Nodes, Source

INDEX_ENTRIES = 1_000_000  # longer coordinates stay on disk
INDEX_CHUNKS = 1_000  # so do coordinates cut finer: each chunk is a file to open
PACKED = ("scale_factor", "add_offset")  # values stored as offsets in steps (the CF conventions)


def build(nodes: Nodes) -> xr.DataTree:
    """Build the tree; coordinates of nodes that have children get no index."""
    _check_names(nodes)
    sizes: dict[str, dict[str, int]] = {}
    datasets = {}
    for path in sorted(nodes):
        above = {dim: n for other in sizes if _above(other, path) for dim, n in sizes[other].items()}
        dims = _dims(path, nodes[path], above)
        sizes[path] = {d: n for v, e in nodes[path].items() for d, n in zip(dims[v], e.source.shape, strict=True)}
        leaf = not any(_above(path, other) for other in nodes)
        datasets[f"/{path}"] = _dataset(nodes[path], dims, leaf)
    return xr.DataTree.from_dict(datasets)


def _above(upper: str, lower: str) -> bool:
    return lower.startswith(f"{upper}/") or (upper == "" and lower != "")


def _check_names(nodes: Nodes) -> None:
    for path in nodes:
        parts = path.split("/")
        for depth, part in enumerate(parts):
            if part in nodes.get("/".join(parts[:depth]), {}):
                raise LogError(f"{'/'.join(parts[: depth + 1])} is both an array and a layer: rename one of them.")


def _dims(path: str, variables: Mapping[str, Entry], above: Mapping[str, int]) -> dict[str, list[str]]:
    taken = dict(above)
    dims = {}
    # Wide variables first: a vector beside them takes the leading dim that it fits.
    for name in sorted(variables, key=lambda name: (len(variables[name].source.shape) < 2, name)):
        entry = variables[name]
        dims[name] = choose(path, name, entry.source.shape, entry.dims, taken)
        taken.update(zip(dims[name], entry.source.shape, strict=True))
    return dims


def _dataset(variables: Mapping[str, Entry], dims: Mapping[str, list[str]], leaf: bool) -> xr.Dataset:
    leading = {dims[name][0] for name in variables if len(dims[name]) > 1}
    coords = {n for n in variables if len(dims[n]) == 1 and (dims[n][0] in leading or dims[n] == [n])}
    indexes = {n for n in coords if leaf and dims[n] == [n] and _small(variables[n].source)}
    variables = {n: _as_coordinate(entry) if n in coords else entry for n, entry in variables.items()}
    lazy = {n: _variable(n, dims[n], variables[n]) for n in sorted(variables) if n not in indexes}
    return xr.Dataset(
        {n: variable for n, variable in lazy.items() if n not in coords},
        coords=xr.Coordinates({n: variable for n, variable in lazy.items() if n in coords}, indexes={}),
    ).assign_coords({n: _variable(n, dims[n], variables[n]).compute() for n in sorted(indexes)})


def _as_coordinate(entry: Entry) -> Entry:
    return entry._replace(source=entry.coordinate or entry.source)


def _small(source: Source) -> bool:
    entries = source.shape[0]
    return entries <= INDEX_ENTRIES and math.ceil(entries / max(1, source.chunks[0])) <= INDEX_CHUNKS


def _variable(name: str, dims: list[str], entry: Entry) -> xr.Variable:
    packing = {key: np.asarray(entry.attrs[key]).item() for key in PACKED if key in entry.attrs}
    attrs = {key: value for key, value in entry.attrs.items() if key not in packing}
    array = to_dask(entry.source)
    if packing:
        array = array * packing.get("scale_factor", 1.0) + packing.get("add_offset", 0.0)
    return xr.Variable(dims, array, attrs)
