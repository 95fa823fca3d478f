"""Arrays of a log that are alike, read side by side and folded together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from covdist.folding.passes import Item
from covdist.folding.request import Request, rows_as_they_are
from covdist.kernel.library import check_same
from covdist.numerics.accumulator import Options
from covdist.numerics.ordinary import folds_side_by_side
from covdist.rows.fold import Part, Shard, columns_of, fold
from covdist.rows.readers import SourceReader
from covdist.state.base import unstacked
from covdist.state.named import stackable
from covdist.state.variances import LEAST_ROWS

_VALUES = 1 << 15  # of an array: such are looked at in one block


class Stack(NamedTuple):
    """What is equal for arrays that are folded together."""

    kind: Any
    rows: int
    width: int
    dtype: np.dtype
    options: Options


def stack_of(request: Request) -> Stack | None:
    """Return the stack that an array belongs to; None where it is folded alone."""
    (width, *others), kind = request.widths, request.state
    as_they_are = not (others or request.vectors or request.groups) and request.policy.stream is rows_as_they_are
    plain = as_they_are and stackable(kind)
    small = request.rows <= LEAST_ROWS or request.rows * width <= _VALUES
    together = plain and small and folds_side_by_side(request.x.dtype, width)
    return Stack(kind, request.rows, width, request.x.dtype, request.options) if together else None


class Alike(NamedTuple):
    """States of shards that differ in their rows alone: in one stack, but for those that were folded alone."""

    stack: Any
    alone: dict[int, object]

    def states(self, count: int) -> Iterator[object]:
        """Yield each, bit for bit what it is when folded by itself."""
        for number in range(count):
            yield self.alone[number] if number in self.alone else unstacked(self.stack, number)


def fold_alike(stack: Stack | None, items: Sequence[Item]) -> Alike:
    """Fold shards that differ in their rows alone."""
    check_same(items[0][0].kernel)
    found = None if stack is None or len(items) == 1 else _folded(stack, [shard for shard, _ in items])
    states, right = found or (None, [False] * len(items))
    return Alike(states, {number: fold(*item) for number, item in enumerate(items) if not right[number]})


def _folded(stack: Stack, shards: Sequence[Shard]) -> tuple[Any, np.ndarray] | None:
    parts: list[Any] = [part for shard in shards for part in shard.blocks.values()]
    if not all(isinstance(part.reader, SourceReader) for part in parts):
        return None  # the dtype of what others read may differ from piece to piece
    if any(part.rows > LEAST_ROWS and part.last - part.first > 1 for part in parts):
        return None  # such are folded as several blocks
    block = np.empty((0, 0, 0))
    for number, part in enumerate(parts):
        for start, rows in _placed(part):
            if block.size == 0:
                block = np.empty((part.rows, len(parts), rows.shape[1]), rows.dtype)
            block[start : start + len(rows), number] = rows
    found: tuple[Any, np.ndarray] | None = stack.kind.of_stack(block, stack.options.precision)
    return found


def _placed(part: Part) -> Iterator[tuple[int, np.ndarray]]:
    start = 0
    for piece in part.pieces():
        yield start, columns_of(piece)
        start += len(piece)
