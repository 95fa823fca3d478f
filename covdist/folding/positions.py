"""``PositionsAccumulator``: one state for each of many positions, whose columns lie side by side in the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from covdist.errors import CovdistError, NonFiniteError
from covdist.kernel.threads import shared
from covdist.kernel.workspace import Workspace
from covdist.numerics.accumulator import Options
from covdist.numerics.blas import single_thread
from covdist.numerics.weights import Vector
from covdist.state.base import StateType, unstacked
from covdist.state.grouped import Grouped
from covdist.state.named import stackable

_COLUMNS = 4096  # that are folded together: their pilots and sums stay in the cache
_ROWS_BYTES = 1 << 29  # of rows that are gathered, as float64

Ordered = tuple[
    tuple[int, int], Exception
]  # an error and its place; the least is raised, however many threads there are


def least_rows(kind: StateType, width: int, count: int) -> int:
    """Return how many rows of so many positions are folded together at least."""
    return max(1, min(kind.cost(width).least_rows, _ROWS_BYTES // (8 * width * count)))


class PositionsAccumulator:
    """Folds rows (n, ..., ``count * width`` values) into a state of ``width`` columns for each position.

    Ordinary rows of narrow positions are folded together, in one pass; others position by position.
    """

    def __init__(self, kind: Any, width: int, count: int, options: Options):
        self._kind, self._width, self._count, self._options = kind, width, count, options
        self._empty = kind.accumulator(width, options=options).state()
        self._together = stackable(kind) and options.precision == "high"
        self._states: dict[int, Any] = {}
        self._seen = 0
        self.least_rows = least_rows(kind, width, count)

    def add(self, block: np.ndarray, frequency: Vector = None, reliability: Vector = None) -> None:
        rows = block.reshape(len(block), self._count, self._width)
        weights = {name: w for name, w in (("frequency", frequency), ("reliability", reliability)) if w is not None}

        def fold(starts: Sequence[int]) -> list[Ordered]:
            workspace = Workspace()
            return [error for start in starts for error in self._fold(rows, start, weights, workspace)]

        with single_thread():
            step = max(1, _COLUMNS // self._width)
            errors = list(chain.from_iterable(shared(fold, range(0, self._count, step), block.size)))
        if errors:
            raise min(errors, key=itemgetter(0))[1]
        self._seen += len(block)

    def _fold(self, rows: np.ndarray, start: int, weights: Any, workspace: Workspace) -> Iterator[Ordered]:
        """Fold the positions from one on; yield errors."""
        width, count = self._width, min(max(1, _COLUMNS // self._width), self._count - start)
        some = rows[:, start : start + count].reshape(len(rows), count * width)
        found = self._kind.of_stack(some, width) if self._together and not weights else None
        for number in range(count):
            if found is not None and found[1][number]:
                self._merge(start + number, unstacked(found[0], number))
                continue
            accumulator = self._kind.accumulator(width, options=self._options)
            accumulator.workspace = workspace
            try:
                accumulator.add(some[:, number * width : (number + 1) * width], **weights)
                self._merge(start + number, accumulator.state())
            except NonFiniteError as error:
                error.row, error.column = error.row + self._seen, error.column + (start + number) * width
                yield (1, error.row), error
            except CovdistError as error:
                yield (0, start + number), error

    def _merge(self, position: int, state: Any) -> None:
        before = self._states.get(position)
        self._states[position] = state if before is None else before.merge(state)

    def state(self) -> Grouped:
        return Grouped(self._empty, {position: self._states[position] for position in sorted(self._states)})
