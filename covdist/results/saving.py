"""Moments to disk."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from shlex import quote
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar, cast

import numpy as np
from dask.base import compute

from covdist import plugins
from covdist.errors import DataError, shown
from covdist.given import one_of, path_of
from covdist.limits import limits
from covdist.results.arrays import ByGroup, storable
from covdist.results.deferred import by_group
from covdist.results.kept_rows import FOLDED, apart, has_rows
from covdist.results.labelled_state import LabelledState
from covdist.results.labels import Axis, Groups, readable
from covdist.results.layout import Layout
from covdist.results.packs import Arrays, Stored
from covdist.results.stacks import same_fields, together
from covdist.results.store import free_path, new_result, whole, write
from covdist.state.base import Field, State, StateType, field_value, stacked
from covdist.state.grouped import Grouped

M = TypeVar("M", bound=LabelledState)


def _computed(lazy: dict[str, M]) -> dict[str, M]:
    return dict(zip(lazy, compute(*lazy.values()), strict=True))


def save(
    nodes: Mapping[str, M],
    path: str | Path,
    computed: Callable[[dict[str, M]], dict[str, M]] = _computed,
    names: Sequence[str] = (),
    about: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, M]:
    """Write a mapping {node path: Moments} to a new Zarr store, and return them computed; one alone has the path "".

    ``names`` are those of all nodes, where ``computed`` returns more of them than it is given; ``about`` says which
    rows of which log they hold. The store appears only when everything is written. Workers write the tiles of a matrix
    in tiles themselves, so they must be able to reach it.
    """
    with whole(free_path(path)) as place:
        return save_in(place, nodes, computed, names, about)


def save_in(
    place: Path,
    nodes: Mapping[str, M],
    computed: Callable[[dict[str, M]], dict[str, M]] = _computed,
    names: Sequence[str] = (),
    about: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, M]:
    """Do as ``save`` does at a place that has another name later, by which errors of writing know it."""
    names = names or list(nodes)
    with new_result(place, names, about) as result:
        tiled = [node for node, one in nodes.items() if one.matrix is not None]
        written = {node: nodes[node].with_tiles_in(result.group(node)) for node in tiled}
        found = computed({**nodes, **written})
        results = {name: found[name] for name in names}
        for batch in _batches(results):
            write(result, together({node: results[node] for node in batch}, same_fields, _stored))
    return results


def _batches(results: Mapping[str, LabelledState]) -> Iterator[list[str]]:
    """Yield nodes as their states are written together: not all are held as arrays at a time."""
    batch, room = list[str](), limits().pack_bytes
    for node, one in results.items():
        room -= one.layout.nbytes
        if batch and room < 0:
            yield batch
            batch, room = [], limits().pack_bytes - one.layout.nbytes
        batch.append(node)
    yield batch


def _stored(alike: Sequence[LabelledState]) -> Iterator[Stored]:
    """Yield computed states as a file has them: what ``one.dataset`` holds, without labels attached to each array."""
    layout, states = alike[0].layout, [cast(Any, one.deferred.joined()) for one in alike]
    stored = axes, groups = layout.stored()
    by = outer = [] if groups is None else [_axis_of(groups)]
    rows, about = Arrays(), dict[str, object]()
    if has_rows(states[0]):
        states[0], rows, about = apart(states[0], axes)
        outer = [Axis(FOLDED, len(states[0]))]
    arrays, dims = _arrays(cast(Any, layout.state), states, axes, outer)
    used = dict.fromkeys([*(axis.dim for axis in by), *dims])
    labels = [(axis.dim, axis.coords) for dim in used for axis in (*by, *axes) if axis.dim == dim]
    coords: Arrays = {name: ((str(dim),), storable(values)) for dim, each in labels for name, values in each.items()}
    # xarray makes coordinates of these again when it opens the group.
    beside = " ".join(name for name, ((dim,), _) in coords.items() if name != dim and " " not in name)
    about |= {**_names(layout, stored), "coordinates": beside}
    for one, its in zip(alike, arrays, strict=True):
        yield Stored({**one.layout.attributes(), **about}, coords | its | rows)


def _arrays(
    kind: StateType, states: Sequence[Any], axes: Sequence[Axis], outer: Sequence[Axis]
) -> tuple[list[Arrays], list[str | None]]:
    """Return the fields of each state, and the dims of all."""
    arrays: list[Arrays] = [{} for _ in states]
    used: dict[str | None, None] = {}
    stack = None if outer else stacked(kind, states)
    for name, sizes in _sizes(cast(Any, kind), tuple(map(_extent, axes)), tuple(map(_extent, outer))).items():
        field, dims, shape = kind.FIELDS[name], tuple(sizes), tuple(sizes.values())
        values = (
            [_of_groups(states[0], field, shape)] if stack is None else _values(stack, field, (len(states), *shape))
        )
        for its, value, told in zip(arrays, values, _told(values, field), strict=True):
            if told:
                its[name] = dims, value
                used |= dict.fromkeys(dims)
    return arrays, list(used)


def _values(stack: State, field: Field, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Return the values of each state; a number in which all agree is in the stack once."""
    values = field_value(stack, field)
    whole = np.broadcast_to(values, shape) if values.ndim == 0 else values.reshape(shape)
    return [whole[number, ...] for number in range(len(whole))]


def _told(values: Sequence[Any], field: Field) -> Sequence[bool]:
    """Return which of arrays of a shape say more than a field's default."""
    if field.default is None:
        return [True] * len(values)
    differs = np.array(values) != field.default
    return list(differs.reshape(len(values), -1).any(axis=1))


def _of_groups(state: Grouped, field: Field, shape: tuple[int, ...]) -> np.ndarray | ByGroup:
    if len(field.axes) == 2:  # all together take twice what the states do
        return ByGroup(shape, np.dtype(field.dtype), partial(_of_group, state, field))
    return by_group(state, field_value, shape, field).reshape(shape)


def _of_group(state: Grouped, field: Field, code: int) -> np.ndarray:
    return field_value(state.group(code), field)


def _axis_of(groups: Groups) -> Axis:
    levels = {level: groups.values[level] for level in groups.levels}
    return Axis(groups.dim, len(groups.values), levels or {groups.dim: groups.values})


def _extent(axis: Axis) -> tuple[str | None, int]:
    return axis.dim, axis.size


@lru_cache(maxsize=64)  # of thousands of states most are alike
def _sizes(kind: Any, axes: Sequence[tuple[str | None, int]], outer: Any) -> dict[str, dict[str, int]]:
    """Return by field the sizes of its array's dims, for axes of these names and sizes."""
    found = {}
    for name, field in kind.FIELDS.items():
        leading = [] if field.leading is None else [field.leading]
        every = [*outer, *leading, *(axes[axis] for axis in field.axes)]
        found[name] = {dim: size for dim, size in every if dim is not None}
    return found


def _names(layout: Layout, under: tuple[Sequence[Axis], Groups | None]) -> dict[str, object]:
    """Return the names that the arrays do not carry: dims and coordinates may be stored under others."""
    stored, groups = under
    axes = [
        {"dim": axis.dim, "size": axis.size, "coords": dict(zip(axis.coords, other.coords, strict=True))}
        | ({"levels": list(axis.levels)} if axis.levels else {})
        for axis, other in zip(layout.axes, stored, strict=False)
    ]
    if layout.groups is None or groups is None:
        return {"axes": axes}
    names: dict[str, object] = {"groups": layout.groups.dim, "groups_stored": groups.dim}
    if layout.groups.positions:
        names["positions"] = True
    if groups.levels:
        return {"axes": axes, **names, "groups_levels": dict(zip(layout.groups.levels, groups.levels, strict=True))}
    if groups.dim == layout.groups.dim:
        del names["groups_stored"]
    return {"axes": axes, **names}


# ---- files of other tools


def export(states: LabelledState | Mapping[str, LabelledState], path: str | Path, format: str, **options: Any) -> None:
    """Write statistics to a new file that another tool loads.

    Parameters
    ----------
    states : Moments, or mapping {node path: Moments}
        Computed where they are lazy. Several become a folder in a format that keeps one state a file, with
        ``block3/attn`` as ``block3.attn.npz``.
    path : str or Path
        Of the new file or folder, in a folder that exists.
    format : str
        "fid", "fadtk", "mom2", "kronfluence", "imatrix", "quip", "leace", "npz" or "netcdf"; docs/using/files.md says
        what each holds and which package it needs.
    **options
        Of the format, such as ``bias="*"`` of "kronfluence".

    Raises
    ------
    ResultError
        If ``path`` exists already, or cannot be written.
    DataError
        If there is no such format or option, or the format does not hold such a state. Nothing is written then.

    Examples
    --------
    >>> import tempfile, numpy as np, covdist
    >>> m = covdist.moments(np.array([[1.0, 2.0], [3.0, 6.0]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     covdist.export(m, f"{folder}/stats.npz", "fid")  # or m.export(...)
    ...     np.load(f"{folder}/stats.npz")["sigma"]
    array([[2., 4.],
           [4., 8.]])
    """
    module = format_named(format)
    write: Any = getattr(module, "write", None) or module.write_all
    check_options(write, format, options, 2)
    named = dict(states) if isinstance(states, Mapping) else {"": states}
    for node, one in named.items():
        _check_exported(node, one, format, hasattr(module, "GROUPS"))
    target = free_path(path)
    found = _computed(named)
    with whole(target) as place:
        if hasattr(module, "write_all"):
            write(found, place, **options)
        elif found.keys() == {""}:
            write(found[""], place, **options)
        else:
            place.mkdir()
            for (node, one), name in zip(found.items(), _file_names(found), strict=True):
                try:
                    write(one, place / f"{name}{module.SUFFIX}", **options)
                except DataError as error:
                    raise DataError(f"{shown(node)}: {error}") from error


def format_named(format: str) -> ModuleType:
    """Return the module of a format of other tools; DataError where there is none."""
    one_of("format", format, plugins.names("exports"))
    return plugins.find("exports", format)


def check_options(function: Callable[..., Any], format: str, options: Mapping[str, Any], arguments: int) -> None:
    """Raise DataError where a function of a format does not take some options."""
    takes = list(inspect.signature(function).parameters)[arguments:]
    if unknown := [name for name in options if name not in takes]:
        allowed = f"the options {', '.join(takes)}" if takes else "no options"
        raise DataError(f"{format} takes {allowed}, found {', '.join(map(shown, unknown))}: leave that out")


def _check_exported(node: str, one: object, format: str, takes_groups: bool) -> None:
    if not isinstance(node, str) or node:
        path_of(node, "the name of a state")
    if not isinstance(one, LabelledState):
        raise DataError(f"export writes moments, found a {type(one).__name__}: pass covdist.moments(x, dim=...)")
    groups = one.layout.groups
    if groups is None or takes_groups:
        return
    label = groups.dim if not groups.levels else groups.levels[0]
    values = groups.values[label] if groups.levels else groups.values
    value = readable(values[:1])[0]
    python = f"np.datetime64({value!r})" if values.dtype.kind == "M" else repr(value)
    what = f"{shown(node)} is" if node else "this is"
    raise DataError(
        f"{what} a {one.layout.describe()}, where a {format} file holds one state: pick one, "
        f"such as by .sel({label}={python}) or --sel {quote(f'{label}={value}')}, or add up all by .merge({label!r})"
    )


def _file_names(nodes: Mapping[str, Any]) -> list[str]:
    """Return a name for each layer's file, with dots as frameworks have them."""
    found: list[str] = []
    for node in nodes:
        name = (node or "root").replace("/", ".")
        while name in found:
            name += "_"
        found.append(name)
    return found
