"""What a result remembers of the log that it was made from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from covdist.engine import small_arrays
from covdist.errors import ResultError, shown
from covdist.folding.grouping import labelling
from covdist.folding.inputs import along_samples
from covdist.folding.selection import Chosen, Selection, wanted
from covdist.growth.new_rows import Ranges, old_and_new, taken
from covdist.growth.old_rows import OldRows, grows_in_place, old_rows, parts_of
from covdist.logs.cf import DECODED
from covdist.logs.nodes import LogNode
from covdist.logs.source import Source
from covdist.results.labels import label
from covdist.results.store import MADE_FROM, made_from, undamaged

Nodes = Mapping[str, LogNode]
_ASKED = {
    "layer?": str, "var?": str | None, "against?": str | None, "dim?": str | list | None, "by?": str | dict | None,
    "missing?": str, "precision?": str, "max_columns?": int, "beyond?": str, "inf?": str, "state?": str | list,
    "blocks?": int | None, "halflife?": float | int | str | None, "each?": str | list,
}  # fmt: skip
_OLD_ARRAY = (str, [int], str, str, str, [(str, int, str, str, str)])  # ``OldArray``, with its ``OldRows``
_OPENING = {"missing_chunks?": str, "follow_links?": bool, "concat?": bool | None}
_KIND = {"asked": _ASKED, "opening": _OPENING, "arrays": {str: [_OLD_ARRAY]}}
_READ_AGAIN = 1 << 26  # bytes of files that may get more rows, and are written anew then: 0.1 s to know them by values


class OldArray(NamedTuple):
    """An array, or the one that it is set against, whose rows a result holds."""

    array: str  # its full path
    row: tuple[int, ...]  # the shape of one row
    dtype: str
    decoded: str  # the attributes by which values are decoded
    labels: str  # of what its rows are grouped by and, behind a hyphen, of the steps along which they fade
    parts: tuple[OldRows, ...]  # one below the other

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)


class MadeFrom(NamedTuple):
    """A log as it was when a result was made from it."""

    selection: Selection
    opening: dict[str, Any]  # options of ``open_log``
    arrays: dict[str, tuple[OldArray, ...]]  # each with the one that it is set against, by what the result calls them

    @classmethod
    def of(
        cls, nodes: Nodes, selection: Selection, opening: Mapping[str, Any], chosen: Chosen | None = None
    ) -> MadeFrom:
        """Describe a log that is about to be folded."""
        chosen = wanted(nodes, selection) if chosen is None else chosen
        sources = [nodes[path].entries[name].source for path, name in chosen]
        read = sum(_last_bytes(source) for source in sources) <= _READ_AGAIN
        arrays = {
            called: _old_arrays(nodes[path], path, name, selection, read) for (path, name), called in chosen.items()
        }
        return cls(selection, dict(opening), arrays)

    @classmethod
    def read(cls, result: str) -> MadeFrom:
        """Return what a result remembers; ResultError where it was not made from a log."""
        found = made_from(result, _KIND)
        if found is None:
            raise ResultError(
                f"{result} does not say which rows of a log it holds, as results of `covdist run` and of jobs do: make "
                "one by `covdist run LOG -o RESULT`, which can be updated from then on"
            )
        with undamaged(result):
            for name, kind in (("asked", _ASKED), ("opening", _OPENING)):
                _check_known(found[name], kind, name)
            arrays = {called: _sides(called, each) for called, each in found["arrays"].items()}
            return cls(Selection(**found["asked"]), found["opening"], arrays)

    def as_json(self) -> dict[str, Any]:
        asked = {"asked": self.selection.asked(), "opening": self.opening, "arrays": self.arrays}
        written: dict[str, Any] = json.loads(json.dumps(asked))
        return written


def _check_known(found: Mapping[str, Any], kind: Mapping[str, Any], name: str) -> None:
    """Raise ValueError where options are of a version that has more of them; to leave one out gives another result."""
    if unknown := sorted(found.keys() - {option.removesuffix("?") for option in kind}):
        raise ValueError(f"{MADE_FROM}.{name} holds {shown(unknown[0])}, which this version of covdist does not know")


def _sides(called: str, found: list[Any]) -> tuple[OldArray, ...]:
    if len(found) not in (1, 2):
        raise ValueError(f"{MADE_FROM}.arrays.{called} has {len(found)} entries, expected 1 or 2")
    return tuple(map(_old_array, found))


def _old_array(found: Any) -> OldArray:
    array, row, dtype, decoded, labels, parts = found
    return OldArray(array, tuple(row), dtype, decoded, labels, tuple(OldRows(*part) for part in parts))


def _last_bytes(source: Source) -> int:
    """Return the bytes of the last of the files that hold an array, where such a file is written anew for each row."""
    last = list(parts_of(source).values())[-1]
    return 0 if grows_in_place(last) else math.prod(last.shape) * last.dtype.itemsize


def _old_arrays(node: LogNode, path: str, name: str, selection: Selection, by_values: bool) -> tuple[OldArray, ...]:
    """Describe all rows of an array, and of the one that it is set against."""
    names = [name] if selection.against is None else [name, selection.against]
    return tuple(_all_rows(node, path, each, selection, by_values) for each in names)


def _all_rows(node: LogNode, path: str, name: str, selection: Selection, by_values: bool) -> OldArray:
    rows = {part: source.shape[0] for part, source in parts_of(node.entries[name].source).items()}
    return old_array(node, path, name, selection, rows, by_values)


def old_array(
    node: LogNode, path: str, name: str, selection: Selection, rows: Mapping[str, int], by_values: bool
) -> OldArray:
    """Describe so many rows of each part of an array, the last also ``by_values``; an array has them all."""
    entry = node.entries[name]
    parts = parts_of(entry.source)
    return OldArray(
        f"{path}/{name}".strip("/"),
        entry.source.shape[1:],
        str(entry.source.dtype),
        _digest(json.dumps({key: entry.attrs[key] for key in sorted(DECODED & entry.attrs.keys())}, default=repr)),
        _labels(node, name, old_and_new(parts, rows)[0], selection),
        tuple(
            old_rows(part, parts[part], count, by_values and number == len(rows))
            for number, (part, count) in enumerate(rows.items(), 1)
        ),
    )


def _labels(node: LogNode, name: str, old: Ranges, selection: Selection) -> str:
    """Return a digest of what old rows are grouped by, and behind a hyphen that of the steps along which they fade."""
    if selection.by is None and selection.halflife is None:
        return ""
    x = taken(node.array(name, name), old)
    rows = label(x, selection.dim if selection.dim is not None else str(x.dims[0]), fallback="x", each=selection.each)
    named = () if selection.by is None else labelling(selection.by)
    found = [_label_text(small_arrays.values(along_samples(of, rows, what))) for what, of in named]
    groups = _digest("\n".join(found)) if found else ""
    steps = () if selection.halflife is None else (x[dim].values for dim in rows.sample_dims if dim in x.coords)
    return "-".join([groups, *(_digest(_label_text(values)) for values in steps)])


def _label_text(values: np.ndarray) -> str:
    """Return text that is equal for equal labels, whatever dtype those of more rows need."""
    if values.dtype.kind in "biuf":
        values = values.astype(np.float64)
        return hashlib.blake2b(values.tobytes(), digest_size=16).hexdigest()
    return "\0".join(map(str, values.ravel().tolist()))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
