"""In which order states are merged: a tree of runs of shards, the same for every cluster. No dask.

Shards are merged in groups of ``FAN_IN``, the groups again, and so on. Within a group states join one after the
other, so many at a time as memory allows, so that one merged state waits there however many shards there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

FAN_IN = 32  # a thousand shards are two levels


class Span(NamedTuple):
    """The state of shards ``start`` to ``stop``, exclusive."""

    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.start}-{self.stop}"


@lru_cache(maxsize=64)
def merge_order(shards: int, at_once: int) -> dict[Span, tuple[Span, ...]]:
    """Return, for every state, the states it is merged from, in order; nothing for a shard's own.

    Parameters
    ----------
    shards : int
        At least one.
    at_once : int
        States that one merge takes, at least two.

    Examples
    --------
    >>> order = merge_order(4, at_once=2)
    >>> [(str(span), [str(part) for part in parts]) for span, parts in order.items() if parts]
    [('0-2', ['0-1', '1-2']), ('0-3', ['0-2', '2-3']), ('0-4', ['0-3', '3-4'])]
    """
    level = [Span(shard, shard + 1) for shard in range(shards)]
    order: dict[Span, tuple[Span, ...]] = dict.fromkeys(level, ())
    while len(level) > 1:
        groups = [level[i : i + FAN_IN] for i in range(0, len(level), FAN_IN)]
        for group in groups:
            order.update(_chain(group, at_once))
        level = [Span(group[0].start, group[-1].stop) for group in groups]
    return order


def _chain(group: list[Span], at_once: int) -> Iterator[tuple[Span, tuple[Span, ...]]]:
    merged, rest = group[0], group[1:]
    while rest:
        parts = (merged, *rest[: at_once - 1])
        merged, rest = Span(merged.start, parts[-1].stop), rest[at_once - 1 :]
        yield merged, parts


def levels(shards: int) -> int:
    """Return how many levels of groups there are above so many shards."""
    count = 0
    while shards > 1:
        shards, count = -(-shards // FAN_IN), count + 1
    return count


def depth(shards: int, at_once: int) -> int:
    """Return how many merges, at most, follow one another from a shard to the result."""
    return levels(shards) * -(-(min(shards, FAN_IN) - 1) // (at_once - 1))
