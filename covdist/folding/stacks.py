"""Arrays of a log that are alike, read side by side and folded together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from covdist.folding.passes import Item
from covdist.folding.request import Request
from covdist.kernel.library import check_same
from covdist.numerics.ordinary import folds_side_by_side
from covdist.rows.fold import Part, Shard, columns_of, fold
from covdist.state.base import unstacked
from covdist.state.named import stackable
from covdist.state.variances import LEAST_ROWS

_VALUES = 1 << 15  # of an array: such are looked at in one block


def stack_type(request: Request) -> Any | None:
    """Return the type of a request's state where it can be folded together with arrays that are alike."""
    (width, *others), kind = request.widths, request.state
    plain = not (others or request.vectors) and request.options.precision == "high" and stackable(kind)
    small = request.rows <= LEAST_ROWS or request.rows * width <= _VALUES
    return kind if plain and small and folds_side_by_side(request.x.dtype, width) else None


class Alike(NamedTuple):
    """States of shards that differ in their rows alone: in one stack, but for those that were folded alone."""

    stack: Any
    alone: dict[int, object]

    def states(self, count: int) -> Iterator[object]:
        """Yield each, bit for bit what it is when folded by itself."""
        for number in range(count):
            yield self.alone[number] if number in self.alone else unstacked(self.stack, number)


def fold_alike(kind: Any, items: Sequence[Item]) -> Alike:
    """Fold shards that differ in their rows alone."""
    check_same(items[0][0].kernel)
    found = None if len(items) == 1 else _folded(kind, [shard for shard, _ in items])
    stack, right = found or (None, [False] * len(items))
    return Alike(stack, {number: fold(*item) for number, item in enumerate(items) if not right[number]})


def _folded(kind: Any, shards: Sequence[Shard]) -> tuple[Any, np.ndarray] | None:
    parts: list[Any] = [part for shard in shards for part in shard.blocks.values()]
    if any(part.rows > LEAST_ROWS and part.last - part.first > 1 for part in parts):
        return None  # such are folded as several blocks
    block, width = np.empty((0, 0)), 0
    for number, part in enumerate(parts):
        for start, rows in _placed(part):
            if block.size == 0:
                width = rows.shape[1]
                block = np.empty((part.rows, len(parts) * width), rows.dtype)
            block[start : start + len(rows), number * width : (number + 1) * width] = rows
    found: tuple[Any, np.ndarray] | None = kind.of_stack(block, width)
    return found


def _placed(part: Part) -> Iterator[tuple[int, np.ndarray]]:
    start = 0
    for piece in part.pieces():
        yield start, columns_of(piece)
        start += len(piece)
