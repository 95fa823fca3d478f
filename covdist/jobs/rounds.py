"""Trees that are folded in rounds, each given the root of the round before: which round is due."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from covdist.jobs.directory.directory import Directory
from covdist.jobs.machine.tree import MergeTree, Node

S = TypeVar("S")


class MissingState(Exception):
    """A checkpoint is missing or damaged."""

    def __init__(self, node: Node):
        super().__init__(node)
        self.node = node


def checkpoint(directory: Directory, job: str, node: Node) -> memoryview:
    data = directory.load(job, node)
    if data is None:
        raise MissingState(node)
    return data


def state_of(loads: Callable[[memoryview], S], read: Callable[[Node], memoryview], node: Node) -> S:
    """Return the state that a checkpoint holds; MissingState where it is none, and is to be made again."""
    try:
        return loads(read(node))
    except ValueError as error:
        raise MissingState(node) from error


def due(
    directory: Directory, job: str, tree: Callable[[int], MergeTree], ends: Callable[[int, memoryview], bool]
) -> tuple[MergeTree, bool]:
    """Return the round of a tree to fold next and False, or the last round, whose root is on disk, and True.

    Damaged roots are skipped, so that an earlier round may be due again. ``ends(number, root)`` tells whether a round
    with such a root is the last.
    """
    last, saved = tree(0), directory.saved()
    later = {node.round for node in saved if node.round and node == last.root._replace(round=node.round)}
    root = _whole(directory, job, last)
    if root is None:
        return last, False  # every result depends on it
    for number in sorted(later, reverse=True):
        whole = _whole(directory, job, tree(number))
        if whole is not None:
            last, root = tree(number), whole
            break
    try:
        ended = ends(last.round, root)
    except MissingState as damaged:
        directory.forget([damaged.node])
        return due(directory, job, tree, ends)
    return (last if ended else tree(last.round + 1)), ended


def _whole(directory: Directory, job: str, tree: MergeTree) -> memoryview | None:
    data = directory.load(job, tree.root)
    if data is None:
        directory.forget([tree.root])  # else its name would count as a checkpoint
    return data


def clear(directory: Directory, now: MergeTree) -> list[Node]:
    """Remove the states that a tree no longer needs in round ``now``, and return them.

    To go back to, the round before stays, and of earlier ones the first and the latest root.
    """
    roots = {now.root._replace(round=number) for number in (0, now.round - 2)}
    old = {node for node in directory.saved() if node.tree == now.number and node.round < now.round - 1} - roots
    directory.forget(old)
    return sorted(old)
