"""``PositionsAccumulator``: one state for each of many positions, whose columns lie side by side in the rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from covdist.state.stacked import Stacked, put, room_for

_TOGETHER_BYTES = 1 << 24  # of states that are made and merged at once
_ROWS_BYTES = 1 << 29  # of rows that are gathered, as float64

Ordered = tuple[
    tuple[int, int], Exception
]  # an error and its place; the least is raised, however many threads there are


def least_rows(kind: StateType, width: int, count: int) -> int:
    """Return how many rows of so many positions are folded together at least."""
    return max(1, min(kind.cost(width).least_rows, _ROWS_BYTES // (8 * width * count)))


class PositionsAccumulator:
    """Folds rows (n, ..., ``count * width`` values) into a state of ``width`` columns for each position.

    Ordinary rows of narrow positions are folded together, some positions at a time; others position by position.
    """

    def __init__(self, kind: Any, width: int, count: int, options: Options):
        self._kind, self._width, self._count, self._options = kind, width, count, options
        first = kind.accumulator(width, options=options)
        self._empty, self.numbered = first.state(), getattr(first, "numbered", False)
        self._stackable = stackable(kind)
        self._together: Any = None  # a stack of all positions, right but for those that are alone
        self._alone: dict[int, Any] = {}
        self._seen = 0
        self.least_rows = least_rows(kind, width, count)

    def add(self, block: np.ndarray, **vectors: Vector) -> None:
        rows = block.reshape(len(block), self._count, self._width)
        weights = {name: w for name, w in vectors.items() if w is not None}
        at_once = _TOGETHER_BYTES // self._kind.cost(self._width).state_bytes if self._seen else self._count
        step = max(1, at_once)
        after, errors = None, list[Ordered]()
        with single_thread():
            for start in range(0, self._count, step):
                positions = np.arange(start, min(start + step, self._count))
                stack, right = self._stack(rows, positions, weights)
                errors += self._add_alone(rows, positions[~right].tolist(), weights)
                if right.any():
                    after = self._put(after, stack, right, positions) if self._seen else stack
        if errors:
            raise min(errors, key=itemgetter(0))[1]
        self._together = after
        self._seen += len(block)

    def _stack(self, rows: np.ndarray, positions: np.ndarray, weights: Any) -> tuple[Any, np.ndarray]:
        """Return the states of some positions in one, and for which of them it is right."""
        some = rows[:, positions[0] : positions[-1] + 1]
        fits = self._stackable and not weights
        found = self._kind.of_stack(some, self._options.precision) if fits else None
        stack, right = found or (None, np.zeros(len(positions), np.bool_))
        return stack, right & ~np.isin(positions, list(self._alone))

    def _put(self, after: Any, stack: Any, right: np.ndarray, positions: np.ndarray) -> Any:
        """Return a stack of all positions in which some are merged with those of the rows before."""
        after, places = room_for(stack, self._count) if after is None else after, positions[right]
        return put(after, places, unstacked(self._together, places).merge(unstacked(stack, right)))

    def _add_alone(self, rows: np.ndarray, positions: Sequence[int], weights: Any) -> list[Ordered]:
        """Fold some positions each by itself; return errors."""

        def fold(some: Iterable[int]) -> list[Ordered]:
            workspace, errors = Workspace(), list[Ordered]()
            for position in some:
                accumulator = self._kind.accumulator(self._width, options=self._options)
                accumulator.workspace = workspace
                try:
                    accumulator.add(rows[:, position], **weights)
                    self._alone[position] = self._merged_alone(accumulator.state(), position)
                except NonFiniteError as error:
                    error.row, error.column = error.row + self._seen, error.column + position * self._width
                    errors.append(((1, error.row), error))
                except CovdistError as error:
                    errors.append(((0, position), error))
            return errors

        return list(chain.from_iterable(shared(fold, positions, len(positions) * rows[:, 0].size)))

    def _merged_alone(self, state: Any, position: int) -> Any:
        if not self._seen:
            return state
        return (self._alone.get(position) or unstacked(self._together, position)).merge(state)

    def state(self) -> Grouped:
        alone = dict(sorted(self._alone.items()))
        if self._together is None:
            return Grouped(self._empty, alone)
        codes = np.setdiff1d(np.arange(self._count), list(alone))
        return Grouped(
            self._empty, Stacked(unstacked(self._together, codes) if alone else self._together, codes, alone)
        )
