"""Arrays of a layer from many files, one below the other, and the coordinate that says from which file a row is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from covdist.errors import LogError, shown
from covdist.logs import cf
from covdist.logs.joining.joined import join_files, repeated, row_of
from covdist.logs.joining.partitions import Label
from covdist.logs.nodes import convention
from covdist.logs.source import Entry, Source, Unreadable, of_columns

Parts = dict[int, Entry]  # by the number of the file


def arrays_of_files(
    arrays: Mapping[str, Mapping[int, Entry | Unreadable]],
    counter: str,
    marks: Mapping[str, Mapping[int, Label]],
    whole: Mapping[int, str],
) -> dict[str, Entry | Unreadable]:
    """Join each array of a layer over its files; an array of which one file cannot be read cannot be read.

    The numbers of the files are a coordinate called as what they count, such as ``step``, or ``sample_step`` where the
    rows of a file are samples; so are ``marks``, what is said of files, if there are any. Raises LogError for arrays
    that do not fit together. Of ``whole``, files of one table by their numbers, each is to have all labels of rows.
    """
    lost = {name: each for name, parts in arrays.items() for each in parts.values() if isinstance(each, Unreadable)}
    found: dict[str, Entry | Unreadable] = {name: Unreadable(each.error) for name, each in lost.items()}
    of_all = {name: _read(parts) for name, parts in arrays.items() if name not in lost}
    for name in [name for name in of_all if _labels_columns(name, of_all)]:
        labels = of_all.pop(name)
        found[name] = _the_same(name, _by_name(labels, of_all), of_all)
    for name in [name for name, parts in of_all.items() if whole.keys() - parts.keys() and _labels_rows(parts)]:
        found[name] = Unreadable(_lacking(name, of_all.pop(name), whole))
    columns = [_column(name, of_all, counter) for name in sorted(of_all, key=lambda name: (-_ndim(of_all[name]), name))]
    dims: dict[tuple[str, tuple[tuple[int, int], ...]], str] = {}
    for column in columns:
        if column.along not in dims:
            first = column.along[0]
            dims[column.along] = dim = f"{column.name}_{first}" if first in dims.values() else first
            others = {each.along[0] for each in columns}
            for mark, of in (marks or {counter: {number: number for number in column.rows}}).items():
                own = mark == dim or (mark in marks and mark not in {*found, *others})
                label = mark if own else f"{dim}_{mark}"
                if label not in arrays and (len(column.dims) > 1 or label == dim):  # else it labels nothing wide
                    values, times = zip(*[(of[number], rows) for number, rows in column.along[1]], strict=True)
                    found[label] = Entry(repeated(label, values, times), (dim,))
        found[column.name] = column.entry(dims[column.along])
    return found


def _labels_rows(parts: Parts) -> bool:
    return all(each.dims is not None and len(each.dims) == 1 for each in parts.values())


def _lacking(name: str, parts: Parts, whole: Mapping[int, str]) -> LogError:
    without = next(file for number, file in whole.items() if number not in parts)
    return LogError(
        f"{shown(name)} is in {len(parts)} of {len(whole)} files of a table and not in {shown(without)}: write it "
        "there too, or read the files one by one with concat=False (--no-concat)."
    )


class _Column(NamedTuple):
    """One array of a layer, as the rows that each file has of it."""

    name: str
    rows: dict[int, Source]
    filled: dict[int, Source]
    dims: tuple[str, ...]
    first: Entry

    @property
    def along(self) -> tuple[str, tuple[tuple[int, int], ...]]:
        """What arrays share that share a dim: its name, and how many rows each file has."""
        rows = tuple((number, source.shape[0]) for number, source in self.rows.items())
        return self.dims[0], tuple(each for each in rows if each[1]) or rows

    def entry(self, dim: str) -> Entry:
        source = join_files(list(self.rows.values()), self.name)
        filled = join_files(list(self.filled.values()), self.name) if self.filled else None
        return Entry(source, (dim, *self.dims[1:]), self.first.attrs, filled)


def _read(parts: Mapping[int, Entry | Unreadable]) -> Parts:
    return {number: each for number, each in parts.items() if isinstance(each, Entry)}


def _labels_columns(name: str, arrays: Mapping[str, Parts]) -> bool:
    """Return whether a vector lies along a dim that arrays beside it have for their columns, and none for its rows."""
    first = next(iter(arrays[name].values()))
    if not first.dims or len(first.dims) > 1:
        return False
    beside = [each.dims for parts in arrays.values() for each in parts.values() if each.dims and len(each.dims) > 1]
    return any(first.dims[0] in dims[1:] for dims in beside) and all(first.dims[0] != dims[0] for dims in beside)


def _by_name(labels: Parts, arrays: dict[str, Parts]) -> Parts:
    """Bring columns of tables into the order of the first file, in the arrays that have them; return their labels."""
    (_, first), *others = labels.items()
    found, names = dict(labels), _values(first).tolist()
    for number, label in others:
        places = {column: place for place, column in enumerate(_values(label).tolist())}
        if label.source.token == first.source.token or len(places) < len(names) or places.keys() != set(names):
            continue
        for name, parts in arrays.items():
            entry = parts.get(number, label)
            if set(label.dims or ()) & set((entry.dims or ())[1:]) and of_columns(entry.source):
                moved = entry._replace(source=entry.source.in_order([places[column] for column in names]))
                arrays[name], found[number] = {**parts, number: moved}, first
    return found


def _the_same(name: str, parts: Parts, beside: Mapping[str, Parts]) -> Entry:
    """Return what labels columns, which is the same in each file, or LogError."""
    first, *others = parts.values()
    for each in others:
        if each.source.token != first.source.token and not np.array_equal(_values(each), _values(first)):
            raise LogError(
                f"{shown(name)} labels the columns of {_said(first)} and {_said(each)} differently"
                f"{_alone(first, each, beside)}: keep them in folders of their own, or give their columns the same "
                "labels."
            )
    return first


def _alone(one: Entry, other: Entry, beside: Mapping[str, Parts]) -> str:
    """Say which label one of two files lacks, where its column may be an array by itself, as it is of another dtype."""
    mine, others = (set(_values(each).tolist()) for each in (one, other))
    if not (alone := mine.symmetric_difference(others)):
        return ""
    label = str(min(alone, key=str))
    lacking = (other if label in mine else one).file
    found = (each for each in beside.get(label, {}).values() if each.file == lacking)
    told = f", {shown(label)} is in one alone"
    return next((f"{told}, and is {_kind(each)} in {shown(lacking or each.source.name)}" for each in found), told)


def _kind(entry: Entry) -> str:
    return "text" if entry.source.dtype.kind == "T" else str(entry.source.dtype)


def _values(entry: Entry) -> np.ndarray:
    return entry.source[tuple(slice(0, size) for size in entry.source.shape)]


def _ndim(parts: Parts) -> int:
    return max(len(each.source.shape) for each in parts.values())


def _column(name: str, arrays: Mapping[str, Parts], counter: str) -> _Column:
    parts = _alike(_with_rows(arrays[name]))
    _check(name, parts)
    first = next(iter(parts.values()))
    if _is_row(name, arrays):
        rows = {number: row_of(each.source) for number, each in parts.items()}
        dims = convention(name, len(first.source.shape) + 1) if first.source.shape else (counter,)
        return _Column(name, rows, {}, dims, first)
    usual = convention(name, len(first.source.shape))
    named = tuple(given or each for given, each in zip(first.dims or usual, usual, strict=True))
    filled = {number: each.coordinate for number, each in parts.items() if each.coordinate is not None}
    return _Column(name, {number: each.source for number, each in parts.items()}, filled, named, first)


def _alike(parts: Parts) -> Parts:
    """Return arrays of several files in one dtype where they are columns of a table, which may have others in each.

    That is one that has the values of all: the widest, and floats for whole numbers of which some are not there.
    """
    dtypes = {each.source.dtype for each in parts.values()}
    kinds = {dtype.kind for dtype in dtypes}
    if len(dtypes) == 1 or not (kinds <= {*"iu"} or ("f" in kinds and kinds <= {*"fiub"})):
        return parts
    dtype = np.result_type(*dtypes)
    return {
        number: each._replace(source=each.source.of_dtype(dtype)) if of_columns(each.source) else each
        for number, each in parts.items()
    }


def _with_rows(parts: Parts) -> Parts:
    """Return arrays of several files without those of no rows, of which it is not known how wide they would be."""
    empty = {number for number, each in parts.items() if each.source.shape[:1] == (0,) and 0 in each.source.shape[1:]}
    return {number: each for number, each in parts.items() if number not in empty} or parts


def _is_row(name: str, arrays: Mapping[str, Parts]) -> bool:
    """Return whether a file holds one row: a scalar, or a vector of one length that labels no rows beside it."""
    parts = arrays[name]
    shapes = {each.source.shape for each in parts.values()}
    if any(each.dims for each in parts.values()) or len(shapes) > 1 or len(next(iter(shapes))) > 1:
        return shapes == {()}
    return not any(_labels(parts, beside) for beside in arrays.values())


def _labels(vector: Parts, beside: Parts) -> bool:
    """Return whether a vector has in each file an entry for each row of a wider array."""
    return _ndim(beside) > 1 and all(
        number in beside and each.source.shape == beside[number].source.shape[:1] for number, each in vector.items()
    )


def _check(name: str, parts: Parts) -> None:
    """Raise LogError where the arrays of two files differ in more than their number of rows."""
    kinds: dict[object, int] = {}
    for number, each in parts.items():
        decoding = {key: str(value) for key, value in each.attrs.items() if key in cf.DECODED}
        kinds.setdefault((len(each.source.shape), each.source.shape[1:], each.source.dtype, str(decoding)), number)
    if len(kinds) > 1:
        one, other = (parts[number] for number in list(kinds.values())[:2])
        raise LogError(
            f"{shown(name)} cannot be joined over its files: {_said(one)} and {_said(other)} differ in more than their "
            "number of rows: keep them in folders of their own."
        )


def _said(entry: Entry) -> str:
    return f"{shown(entry.file or entry.source.name)} (shape {entry.source.shape}, {entry.source.dtype})"
