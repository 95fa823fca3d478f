"""Joins what several ranks recorded into one log: rows of rank 0, then of rank 1, and so on."""

from __future__ import annotations

import re
from collections.abc import Mapping

from covdist.errors import LogError
from covdist.logs.joining.joined import join, repeated
from covdist.logs.source import Entry, Nodes, Unreadable

RANK, MARKS = "covdist_rank", "covdist_marks"  # attributes that a recorder gives its arrays
_RANK_GROUP = re.compile("rank[0-9]+")
Parts = dict[int, Entry]  # by rank


def joined(nodes: Nodes) -> Nodes:
    """Return nodes in which arrays of the same name, from the groups ``rank0``, ``rank1`` ..., are one array.

    An array that cannot be read of one rank cannot be read of any.
    """
    result: Nodes = {}
    layers: dict[str, dict[str, Parts]] = {}
    unreadable: dict[tuple[str, str], Unreadable] = {}
    for path, variables in nodes.items():
        for name, entry in variables.items():
            if isinstance(entry, Unreadable):
                unreadable[path, name] = entry
            elif RANK in entry.attrs:
                rank, layer = int(entry.attrs[RANK]), path.partition("/")[2]
                layers.setdefault(layer, {}).setdefault(name, {})[rank] = entry
            else:
                result.setdefault(path, {})[name] = entry
    for (path, name), entry in unreadable.items():
        top, _, layer = path.partition("/")
        if not layers or not _RANK_GROUP.fullmatch(top or name):
            layer = path
        elif entry.layer and name not in layers.get(layer, {}):
            raise entry.error
        layers.get(layer, {}).pop(name, None)
        result.setdefault(layer, {})[name] = entry
    for layer, arrays in layers.items():
        result.setdefault(layer, {}).update(_layer(arrays))
    return result


def _layer(arrays: Mapping[str, Parts]) -> dict[str, Entry | Unreadable]:
    """Join the arrays of a layer; those that the same ranks recorded along the same dims share one."""
    result: dict[str, Entry | Unreadable] = {}
    dims: dict[tuple[tuple[int, str], ...], str] = {}
    for name, parts in sorted(arrays.items()):
        if not any(MARKS in entry.attrs for entry in parts.values()):
            along = tuple((rank, _dims(entry)[0]) for rank, entry in sorted(parts.items()))
            if along not in dims:
                first = along[0][1]
                dims[along] = f"{name}_{first}" if first in dims.values() else first
                result |= _coordinates(arrays, along, dims[along])
            try:
                result[name] = _entry(name, parts, dims[along])
            except LogError as error:
                result[name] = Unreadable(error)
    return result


def _coordinates(arrays: Mapping[str, Parts], along: tuple[tuple[int, str], ...], dim: str) -> dict[str, Entry]:
    found: dict[str, Parts] = {}
    names: dict[str, str] = {}
    numbers: Parts = {}
    for rank, own in along:
        for name, parts in arrays.items():
            entry = parts.get(rank)
            if entry is not None and MARKS in entry.attrs and _dims(entry) == (own,):
                mark, rows = entry.attrs[MARKS], entry.source.shape[0]
                found.setdefault(mark, {})[rank] = entry
                names.setdefault(mark, name if own == dim else f"{dim}_{mark}")
                numbers[rank] = Entry(repeated("rank", [rank], [rows]), (own,), {MARKS: "rank"})
    # Without a mark that cannot be read of one rank.
    whole = {mark: parts for mark, parts in found.items() if len(parts) == len(along)}
    if not whole:
        return {}
    coordinates = {names[mark]: _entry(names[mark], parts, dim) for mark, parts in whole.items()}
    rank_name = "rank" if dim == "step" else f"{dim}_rank"
    return {rank_name: _entry(rank_name, numbers, dim), **coordinates}


def _dims(entry: Entry) -> tuple[str, ...]:
    return tuple(map(str, entry.dims or ()))


def _entry(name: str, parts: Parts, dim: str) -> Entry:
    ranks = sorted(parts)
    rows = {rank: parts[rank].source.shape[1:] for rank in ranks}
    if len(set(rows.values())) > 1:
        raise LogError(
            f"{name} has rows of several shapes, by rank {rows}, but one is expected: record them under other names."
        )
    entries = [parts[rank] for rank in ranks]
    attrs = {key: value for key, value in entries[0].attrs.items() if key != RANK}
    filled = join([entry.coordinate or entry.source for entry in entries], entries[0].source.name)
    whole = join([entry.source for entry in entries], entries[0].source.name)
    return Entry(whole, (dim, *_dims(entries[0])[1:]), attrs, filled)
