"""The order in which states are merged: a tree of runs of shards, the same for every cluster. No dask."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class Span(NamedTuple):
    """The state of shards ``start`` to ``stop``, exclusive."""

    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.start}-{self.stop}"


@lru_cache(maxsize=64)
def merge_order(shards: int, fan_in: int) -> dict[Span, tuple[Span, ...]]:
    """Return, for every state, the neighbours it is merged from; none for a shard's own. Those come before it.

    >>> order = merge_order(3, fan_in=2)
    >>> [(str(span), [str(part) for part in parts]) for span, parts in order.items() if parts]
    [('0-2', ['0-1', '1-2']), ('0-3', ['0-2', '2-3'])]
    """
    level = [Span(shard, shard + 1) for shard in range(shards)]
    order: dict[Span, tuple[Span, ...]] = dict.fromkeys(level, ())
    while len(level) > 1:
        groups = [tuple(level[i : i + fan_in]) for i in range(0, len(level), fan_in)]
        level = [Span(group[0].start, group[-1].stop) for group in groups]
        order.update({span: group for span, group in zip(level, groups, strict=True) if len(group) > 1})
    return order


def depth(shards: int, fan_in: int) -> int:
    """Return the levels of merging above so many shards."""
    levels = 0
    while shards > 1:
        shards, levels = -(-shards // fan_in), levels + 1
    return levels
