"""``LogNode``: the arrays of a log at one path, with names for their dims, from the headers that a format has read.

Thousands of them are described in a moment. What becomes of an array, lazy or, where it indexes a dim, read at once, is
made when that array is asked for; the tree that ``open_log`` returns asks for all.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from uuid import uuid4

import dask.array as da
import numpy as np
import xarray as xr

from covdist.errors import LogError
from covdist.logs import cf
from covdist.logs.dask_arrays import to_dask
from covdist.logs.grid import GridSource, Index
from covdist.logs.joining.ranks import MARKS
from covdist.logs.source import Entry, Named, Nodes, Source, Unreadable

INDEX_ENTRIES = 1_000_000  # longer coordinates stay on disk
INDEX_CHUNKS = 1_000  # so do coordinates cut finer: each chunk is a file to open


@dataclass(frozen=True, eq=False)
class LogNode:
    """Arrays by name, the names of their dims, and which of them are coordinates, with or without an index.

    ``unreadable`` holds those that cannot be read. Attributes and indexes are looked at when an array is asked for, and
    may add to it.
    """

    entries: Mapping[str, Entry]
    dims: Mapping[str, list[str]]
    coords: set[str]
    indexes: set[str]
    unreadable: dict[str, Unreadable] = field(default_factory=dict)
    _known: dict[tuple[str, ...], xr.Coordinates] = field(default_factory=dict, repr=False)  # by the dims along which

    @cached_property
    def data(self) -> dict[str, int]:
        """Numbers of dims of the arrays that are no coordinates, by name."""
        return {name: len(self.dims[name]) for name in sorted(self.entries) if name not in self.coords}

    def __contains__(self, name: str) -> bool:
        return name in self.entries or name in self.unreadable

    def array(self, name: str, called: str) -> xr.DataArray:
        """Return one of the arrays, under another name, with the coordinates along its dims.

        Raises LogError if it, or one of these coordinates, cannot be read.
        """
        self.check(name)
        variable = self._variable(name).to_base_variable()
        coords = self._along(tuple(self.dims[name])) if self.coords else {}
        for each in (*coords, *_named_coordinates(self.entries[name])):
            self.check(str(each))
        return xr.DataArray(variable, coords, name=called)

    def kind(self, name: str, samples: Collection[str]) -> Hashable | None:
        """Return what is equal for arrays that differ in names, values and coordinates of ``samples`` alone.

        None where there may be more to it.
        """
        if name not in self.entries or name in self.coords or self.unreadable:
            return None
        beside = self._beside(name)
        of_samples = all(set(samples).issuperset(self.dims[each]) for each in beside)
        if not (of_samples and all(_as_stored(self.entries[each]) for each in (name, *beside))):
            return None
        source = self.entries[name].source
        chunks = tuple(map(min, source.chunks, source.shape))  # a Recorder's differ from array to array
        return tuple(self.dims[name]), source.shape, source.dtype, chunks, bool(beside)

    def lazy(self, name: str) -> da.Array:
        """Return the data of an array that has a kind; LogError where it has an index that cannot be read."""
        for each in self.indexes & self._beside(name):
            source = self._source(each)
            source[tuple(map(slice, source.shape))]
        return to_dask(self.entries[name].source)

    def _beside(self, name: str) -> set[str]:
        """Return the names of the coordinates that come with an array."""
        dims, named = set(self.dims[name]), _named_coordinates(self.entries[name])
        return {each for each in self.coords if each in named or dims.issuperset(self.dims[each])}

    def check(self, name: str) -> None:
        """Raise LogError if an array cannot be read."""
        if name in self.unreadable:
            raise self.unreadable[name].error.with_traceback(None)

    def _along(self, dims: tuple[str, ...]) -> xr.Coordinates:
        if dims not in self._known:
            others = [name for name in self.coords if not set(self.dims[name]) <= set(dims)]
            self._known[dims] = self._coordinates.drop_vars(others).coords
        return self._known[dims]

    @cached_property
    def dataset(self) -> xr.Dataset:
        """All arrays that can be read; a coordinate that cannot says so when its values are asked for."""
        made = {name: variable for name in self.data if (variable := self._tried(name)) is not None}
        return xr.Dataset(made, self._coordinates.coords if self.coords else None)

    def _tried(self, name: str) -> xr.Variable | None:
        try:
            return self._made(name)
        except LogError as error:
            self.unreadable.setdefault(name, Unreadable(error))
            return None

    @cached_property
    def _coordinates(self) -> xr.Dataset:
        made = {}
        for name in sorted(self.coords):
            read = self._tried(name)
            made[name] = self._unread(name) if read is None else read
        indexes = self.indexes - self.unreadable.keys()
        lazy = xr.Coordinates({n: made[n] for n in made if n not in indexes}, indexes={})
        found = xr.Dataset(coords=lazy)
        return found.assign_coords({n: made[n] for n in sorted(indexes)}) if indexes else found

    def _variable(self, name: str) -> xr.Variable:
        return self._coordinates.variables[name] if name in self.coords else self._made(name)

    def _unread(self, name: str) -> xr.Variable:
        entries = self.entries.items()
        sizes = {d: n for each, entry in entries for d, n in zip(self.dims[each], entry.source.shape, strict=True)}
        shape, error = tuple(sizes[dim] for dim in self.dims[name]), self.unreadable[name].error
        return xr.Variable(
            self.dims[name], to_dask(_Unread(name, shape, np.dtype("f8"), shape, uuid4().hex, error)), {}
        )

    def _source(self, name: str) -> Source:
        entry = self.entries[name]
        return entry.coordinate or entry.source if name in self.coords else entry.source

    def _made(self, name: str) -> xr.Variable:
        self.check(name)
        entry = self.entries[name]
        source = self._source(name)
        attrs = {key: value for key, value in entry.attrs.items() if key != "coordinates"}
        return (cf.loaded if name in self.indexes else cf.lazy)(self.dims[name], source, attrs)


@dataclass(frozen=True, eq=False)
class _Unread(GridSource):
    """In the place of a coordinate that cannot be read."""

    error: LogError

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        raise self.error


def described(nodes: Nodes) -> dict[str, LogNode]:
    """Return the nodes by path, those above others included, level by level.

    Coordinates of nodes that have others below them get no index.
    """
    _check_names(nodes)
    sizes: dict[str, dict[str, int]] = {}
    inner = {upper for path in nodes for upper in above(path)}
    found: dict[str, LogNode] = {}
    for path in sorted({"", *nodes, *inner}, key=lambda path: (len(above(path)), path.split("/"))):
        variables = {name: entry for name, entry in nodes.get(path, {}).items() if isinstance(entry, Entry)}
        unreadable = {name: entry for name, entry in nodes.get(path, {}).items() if isinstance(entry, Unreadable)}
        taken = {dim: n for upper in above(path) for dim, n in sizes.get(upper, {}).items()}
        dims = _dims(path, variables, taken)
        sizes[path] = {d: n for v, e in variables.items() for d, n in zip(dims[v], e.source.shape, strict=True)}
        found[path] = _node(variables, dims, unreadable, leaf=path not in inner)
    return found


def above(path: str) -> list[str]:
    """Return the paths of all nodes above one, the root's first."""
    parts = path.split("/") if path else []
    return ["/".join(parts[:depth]) for depth in range(len(parts))]


def _check_names(nodes: Nodes) -> None:
    for path, variables in nodes.items():
        parts = path.split("/") if path else []
        for part in (*parts, *variables):
            if part in ("", ".", ".."):
                raise LogError(f"{path}/{part} is not a name of an array or a layer: rename it in the log.")
        for depth, part in enumerate(parts):
            beside = nodes.get("/".join(parts[:depth]), {}).get(part)
            if beside is not None and not (isinstance(beside, Unreadable) and beside.layer):
                raise LogError(f"{'/'.join(parts[: depth + 1])} is both an array and a layer: rename one of them.")


def _dims(path: str, variables: Mapping[str, Entry], above: Mapping[str, int]) -> dict[str, list[str]]:
    taken = dict(above)
    dims = {}
    renamed: dict[tuple[str, int], str] = {}
    # Wide variables first: a vector beside them takes the leading dim that it fits.
    for name in sorted(variables, key=lambda name: (len(variables[name].source.shape) < 2, name)):
        entry = variables[name]
        shape, named = entry.source.shape, entry.dims
        if named is not None and len(shape) == 1:  # a coordinate stays with the rows that it labels
            named = (renamed.get((str(named[0]), shape[0]), named[0]),)
        dims[name] = _choose(path, name, shape, named, taken, renamed)
        for before, size, now in zip(entry.dims or (), shape, dims[name], strict=False):
            if before not in (None, now):
                renamed.setdefault((str(before), size), now)
        taken.update(zip(dims[name], entry.source.shape, strict=True))
    return dims


def _choose(
    node: str, variable: str, shape: tuple[int, ...], named: Named, taken: Mapping[str, int],
    renamed: Mapping[tuple[str, int], str],
) -> list[str]:  # fmt: skip
    """Return one free name per axis: the log's, else by convention, longer where sizes clash with ``taken``.

    What the log calls alike stays alike, with its coordinates: ``renamed`` tells how others beside it are called.
    """
    defaults = convention(variable, len(shape))
    if named is None and len(shape) == 1:
        fitting = (name for name in (variable, "sample", "step") if taken.get(name) == shape[0])
        defaults = (next(fitting, "sample"),)
    preferred = [name or default for name, default in zip(named or defaults, defaults, strict=True)]
    chosen: list[str] = []
    for axis, (name, size) in enumerate(zip(preferred, shape, strict=True)):
        own = f"{variable}_{name}"
        known = renamed.get((name, size), own) if named is not None else own
        options = (name, known, own, f"{own}_{axis}", f"{node.replace('/', '_')}_{own}_{axis}")
        blocked = {*chosen, variable} if len(shape) > 1 else set()
        chosen.append(next(each for each in options if each not in blocked and taken.get(each, size) == size))
    return chosen


def convention(variable: str, ndim: int) -> tuple[str, ...]:
    """Return what the dims of an array are called where its log does not say."""
    if variable == "gradient" and ndim in (2, 3):
        return ("step", "param") if ndim == 2 else ("step", "sample", "param")
    return ("sample", "unit")[:ndim] if ndim <= 2 else ("sample", *(f"unit_{axis}" for axis in range(ndim - 1)))


def _node(
    variables: Mapping[str, Entry], dims: dict[str, list[str]], unreadable: dict[str, Unreadable], leaf: bool
) -> LogNode:
    leading = {dims[name][0] for name in variables if len(dims[name]) > 1}
    named = {name for entry in variables.values() for name in _named_coordinates(entry)} & variables.keys()
    vectors = {n for n in variables if len(dims[n]) == 1}
    coords = named | {n for n in vectors if dims[n][0] in leading or dims[n] == [n] or MARKS in variables[n].attrs}
    indexes = {n for n in coords if leaf and dims[n] == [n] and _small(variables[n].source)}
    lost = unreadable.keys() & {dim for each in dims.values() for dim in each}  # labels of rows or columns
    return LogNode(variables, dims | {name: [name] for name in lost}, coords | lost, indexes, unreadable)


def _named_coordinates(entry: Entry) -> list[str]:
    return str(entry.attrs.get("coordinates", "")).split()


def _as_stored(entry: Entry) -> bool:
    """Return whether nothing is to be done to numbers when they have been read."""
    try:
        return entry.source.dtype.kind in "biuf" and cf.as_stored(entry.source, entry.attrs)
    except LogError:
        return False


def _small(source: Source) -> bool:
    entries = source.shape[0]
    return entries <= INDEX_ENTRIES and math.ceil(entries / max(1, source.chunks[0])) <= INDEX_CHUNKS
