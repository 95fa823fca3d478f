"""``Grouped``: one state per group code, such as an epoch, a class or a layer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from covdist.errors import DataError, NonFiniteError
from covdist.state.base import merged


@dataclass(frozen=True, eq=False)
class Grouped(Mapping[int, Any]):
    """The state of each group's rows, by group code in ascending order."""

    inner: Any  # the empty state of a group
    groups: dict[int, Any]

    @classmethod
    def accumulator(cls, make_inner: Callable[[], Any]) -> GroupedAccumulator:
        return GroupedAccumulator(make_inner)

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

    def union(self) -> Any:
        return reduce(merged, self.groups.values(), self.inner)


class GroupedAccumulator:
    """One accumulator per group code, made when its first row arrives."""

    def __init__(self, make_inner: Callable[[], Any]):
        first = make_inner()
        self.least_rows, self._empty = first.least_rows, first.state()

        def inner() -> Any:
            accumulator = make_inner()
            accumulator.workspace = first.workspace  # two MiB that a thousand groups need once
            return accumulator

        self._inner: defaultdict[int, Any] = defaultdict(inner)
        self._fed: Counter[int] = Counter()
        self._seen = 0

    def add(self, *blocks: np.ndarray, by: np.ndarray, **weights: np.ndarray | None) -> None:
        """Fold rows in place; ``by`` holds each row's group code, negative for a row of no group."""
        if any(len(block) != len(by) for block in blocks):
            raise DataError(f"{len(by)} group codes for {[len(b) for b in blocks]} rows: give one code a row")
        errors = []
        for code, rows in _split(by):
            taken = {name: w if w is None else w[rows] for name, w in weights.items()}
            numbers = np.arange(len(by))[rows]
            try:
                self._inner[code].add(*(block[rows] for block in blocks), **taken)
            except NonFiniteError as error:
                error.row = self._seen + int(numbers[error.row - self._fed[code]])
                errors.append(error)
            self._fed[code] += len(numbers)
        if errors:
            raise min(errors, key=lambda error: error.row)
        self._seen += len(by)

    def state(self) -> Grouped:
        return Grouped(self._empty, {c: self._inner[c].state() for c in sorted(self._inner)})


def _split(by: np.ndarray) -> Iterator[tuple[int, slice | np.ndarray]]:
    """Yield each code with its rows in order; as a slice, which copies nothing, where they are one run."""
    order = np.argsort(by, kind="stable")
    codes, starts = np.unique(by[order], return_index=True)
    for code, rows in zip(codes.tolist(), np.split(order, starts[1:])[: len(codes)], strict=True):
        if code >= 0:
            run = slice(int(rows[0]), int(rows[-1]) + 1)
            yield code, run if run.stop - run.start == len(rows) else rows
