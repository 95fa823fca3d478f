"""``Shape``: the fixed tree of a fold, which of its states are kept on disk, and how often that is worth it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from covdist.engine.plan import depth

_WRITE_RATE = 100e6  # bytes a second to a slow shared disk
_SHARE = 0.03  # of the run that checkpoints may take


class Node(NamedTuple):
    """A state in the tree: of shard ``number`` at height 0, else of the states below it."""

    tree: int
    height: int
    number: int

    @property
    def name(self) -> str:
        """Part of file names and keys."""
        return f"{self.tree}-{self.height}-{self.number}"


@dataclass(frozen=True)
class Shape:
    """The tree that ``engine.tree.tree`` builds, of ``shards`` folds merged ``fan_in`` at a time.

    Parameters
    ----------
    tree : int
        Number of the tree in its job.
    shards, fan_in : int
    keep : int
        States at this height are checkpoints; the root is always one.
    """

    tree: int
    shards: int
    fan_in: int
    keep: int

    @cached_property
    def root(self) -> Node:
        return self.node(depth(self.shards, self.fan_in), 0)

    def node(self, height: int, index: int) -> Node:
        """Return the state at a place of the full tree; a state that has no sibling is passed up as it is."""
        while height and index * self.fan_in + 1 >= self._width(height - 1):
            height, index = height - 1, index * self.fan_in
        return Node(self.tree, height, index)

    def _width(self, height: int) -> int:
        return -(-self.shards // self.fan_in**height)

    @cached_property
    def _children(self) -> dict[Node, tuple[Node, ...]]:
        found: dict[Node, tuple[Node, ...]] = {}
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            first = node.number * self.fan_in
            last = min(first + self.fan_in, self._width(node.height - 1)) if node.height else first
            found[node] = tuple(self.node(node.height - 1, index) for index in range(first, last))
            waiting.extend(found[node])
        return found

    @cached_property
    def _parents(self) -> dict[Node, Node]:
        return {child: node for node, children in self._children.items() for child in children}

    def children(self, node: Node) -> tuple[Node, ...]:
        """Return what is merged into ``node``, in order; nothing for a shard."""
        return self._children[node]

    def parent(self, node: Node) -> Node | None:
        """Return what ``node`` is merged into; nothing for the root."""
        return self._parents.get(node)

    def span(self, node: Node) -> range:
        """Return the shards below ``node``."""
        size = self.fan_in**node.height
        return range(node.number * size, min((node.number + 1) * size, self.shards))

    @cached_property
    def kept(self) -> frozenset[Node]:
        """The states that become checkpoints."""
        height = min(self.keep, depth(self.shards, self.fan_in))
        return frozenset({self.node(height, index) for index in range(self._width(height))} | {self.root})

    def nodes(self) -> Iterable[Node]:
        """Return every state of the tree."""
        return self._children.keys()


def keep_height(shards: int, fan_in: int, state_bytes: int, shard_seconds: float) -> int:
    """Return the lowest height whose states cost less than 3 % of the run to write."""
    seconds = state_bytes / _WRITE_RATE
    height = 0
    while height < depth(shards, fan_in) and seconds > _SHARE * shard_seconds * fan_in**height:
        height += 1
    return height
