"""``Grouped``: one state per group code, such as an epoch, a class or a layer."""

from __future__ import annotations

from collections import ChainMap, Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import itemgetter
from typing import Any

import numpy as np

from covdist.errors import CovdistError, DataError, NonFiniteError
from covdist.kernel.threads import shared
from covdist.kernel.workspace import Workspace
from covdist.numerics.blas import single_thread
from covdist.numerics.filled_block import Block, rows_of
from covdist.state.base import merged, without_spread

Group = tuple[int, slice | np.ndarray]  # its code and rows
Vectors = Mapping[str, np.ndarray | None]  # one value a row
_MOST_ROOM = 1 << 26


def room_for_rows(groups: int, state_bytes: int) -> int:
    """Return for how many bytes of rows the accumulator of so many groups has room: no more than their states take."""
    return min(_MOST_ROOM, groups * state_bytes)


@dataclass(frozen=True, eq=False)
class Grouped(Mapping[int, Any]):
    """The state of each group's rows, by group code in ascending order."""

    inner: Any  # the empty state of a group
    groups: dict[int, Any]

    @classmethod
    def accumulator(cls, make_inner: Callable[[], Any], room: int = 0) -> GroupedAccumulator:
        return GroupedAccumulator(make_inner, room)

    def merge(self, other: Grouped) -> Grouped:
        # The empty states merge first: other widths are refused even where no code is shared.
        inner = self.inner.merge(other.inner)
        codes = sorted(self.groups.keys() | other.groups.keys())
        return Grouped(inner, {code: self.group(code).merge(other.group(code)) for code in codes})

    def __getitem__(self, code: int) -> Any:
        return self.groups[code]

    def __iter__(self) -> Iterator[int]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def group(self, code: int) -> Any:
        """Return a group's state, the empty one where it has no rows."""
        return self.groups.get(code, self.inner)

    def map(self, function: Callable[[Any], Any]) -> Grouped:
        return Grouped(function(self.inner), {code: function(state) for code, state in self.groups.items()})

    def recoded(self, codes: np.ndarray) -> Grouped:
        """Return the same groups under the codes ``codes[code]``."""
        return Grouped(self.inner, {int(codes[code]): state for code, state in self.groups.items()})

    def regrouped(self, codes: np.ndarray) -> Grouped:
        """Return the sums of the groups that have the same ``codes[code]``; those where it is negative are left out."""
        found: dict[int, Any] = {}
        for code, state in self.groups.items():
            if (new := int(codes[code])) >= 0:
                found[new] = found[new].merge(state) if new in found else state
        return Grouped(self.inner, dict(sorted(found.items())))

    def union(self) -> Any:
        return reduce(merged, self.groups.values(), self.inner)

    def within(self) -> Any:
        """Return the state of all rows whose scatter is the sum of the groups' own."""
        alike = (_replaced_mean(state, 0.0, 0.0) for state in self.groups.values())
        columns = self.union().columns
        return _replaced_mean(reduce(merged, alike, self.inner), columns.mean, columns.mean_low)

    def between(self) -> Any:
        """Return the state of as many rows as there are, each at its group's mean."""
        return reduce(merged, (without_spread(state) for state in self.groups.values()), self.inner)


def _replaced_mean(state: Any, mean: Any, mean_low: Any) -> Any:
    if (parts := getattr(state, "parts", None)) is not None:  # of states together
        return state._replace(parts=tuple(_replaced_mean(part, mean, mean_low) for part in parts))
    columns, zeros = state.columns, np.zeros(state.columns.width)
    return state._replace(columns=columns._replace(mean=zeros + mean, mean_low=zeros + mean_low))


class GroupedAccumulator:
    """One accumulator per group code, made when its first row arrives.

    Rows of blocks in which groups have few are kept until they take ``room`` bytes, and folded together: a thousand
    states of 256 columns do not fit the cache, and each would be fetched and written for a few rows of every block.
    """

    def __init__(self, make_inner: Callable[[], Any], room: int = 0):
        first = make_inner()
        self.least_rows, self._empty = first.least_rows, first.state()
        self._inner: defaultdict[int, Any] = defaultdict(make_inner)
        self._workspaces: list[Workspace] = []  # two MiB that a thousand groups need once a thread
        self._values = 0
        self._fed: Counter[int] = Counter()
        self._seen = 0
        self._kept = _KeptRows(room)

    def add(self, *blocks: Block, by: np.ndarray, **weights: np.ndarray | None) -> None:
        """Fold rows; ``by`` holds each row's group code, negative for a row of no group."""
        if any(len(block) != len(by) for block in blocks):
            raise DataError(f"{len(by)} group codes for {[len(b) for b in blocks]} rows: give one code a row")
        plain = [block for block in blocks if isinstance(block, np.ndarray)]
        few = len(by) < self.least_rows * len(np.unique(by)) and len(plain) == len(blocks)
        if few and self._kept.take(plain, {"by": by, **weights}):
            return
        self._fold_kept()
        if not (few and self._kept.take(plain, {"by": by, **weights})):
            self._fold(blocks, by, weights)

    def _fold_kept(self) -> None:
        if self._kept.rows:
            blocks, vectors = self._kept.given_back()
            self._fold(blocks, vectors.pop("by"), vectors)

    def _fold(self, blocks: Sequence[Block], by: np.ndarray, weights: Vectors) -> None:
        def fold(groups: Sequence[Group]) -> list[tuple[tuple[int, int], Exception]]:
            """Return errors; the least is the one to raise, however many threads there are."""
            errors: list[tuple[tuple[int, int], Exception]] = []
            workspace = self._workspaces.pop() if self._workspaces else Workspace()
            for code, rows in groups:
                accumulator = self._inner[code]
                accumulator.workspace = workspace
                taken = {name: w if w is None else w[rows] for name, w in weights.items()}
                try:
                    accumulator.add(*(block[rows] for block in blocks), **taken)
                except NonFiniteError as error:
                    error.row = self._seen + int(np.arange(len(by))[rows][error.row - self._fed[code]])
                    errors.append(((1, error.row), error))
                except CovdistError as error:
                    errors.append(((0, code), error))
                    break
                self._fed[code] += rows.stop - rows.start if isinstance(rows, slice) else len(rows)
            self._workspaces.append(workspace)
            return errors

        size = sum(rows_of(block).size for block in blocks)
        with single_thread():
            errors = [error for found in shared(fold, list(_split(by)), size) for error in found]
        self._values += size
        if errors:
            raise min(errors, key=itemgetter(0))[1]
        self._seen += len(by)

    def state(self) -> Grouped:
        self._fold_kept()

        def states(codes: Sequence[int]) -> dict[int, Any]:
            return {code: self._inner[code].state() for code in codes}

        with single_thread():
            found = ChainMap(*shared(states, list(self._inner), self._values))
        return Grouped(self._empty, {code: found[code] for code in sorted(found)})


class _KeptRows:
    """Copies of rows, which take at most ``room`` bytes in all, in one array a side."""

    def __init__(self, room: int):
        self._room, self.rows = room, 0
        self._arrays: list[np.ndarray] = []  # whose pages are touched as they fill
        self._vectors: list[Vectors] = []

    def take(self, blocks: Sequence[np.ndarray], vectors: Vectors) -> bool:
        """Copy rows; false where there is no room, or where they are not of the dtypes of those before."""
        if not self.rows and _dtypes(blocks) != _dtypes(self._arrays):
            most = self._room // max(1, sum(block[:1].nbytes for block in blocks))
            self._arrays = [np.empty((most, *block.shape[1:]), block.dtype) for block in blocks]
        stop = self.rows + len(blocks[0])
        if stop > len(self._arrays[0]) or _dtypes(blocks) != _dtypes(self._arrays):
            return False
        for array, block in zip(self._arrays, blocks, strict=True):
            array[self.rows : stop] = block
        self._vectors.append({name: None if w is None else w.copy() for name, w in vectors.items()})
        self.rows = stop
        return True

    def given_back(self) -> tuple[list[np.ndarray], dict[str, Any]]:
        """Return all rows and their vectors, valid until others are taken."""
        vectors = {name: _joined([each[name] for each in self._vectors]) for name in self._vectors[0]}
        blocks = [array[: self.rows] for array in self._arrays]
        self.rows, self._vectors = 0, []
        return blocks, vectors


def _dtypes(blocks: Sequence[np.ndarray]) -> list[np.dtype]:
    return [block.dtype for block in blocks]


def _joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    given = [part for part in parts if part is not None]
    return np.concatenate(given) if given else None


def _split(by: np.ndarray) -> Iterator[Group]:
    """Yield each code with its rows in order; as a slice, which copies nothing, where they are one run."""
    order = np.argsort(by, kind="stable")
    codes, starts = np.unique(by[order], return_index=True)
    for code, rows in zip(codes.tolist(), np.split(order, starts[1:])[: len(codes)], strict=True):
        if code >= 0:
            run = slice(int(rows[0]), int(rows[-1]) + 1)
            yield code, run if run.stop - run.start == len(rows) else rows
