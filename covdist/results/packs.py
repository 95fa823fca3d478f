"""Many small states in one Zarr group: each array holds that of all its members, end to end.

With a group of its own, each state takes a dozen files and a tenth of a second.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import zarr

from covdist.limits import limits
from covdist.results.arrays import Check, Values, plain, read_array, stored_array, write_array
from covdist.storage.kinds import of_kind

# Arrays beside those of the states; no field or label is stored under a name that begins so, see ``Layout.stored``.
_ATTRS = "_attributes"  # of each member, as JSON
_SIZES = "_sizes"  # int64 (members, dims)
_AXES = "axes_of"  # attribute: by array, its dims as columns of ``_sizes``


Arrays = dict[str, tuple[tuple[str, ...], Values]]  # by name, with their dims


class Stored(NamedTuple):
    """A state as a result holds it."""

    attrs: Mapping[str, Any]
    arrays: Arrays

    def axes_of(self) -> dict[str, tuple[int, ...]]:
        """Return by array the numbers of its dims among all."""
        return _axes_of(tuple((name, dims) for name, (dims, _) in self.arrays.items()))

    def kind(self) -> Hashable:
        """Return what is equal for states that can share a group."""
        return _kind_of(tuple((name, dims, values.dtype) for name, (dims, values) in self.arrays.items()))


@lru_cache(maxsize=64)  # of thousands of states most are alike
def _kind_of(arrays: Sequence[tuple[str, tuple[str, ...], np.dtype]]) -> Hashable:
    axes_of = _axes_of(tuple((name, dims) for name, dims, _ in arrays))
    return tuple(dtype for *_, dtype in arrays), tuple(axes_of.items())


@lru_cache(maxsize=64)
def _axes_of(dims_of: Sequence[tuple[str, tuple[str, ...]]]) -> dict[str, tuple[int, ...]]:
    number = {dim: i for i, dim in enumerate(dict.fromkeys(dim for _, dims in dims_of for dim in dims))}
    return {name: tuple(number[dim] for dim in dims) for name, dims in dims_of}


def to_pack(states: Mapping[str, Stored]) -> list[list[str]]:
    """Return the nodes whose states share a group: those of a kind, if there are many."""
    kinds = defaultdict[Hashable, list[str]](list)
    for node, one in states.items():
        kinds[one.kind()].append(node)
    return [nodes for nodes in kinds.values() if len(nodes) > limits().unpacked_states]


def write_pack(group: zarr.Group, members: Sequence[Stored]) -> None:
    write_array(group, _ATTRS, np.array([json.dumps(one.attrs) for one in members], np.dtypes.StringDType()))
    axes_of = members[0].axes_of()
    places = {number: (name, axis) for name, numbers in axes_of.items() for axis, number in enumerate(numbers)}
    found = [places[number] for number in range(len(places))]
    sizes = [[one.arrays[name][1].shape[axis] for name, axis in found] for one in members]
    write_array(group, _SIZES, np.array(sizes, np.int64))
    for name in members[0].arrays:
        write_array(group, name, np.concatenate([one.arrays[name][1] for one in members], axis=None))  # each flattened
    group.attrs[_AXES] = {name: list(numbers) for name, numbers in axes_of.items()}


class Member:
    """One of the states in a group, as it is read."""

    def __init__(self, pack: _Pack, number: int, attrs: Mapping[str, Any]):
        self.attrs, self.group = attrs, pack.group
        self._pack, self._number = pack, number

    def __contains__(self, name: str) -> bool:
        return name in self._pack.axes_of

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._pack.sizes[self._number, self._pack.axes_of[name]].tolist())

    def dtype(self, name: str) -> np.dtype:
        return stored_array(self.group, name).dtype

    def read(self, name: str) -> np.ndarray:
        values, ends = self._pack.flat(name)
        return plain(values[ends[self._number] : ends[self._number + 1]].reshape(self.shape(name)))

    def read_rows(self, name: str, check: Check) -> Iterator[np.ndarray]:
        values = self.read(name)
        check(values)
        return iter(values)


class _Pack:
    def __init__(self, group: zarr.Group):
        said: Any = of_kind(group.attrs.asdict(), {_AXES: {str: [int]}}, group.path)
        self.group, self.axes_of, self.sizes = group, said[_AXES], read_array(group, _SIZES)
        if self.sizes.ndim != 2 or self.sizes.dtype != np.int64 or (self.sizes < 0).any():
            raise ValueError(f"{_SIZES} in {group.path} are no sizes")
        self.flat = cache(self._flat)  # each array is read once

    def _flat(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of all members, and where each begins and ends."""
        values = read_array(self.group, name)
        ends = np.append(0, np.cumsum(self.sizes[:, self.axes_of[name]].prod(axis=1)))
        if len(values) != ends[-1]:
            raise ValueError(f"{name} in {self.group.path} has {len(values)} values, expected {ends[-1]}")
        return values, ends


def members_of(group: zarr.Group) -> deque[Member]:
    """Return the states in a group, in the order in which they were written."""
    pack, texts = _Pack(group), read_array(group, _ATTRS).tolist()
    if len(texts) != len(pack.sizes):
        raise ValueError(f"{group.path} has attributes of {len(texts)} states, expected {len(pack.sizes)}")
    return deque(Member(pack, number, json.loads(text)) for number, text in enumerate(texts))
