"""``Layout``: everything about a state that is known before it is computed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, cast

import numpy as np

from covdist.errors import MergeError
from covdist.results.labels import Axis, Groups
from covdist.state.base import StateType, stored_bytes
from covdist.state.grouped import Grouped
from covdist.state.named import described

Recoding = Callable[[Grouped], Grouped]
_KINDS = {**dict.fromkeys("iufc", "number"), **dict.fromkeys("UT", "text")}


@dataclass(frozen=True)
class Layout:
    """The type, names and provenance of a state."""

    state: StateType  # such as ``Scatter``, the scatter matrix of x, or ``Cross``, that of x with y
    axes: tuple[Axis, ...]  # the columns of x, and of y where there is one
    groups: Groups | None = None
    provenance: dict[str, object] = field(default_factory=dict)  # where the rows come from and how they were folded

    @property
    def kind(self) -> str:
        """The name of the state's type, as files and messages have it."""
        return self.state.name

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(axis.size for axis in self.axes)

    def matrix_axes(self) -> tuple[Axis, Axis]:
        """Return the axes of a matrix; where x is set against itself the second has names of its own."""
        first = self.axes[0]
        return first, self.axes[-1].second(first)

    def stored(self) -> tuple[tuple[Axis, ...], Groups | None]:
        """Return axes and groups under the names they have in a file, where fields and tiles have names too.

        Axes are numbered as those of a ``Field``.
        """
        if self.groups is None and not any(axis.coords for axis in self.axes):
            return _stored_dims(cast(Any, self.state), tuple(axis.dim for axis in self.axes), self.widths), None
        return self._renamed()

    def _renamed(self) -> tuple[tuple[Axis, ...], Groups | None]:
        kinds = self.state.FIELDS
        taken = {*kinds, "scatter", "exponents", "band", *(each.leading[0] for each in kinds.values() if each.leading)}
        axes, groups = self.matrix_axes(), self.groups
        own = dict.fromkeys(n for axis in axes for n in (axis.dim, *axis.coords) if n is not None)
        names: dict[str, str] = {}
        for name in [*own, *([] if groups is None else [groups.dim, *groups.levels])]:
            names[name] = re.sub(r"[/\\]|^[_.]+", "-", name) or "-"
            while names[name] in taken:
                names[name] += "_"
            taken.add(names[name])
        stored = [replace(axis.renamed(names), levels=()) for axis in axes]
        if any(axis > 1 for each in kinds.values() for axis in each.axes):
            stored += [_again(axis, taken) for axis in stored]
        return tuple(stored), None if groups is None else groups.renamed(names)

    def attributes(self) -> dict[str, object]:
        """Return what a dataset and a file say of the state besides names."""
        parameters = {key: value for key, value in described(self.state).items() if key != "name"}
        return {"kind": self.kind, **({"parameters": parameters} if parameters else {}), "ddof": 0, **self.provenance}

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays in a file, without labels."""
        return stored_bytes(self.state, self.widths) * (1 if self.groups is None else len(self.groups.values))

    def grouped(self) -> str:
        """Return what groups there are, for messages."""
        if self.groups is None:
            return "no groups"
        return f"groups by {', '.join(map(repr, self.groups.levels or (self.groups.dim,)))}"

    def describe(self) -> str:
        """Return a short description for messages."""
        grouped = f" by {self.groups.dim} ({len(self.groups.values)})" if self.groups else ""
        return f"{self.kind} state of {' × '.join(map(str, self.axes))}{grouped}"

    def merge(self, other: Layout) -> tuple[Layout, tuple[Recoding, Recoding] | None]:
        """Return the layout of a sum, and functions that give each state its groups' codes where they change."""
        if self.kind == other.kind and self.state != other.state:
            raise MergeError(
                f"cannot merge {self.kind} states of different parameters, {self.state} and {other.state}: fold both "
                "with the same"
            )
        same = self.state == other.state and all(map(Axis.same, self.axes, other.axes))
        if not same or bool(self.groups) != bool(other.groups):
            raise MergeError(
                f"cannot merge a {self.describe()} with a {other.describe()}: both must have the same columns, "
                "with the same coordinates"
            )
        self._check_bins(other)
        layout = replace(self, provenance=_joint(self.provenance, other.provenance))
        if self.groups is None or other.groups is None or self.groups.same(other.groups):
            return layout, None
        groups, recodings = _union(self.groups, other.groups)
        return replace(layout, groups=groups), recodings

    def _check_bins(self, other: Layout) -> None:
        """Raise MergeError where groups are other ranges of a coordinate that begin alike."""
        for name in () if self.groups is None else self.groups.levels or (self.groups.dim,):
            own, others = (each.provenance.get(name) for each in (self, other))
            if None not in (own, others) and own != others:
                raise MergeError(
                    f"cannot merge {name!r} that are bins of {own} with bins of {others}: fold both with the same "
                    "edges, or the same width"
                )


@lru_cache(maxsize=64)  # of thousands of states most are alike
def _stored_dims(kind: Any, dims: tuple[str | None, ...], widths: tuple[int, ...]) -> tuple[Axis, ...]:
    return Layout(kind, tuple(map(Axis, dims, widths)))._renamed()[0]


def _again(axis: Axis, taken: set[str]) -> Axis:
    """Return the second axis of a matrix of one side's columns with each other, under a name of its own."""
    if axis.dim is None:
        return axis
    name = f"{axis.dim}_again"
    while name in taken:
        name += "_"
    taken.add(name)
    return Axis(name, axis.size)


def _union(a: Groups, b: Groups) -> tuple[Groups, tuple[Recoding, Recoding]]:
    if (a.dim, a.levels) != (b.dim, b.levels):
        raise MergeError(f"cannot merge groups by {a.dim!r} with groups by {b.dim!r}: both must be the same")
    for name in a.levels or (a.dim,):
        own, others = (each.values[name] if each.levels else each.values for each in (a, b))
        if not _one_kind(own, others):
            raise MergeError(
                f"cannot merge groups by {name!r} whose labels are {own.dtype} with such whose labels are "
                f"{others.dtype}: label the rows of both alike"
            )
    values = np.unique(np.concatenate([a.values, b.values]))
    first, second = (partial(Grouped.recoded, codes=np.searchsorted(values, each.values)) for each in (a, b))
    return Groups(a.dim, values, positions=a.positions and b.positions), (first, second)


def _one_kind(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether labels of both are numbers, flags, dates, times or text, and stay what they are in one array."""
    if len({_KINDS.get(each.dtype.kind, each.dtype.kind) for each in (a, b)}) > 1:
        return False
    joint = np.concatenate([a, b]).dtype
    return all(each.dtype.kind not in "iu" or (each.astype(joint).astype(each.dtype) == each).all() for each in (a, b))


def _joint(a: dict[str, object], b: dict[str, object]) -> dict[str, object]:
    """Provenance of a sum: where both agree the value, else the values side by side."""
    joint: dict[str, object] = {}
    for key in {**a, **b}:
        values = list(dict.fromkeys(str(p[key]) for p in (a, b) if key in p))
        joint[key] = a.get(key, b.get(key)) if len(values) == 1 else "; ".join(values)
    counts = [rows for each in (a, b) if isinstance(rows := each.get("rows"), int | np.integer)]
    if len(counts) == 2:
        joint["rows"] = sum(counts)
    return joint
