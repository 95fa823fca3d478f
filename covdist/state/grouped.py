"""``Grouped``: one state per group code, such as an epoch, a class or a layer."""

from __future__ import annotations

from collections import ChainMap, Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import itemgetter
from typing import Any

import numpy as np

from covdist.errors import CovdistError, DataError, NonFiniteError
from covdist.kernel.threads import shared
from covdist.kernel.workspace import Workspaces
from covdist.numerics.blas import single_thread
from covdist.numerics.filled_block import Block, rows_of
from covdist.state.base import merged, without_spread
from covdist.state.few_rows import FewRows, Folding, plainly
from covdist.state.stacked import Stacked

Group = tuple[int, slice | np.ndarray]  # its code and rows
Vectors = Mapping[str, np.ndarray | None]  # one value a row
_MOST_ROOM = 1 << 28


def room_for_rows(states_bytes: int) -> int:
    """Return for how many bytes of rows the accumulator of groups has room: no more than their states take."""
    return min(_MOST_ROOM, states_bytes)


@dataclass(frozen=True, eq=False)
class Grouped(Mapping[int, Any]):
    """The state of each group's rows, by group code in ascending order; that of few rows is folded when asked for."""

    inner: Any  # the empty state of a group
    folded: Mapping[int, Any]
    few: FewRows | None = None  # rows of groups that are not folded; None where rows are not kept

    @classmethod
    def accumulator(cls, make_inner: Callable[[], Any], room: int = 0) -> GroupedAccumulator:
        return GroupedAccumulator(make_inner, room)

    def merge(self, other: Grouped) -> Grouped:
        # The empty states merge first: other widths are refused even where no code is shared.
        inner = self.inner.merge(other.inner)
        if self.few is not None and other.few is not None and not self.few.alike(other.few):
            other = other.all_folded()
        folded = _merged(self.folded, other.folded)
        few = self.few if other.few is None else other.few if self.few is None else self.few.joined(other.few)
        return Grouped(inner, folded, few)._settled()

    def _settled(self) -> Grouped:
        """Fold the rows of groups that have states, or enough rows for one, and sort what is folded."""
        folded, few = self.folded, self.few
        if few is not None and (codes := few.many(folded)):
            new = few.states(codes)
            folded, few = _merged(folded, new), few.without(codes)
        return Grouped(self.inner, folded, few)

    def all_folded(self) -> Grouped:
        """Return the same groups, none of which are kept as rows."""
        return Grouped(self.inner, dict(self))

    def __getitem__(self, code: int) -> Any:
        return self.folded[code] if code in self.folded or self.few is None else self.few.state(code)

    def __iter__(self) -> Iterator[int]:
        return iter(self.folded if self.few is None else sorted([*self.folded, *self.few.codes()]))

    def __len__(self) -> int:
        return len(self.folded) + (0 if self.few is None else len(self.few.codes()))

    def group(self, code: int) -> Any:
        """Return a group's state, the empty one where it has no rows."""
        return self.get(code, self.inner)

    def map(self, function: Callable[[Any], Any]) -> Grouped:
        return Grouped(function(self.inner), {code: function(state) for code, state in self.items()})

    def recoded(self, codes: np.ndarray) -> Grouped:
        """Return the same groups under the codes ``codes[code]``."""
        few = None if self.few is None else self.few.recoded(codes)
        return Grouped(self.inner, {int(codes[code]): state for code, state in self.folded.items()}, few)

    def regrouped(self, codes: np.ndarray) -> Grouped:
        """Return the sums of the groups that have the same ``codes[code]``; those where it is negative are left out."""
        found: dict[int, Any] = {}
        for code, state in self.folded.items():
            if (new := int(codes[code])) >= 0:
                found[new] = found[new].merge(state) if new in found else state
        few = None if self.few is None else self.few.recoded(codes)
        return Grouped(self.inner, dict(sorted(found.items())), few)._settled()

    def union(self) -> Any:
        states = [*self.folded.values(), *([] if self.few is None else [self.few.whole()])]
        return reduce(merged, states, self.inner)

    def within(self) -> Any:
        """Return the state of all rows whose scatter is the sum of the groups' own."""
        alike = (_replaced_mean(state, 0.0, 0.0) for state in self.values())
        columns = self.union().columns
        return _replaced_mean(reduce(merged, alike, self.inner), columns.mean, columns.mean_low)

    def between(self) -> Any:
        """Return the state of as many rows as there are, each at its group's mean."""
        return reduce(merged, (without_spread(state) for state in self.values()), self.inner)


def _merged(a: Mapping[int, Any], b: Mapping[int, Any]) -> Mapping[int, Any]:
    """Return the sums of states by their codes, which ascend."""
    if isinstance(a, Stacked) and isinstance(b, Stacked):
        return a.merge(b)
    found = {**a, **b} | {code: a[code].merge(b[code]) for code in a.keys() & b.keys()}
    return dict(sorted(found.items()))


def _replaced_mean(state: Any, mean: Any, mean_low: Any) -> Any:
    if (parts := getattr(state, "parts", None)) is not None:  # of states together
        return state._replace(parts=tuple(_replaced_mean(part, mean, mean_low) for part in parts))
    columns, zeros = state.columns, np.zeros(state.columns.width)
    return state._replace(columns=columns._replace(mean=zeros + mean, mean_low=zeros + mean_low))


class GroupedAccumulator:
    """One accumulator per group code, made when the group has enough rows.

    Rows of blocks in which groups have few are kept until they take ``room`` bytes, and folded together: a thousand
    states of 256 columns do not fit the cache, and each would be fetched and written for a few rows of every block.
    Where ``make_inner`` is a ``Folding``, those of groups that have few in all are kept to the end.
    """

    def __init__(self, make_inner: Callable[[], Any], room: int = 0):
        first = make_inner()
        self.least_rows, self._empty = first.least_rows, first.state()
        self.numbered = getattr(first, "numbered", False)
        self._inner: defaultdict[int, Any] = defaultdict(make_inner)
        self._workspaces = Workspaces()  # two MiB that a thousand groups need once a thread
        self._values = 0
        self._fed: Counter[int] = Counter()
        self._seen = 0
        self._kept = _KeptRows(room)
        self._few = FewRows.none(make_inner) if isinstance(make_inner, Folding) and make_inner.few > 1 else None

    def add(self, *blocks: Block, by: np.ndarray, **weights: np.ndarray | None) -> None:
        """Fold rows; ``by`` holds each row's group code, negative for a row of no group."""
        if any(len(block) != len(by) for block in blocks):
            raise DataError(f"{len(by)} group codes for {[len(b) for b in blocks]} rows: give one code a row")
        plain = [plainly(block) for block in blocks if isinstance(block, np.ndarray)]
        codes, counts = np.unique(by, return_counts=True)
        few = len(by) < self.least_rows * len(codes)
        accepted = self._few is not None and self._few.folding.accepts(plain, weights.values())
        if len(plain) < len(blocks) or not (accepted or (few and self._few is None)):
            self._fold_kept()
            self._fold(blocks, by, weights, self._seen)
        elif not (few and self._keep(plain, by, weights)):
            self._fold(blocks, self._without_few(plain, by, weights, codes, counts), weights, self._seen)
        self._seen += len(by)

    def _keep(self, blocks: Sequence[np.ndarray], by: np.ndarray, weights: Vectors) -> bool:
        """Keep rows for later; false where they take too much room."""
        given = {"by": by, **weights}
        if self._kept.take(blocks, given):
            return True
        self._fold_kept()
        return self._kept.take(blocks, given)

    def _without_few(
        self, blocks: Sequence[np.ndarray], by: np.ndarray, weights: Vectors, codes: np.ndarray, counts: np.ndarray
    ) -> np.ndarray:
        """Keep the rows of groups that have had few so far; return the codes of the others, -1 in their places."""
        if self._few is None:
            return by
        few = codes[(counts < self._few.folding.few) & ~np.isin(codes, list(self._inner))]
        if not len(few):
            return by
        waits = np.isin(by, few)
        taken = {name: None if weight is None else weight[waits] for name, weight in weights.items()}
        rows = [block[waits] for block in blocks]
        if not self._keep(rows, by[waits], taken):
            self._settle(FewRows.of(self._few.folding, by[waits], rows, taken))
        return np.where(waits, -1, by)

    def _fold_kept(self) -> None:
        if not self._kept.rows:
            return
        at = self._seen - self._kept.rows  # where errors count from: of rows that stay there are none
        blocks, vectors = self._kept.given_back()
        by = vectors.pop("by")
        if self._few is None:
            self._fold(blocks, by, vectors, at)
        else:
            self._settle(FewRows.of(self._few.folding, by, blocks, vectors))

    def _settle(self, new: FewRows) -> None:
        """Fold the rows of groups that have accumulators, or enough rows for one; the others stay."""
        assert self._few is not None
        if not self._few.alike(new):
            self._fold(new.blocks, new.by, new.vectors, 0)
            new = FewRows.none(new.folding)
        few = self._few.joined(new)
        if codes := few.many(self._inner):
            self._fold(few.blocks, np.where(np.isin(few.by, codes), few.by, -1), few.vectors, 0)
            few = few.without(codes)
        self._few = few

    def _fold(self, blocks: Sequence[Block], by: np.ndarray, weights: Vectors, at: int) -> None:
        """Fold rows, of which the first is that at ``at``."""

        def fold(groups: Iterable[Group]) -> list[tuple[tuple[int, int], Exception]]:
            """Return errors; the least is the one to raise, however many threads there are."""
            errors: list[tuple[tuple[int, int], Exception]] = []
            workspace = self._workspaces.take()
            for code, rows in groups:
                accumulator = self._inner[code]
                accumulator.workspace = workspace
                taken = {name: w if w is None else w[rows] for name, w in weights.items()}
                try:
                    accumulator.add(*(block[rows] for block in blocks), **taken)
                except NonFiniteError as error:
                    error.row = at + int(np.arange(len(by))[rows][error.row - self._fed[code]])
                    errors.append(((1, error.row), error))
                except CovdistError as error:
                    errors.append(((0, code), error))
                    break
                self._fed[code] += rows.stop - rows.start if isinstance(rows, slice) else len(rows)
            self._workspaces.give_back(workspace)
            return errors

        size = sum(rows_of(block).size for block in blocks)
        with single_thread():
            errors = [error for found in shared(fold, list(_split(by)), size) for error in found]
        self._values += size
        if errors:
            raise min(errors, key=itemgetter(0))[1]

    def state(self) -> Grouped:
        self._fold_kept()

        def states(codes: Iterable[int]) -> dict[int, Any]:
            return {code: self._inner[code].state() for code in codes}

        with single_thread():
            found = ChainMap(*shared(states, list(self._inner), self._values))
        return Grouped(self._empty, {code: found[code] for code in sorted(found)}, self._few)


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
