"""``MergeTree``: how the shards of a fold are merged, and which of the states become checkpoints."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

from covdist.engine.order import merge_order

_NAME = re.compile(r"\d+-\d+-\d+(-\d+)?", re.ASCII)
_WRITE_RATE = 100e6  # bytes a second to a slow shared disk
_SHARE = 0.03  # of the run that checkpoints may take


class Node(NamedTuple):
    """The state of shards ``start`` to ``stop``, exclusive, in one round of a tree."""

    tree: int
    start: int
    stop: int
    round: int = 0

    @property
    def name(self) -> str:  # part of file names and task keys
        return "-".join(map(str, self[: 4 if self.round else 3]))

    @classmethod
    def named(cls, name: str) -> Self | None:
        """Return the node of that name, None where it is not a node's."""
        if not _NAME.fullmatch(name):
            return None
        node = cls(*map(int, name.split("-")))
        return node if node.name == name else None

    @property
    def shards(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class MergeTree:
    """One round of the tree that ``engine.tree.tree`` builds."""

    number: int  # of the tree in its job, from 0
    shards: int
    fan_in: int
    keep: int  # shards from one checkpoint to the next; the root is always a checkpoint
    round: int = 0  # later rounds fold the same shards again, given the root of the round before

    @cached_property
    def root(self) -> Node:
        return self._node(0, self.shards)

    def _node(self, start: int, stop: int) -> Node:
        return Node(self.number, start, stop, self.round)

    @cached_property
    def _children(self) -> dict[Node, tuple[Node, ...]]:
        order = merge_order(self.shards, self.fan_in)
        return {self._node(*span): tuple(self._node(*part) for part in order[span]) for span in order}

    @cached_property
    def _parents(self) -> dict[Node, Node]:
        return {child: node for node, children in self._children.items() for child in children}

    def children(self, node: Node) -> tuple[Node, ...]:
        """Return the states that are merged into ``node``, in order; none for a shard."""
        return self._children[node]

    def parent(self, node: Node) -> Node | None:
        """Return the state that ``node`` is merged into, None for the root."""
        return self._parents.get(node)

    @cached_property
    def kept(self) -> frozenset[Node]:
        """The checkpoints: states with at least ``keep`` shards that are in no checkpoint below them, and the root."""
        kept, loose = {self.root}, dict[Node, int]()
        for node, children in self._children.items():
            loose[node] = sum(loose[child] for child in children) if children else 1
            if loose[node] >= self.keep:
                kept.add(node)
                loose[node] = 0
        return frozenset(kept)

    def nodes(self) -> Iterable[Node]:
        """Return all states of the tree, children before their parents."""
        return self._children.keys()


def largest(saved: Iterable[Node]) -> list[Node]:
    """Return those states of one round of a tree that are part of no other of them, in the order of their shards."""
    found = list[Node]()
    for node in sorted(saved, key=lambda each: (each.start, -each.stop)):
        if not found or node.start >= found[-1].stop:
            found.append(node)
    return found


def keep_every(shards: int, state_bytes: int, shard_seconds: float) -> int:
    """Return the least number of shards whose state takes less than 3 % of their time to write."""
    return min(shards, 1 + int(state_bytes / _WRITE_RATE / (_SHARE * shard_seconds)))
