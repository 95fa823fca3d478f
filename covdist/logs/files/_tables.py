"""Tables of Arrow columns as arrays: what becomes of a column, and its values as numpy has them."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from covdist.errors import LogError, shown
from covdist.logs.files._columns import TEXT, LostColumn, TableColumn
from covdist.logs.grid import GridSource, Index, Slices, check_promise
from covdist.logs.joining.numbering import numbered
from covdist.logs.joining.partitions import place
from covdist.logs.source import Distinct, Entry, Source, Unreadable
from covdist.logs.stamps import Stamp
from covdist.logs.stored import file_token, row_chunks

BROKEN = (
    OSError, ValueError, TypeError, KeyError, RuntimeError, NotImplementedError, MemoryError, OverflowError, EOFError,
)  # fmt: skip
FLOATS = np.dtype("f8")
MARKS = {"step", "epoch", "batch", "sample", "label", "class", "rank", "index", "id", "time", "timestamp"}

MOST_EXACT = 2**53  # up to which float64 has every whole number
MOST_TEXT = 64 << 20  # bytes of texts that are made at a time


@dataclass(frozen=True, eq=False)
class TableSource(GridSource):
    """Columns of a table side by side, or one of lists; ``pieces`` says how a format reads them."""

    path: str
    columns: Sequence[int]
    inner: tuple[int, ...] | None  # lengths of a column's lists, None of columns side by side
    stamp: Stamp

    def of_dtype(self, dtype: np.dtype) -> TableSource:
        """Return a source of the same values in a dtype that has them."""
        return self if dtype == self.dtype else replace(self, dtype=dtype, token=f"{self.token}-{dtype}")

    def in_order(self, order: Sequence[int]) -> TableSource:
        """Return a source of columns side by side, of which ``order[i]`` is the ``i``-th."""
        columns = tuple(self.columns[number] for number in order)
        return replace(self, columns=columns, token=f"{self.token}-{columns}")

    def pieces(self, start: int, stop: int, columns: Sequence[int]) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yield pieces: the number of the first row, and an Arrow array of each column, valid until the next."""
        raise NotImplementedError

    def __getitem__(self, index: Slices) -> np.ndarray:
        return self._read(index, None)

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        return self._read(self.cut(index), buffer)

    def _read(self, index: Slices, buffer: np.ndarray | None) -> np.ndarray:
        start, stop, _ = index[0].indices(self.shape[0])
        stop = max(start, stop)
        with self.reading(start, stop):
            if self.beside:
                return self._side_by_side(start, stop, self.columns[index[1]], buffer)
            rows = self.below(start, stop, buffer)
        return rows[(slice(None), *index[1:])]

    @property
    def beside(self) -> bool:
        """Whether columns lie side by side."""
        return self.inner is None and len(self.shape) > 1

    @contextmanager
    def reading(self, start: int, stop: int) -> Iterator[None]:
        """Raise LogError with the rows and the file in place of what a library raises."""
        try:
            yield
        except BROKEN as error:
            raise LogError(
                f"{self.name}: rows {start:,} to {stop:,} in {self.path} cannot be read ({shown(str(error), 300)}): "
                "restore the file or record it again."
            ) from error

    def _side_by_side(self, start: int, stop: int, columns: Sequence[int], buffer: np.ndarray | None) -> np.ndarray:
        rows = self.space((stop - start, len(columns)), buffer)
        for first, arrays in self.pieces(start, stop, columns) if rows.size else ():
            self.fill(rows[first - start :], arrays)
        return rows

    def fill(self, rows: np.ndarray, arrays: Sequence[Any]) -> None:
        """Set the first of the rows to columns side by side."""
        for number, array in enumerate(arrays):
            rows[: len(array), number] = values(array, (), self.dtype)

    def below(self, start: int, stop: int, buffer: np.ndarray | None) -> np.ndarray:
        """Return rows of a single column; of one piece as the library has them, as a copy takes as long as reading."""
        rows, whole = None, (stop - start, *self.shape[1:])
        for first, (array,) in self.pieces(start, stop, self.columns) if start < stop else ():
            read = values(array, self.inner or (), self.dtype)
            if read.shape == whole:
                rows = read
                continue  # to the end, where the file is looked at again
            rows = self.space(whole, buffer) if rows is None else rows
            rows[first - start : first - start + len(read)] = read
        return self.space(whole, buffer) if rows is None else rows

    def space(self, shape: tuple[int, ...], buffer: np.ndarray | None) -> np.ndarray:
        """Return an array to be filled, in the buffer if it is large enough."""
        size = math.prod(shape) * self.dtype.itemsize
        if buffer is None or not 0 < size <= buffer.nbytes:
            return np.empty(shape, self.dtype)
        return buffer[:size].view(self.dtype).reshape(shape)


@dataclass(frozen=True, eq=False)
class ColumnNames(GridSource):
    """Names of columns, as labels."""

    labels: tuple[str, ...]

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        return np.array(self.labels, TEXT)[self.cut(index)]


def values(array: Any, inner: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an Arrow array as numpy has it, lists as rows; ValueError where lists differ or a number is not there."""
    import pyarrow as pa

    rows = len(array)
    array.validate(full=True)
    array = array.storage if isinstance(array, pa.ExtensionArray) else array
    for length in inner:
        count = len(array)
        lists, array = array, array.flatten()
        even = pa.types.is_fixed_size_list(lists.type) or _even(lists, length)
        if lists.null_count or len(array) != count * length or not even:
            raise ValueError(f"its lists do not all have the {length:,} entries of the first")
    if dtype == TEXT:
        _check_words(array)
        return np.array(["" if each is None else str(each) for each in array.to_pylist()], TEXT).reshape(rows, *inner)
    if array.null_count and dtype.kind not in "fmM":
        raise ValueError(f"{array.null_count:,} values are not there, which {dtype} cannot say: use floats")
    if dtype == FLOATS and not pa.types.is_floating(array.type):
        return _as_floats(array).reshape(rows, *inner)
    return np.asarray(array.to_numpy(zero_copy_only=False)).astype(dtype, copy=False).reshape(rows, *inner)


def _as_floats(array: Any) -> np.ndarray:
    """Return whole numbers or flags as floats, NaN where they are not there; ValueError where floats are too coarse."""
    import pyarrow.compute as compute

    there = np.asarray(array.is_valid().to_numpy(zero_copy_only=False))
    numbers = np.asarray(compute.fill_null(array, 0 if array.type != "bool" else False).to_numpy(zero_copy_only=False))
    if numbers.size and (numbers.max() > MOST_EXACT or numbers.min() < -MOST_EXACT):
        raise ValueError(
            "it has whole numbers beyond 2^53 in a column where others are not there, and float64, which has NaN for "
            "these, lacks some of them: store texts, or write a number for what is not there"
        )
    return np.where(there, numbers, np.nan)


def _check_words(array: Any) -> None:
    """Raise ValueError where texts that are told by their numbers among a few would become too many bytes."""
    import pyarrow as pa
    import pyarrow.compute as compute

    if not pa.types.is_dictionary(array.type) or not len(array):
        return
    size = compute.sum(compute.binary_length(array.dictionary).cast("i8").take(array.indices)).as_py() or 0
    if size > MOST_TEXT:
        raise ValueError(f"{len(array):,} texts have {size:,} bytes, of which {MOST_TEXT:,} are read at a time")


def _even(lists: Any, length: int) -> bool:
    offsets = np.asarray(lists.offsets)
    return bool((np.diff(offsets) == length).all())


Make = Callable[[str, Sequence[int], TableColumn], Source]  # name, columns, what they hold


def making(kind: type[TableSource], path: str, before: Stamp, rows: int, chunk_rows: Callable[[int], int]) -> Make:
    """Return what makes sources of a file's columns; ``chunk_rows`` tells their chunks' rows by the usual number."""

    def make(name: str, numbers: Sequence[int], of: TableColumn) -> Source:
        beside = not of.shape and len(numbers) > 1
        dtype = FLOATS if of.gaps else of.dtype
        shape = (rows, len(numbers)) if beside else (rows, *of.shape)
        usual = row_chunks(shape, dtype)
        chunks = (max(1, chunk_rows(usual[0])), *usual[1:])
        check_promise(name, shape, chunks, max(1, dtype.itemsize), None)
        token = file_token(path, name, repr(numbers), shape, dtype, chunks, before=before)
        return kind(name, shape, dtype, chunks, token, path, numbers, None if beside else of.shape, before)

    return make


def entries(
    columns: Mapping[int, TableColumn | LostColumn], marks: set[str], path: str, stem: str, prefix: str, make: Make
) -> dict[str, Entry | Unreadable]:
    """Return the arrays of a table: columns of lists each, those of one float dtype together, and what is beside."""
    last = stem.rpartition("/")[2]
    found = Distinct(path)
    units = _units(columns, marks | MARKS)
    wide = {number: each for number, each in columns.items() if isinstance(each, TableColumn) and each.shape}
    together = {number for numbers in units.values() for number in numbers}
    paths = [f"{prefix}{each.name}" for each in wide.values()]
    for rank, (dtype, numbers) in enumerate(units.items()):
        name = f"{prefix}{last}" if rank == 0 else f"{prefix}{last}_{dtype}"
        paths.append(name)
        rows, unit = ("step", "param") if last == "gradient" else ("sample", "unit")
        unit = unit if rank == 0 else f"{unit}_{dtype}"
        labels = tuple(_named(columns[number]).name for number in numbers)
        gaps = any(_named(columns[number]).gaps for number in numbers)
        found[name] = Entry(make(name, _span(numbers), TableColumn(name, dtype, gaps=gaps)), (rows, unit))
        if unit not in {each.name for each in columns.values() if isinstance(each, TableColumn)}:
            token = hashlib.blake2b(repr(labels).encode(), digest_size=16).hexdigest()
            found[f"{prefix}{unit}"] = Entry(
                ColumnNames(unit, (len(labels),), TEXT, (len(labels),), token, labels), (unit,)
            )
    lead = "step" if paths and all(path.rpartition("/")[2] == "gradient" for path in paths) else "sample"
    for number, each in wide.items():
        name = f"{prefix}{each.name}"
        found[name] = Entry(make(name, (number,), each), (lead, *(None for _ in each.shape)))
    nodes = {path.rpartition("/")[0] for path in paths} or {prefix.rstrip("/")}
    for number, one in columns.items():
        if isinstance(one, LostColumn):
            found[f"{prefix}{one.name}"] = Unreadable(one.error)
        elif number not in together and number not in wide:
            for node in {prefix.rstrip("/")} if "/" in one.name else nodes:
                name = f"{node}/{one.name}".lstrip("/")
                found[name] = Entry(make(name, (number,), one), (lead,))
    return found


def called(path: str, stem: str) -> str:
    """Return what the columns of a file are together: the file's name, of a numbered part its table's folder's."""
    last = stem.rpartition("/")[2]
    table = place(os.path.dirname(os.path.abspath(path))).table
    folder = os.path.splitext(os.path.basename(table))[0]
    return folder if folder and numbered(last) else last


def _units(columns: Mapping[int, TableColumn | LostColumn], marks: set[str]) -> dict[np.dtype, list[int]]:
    """Return columns that stand for units, by dtype, the most first: floats, or where there are none, integers."""
    for kinds in ("f", "iu"):
        by_dtype: dict[np.dtype, list[int]] = {}
        for number, each in columns.items():
            if isinstance(each, TableColumn) and each.dtype.kind in kinds and not each.shape and each.name not in marks:
                by_dtype.setdefault(each.dtype, []).append(number)
        found = {dtype: numbers for dtype, numbers in by_dtype.items() if len(numbers) > 1}
        wide = any(isinstance(each, TableColumn) and each.shape for each in columns.values())
        if by_dtype or wide:
            return dict(sorted(found.items(), key=lambda each: -len(each[1])))
    return {}


def _named(one: TableColumn | LostColumn) -> TableColumn:
    assert isinstance(one, TableColumn)
    return one


def _span(numbers: list[int]) -> Sequence[int]:
    whole = range(numbers[0], numbers[-1] + 1)
    return whole if len(whole) == len(numbers) else tuple(numbers)
