"""Trees that are folded in rounds, each given the root of the round before: which round is due."""

from __future__ import annotations

from collections.abc import Callable

from covdist.jobs.directory.directory import Directory
from covdist.jobs.machine.tree import MergeTree, Node


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


def due(
    directory: Directory, job: str, tree: Callable[[int], MergeTree], ends: Callable[[int, memoryview], bool]
) -> tuple[MergeTree, bool]:
    """Return the round of a tree to fold next and False, or the last round, whose root is on disk, and True.

    Damaged roots are skipped, so that an earlier round may be due again. ``ends(number, root)`` tells whether a round
    with such a root is the last.
    """
    first, *later = (tree(number) for number in _begun(directory, tree(0)))
    root = _whole(directory, job, first)
    if root is None:
        return first, False  # every result depends on it
    last = first
    for candidate in later:
        if (whole := _whole(directory, job, candidate)) is not None:
            last, root = candidate, whole
            break
    ended = ends(last.round, root)
    return (last if ended else tree(last.round + 1)), ended


def _begun(directory: Directory, first: MergeTree) -> list[int]:
    """Return round 0, then the other rounds that have a root by name, latest first."""
    nodes = directory.saved()
    return [0, *sorted({n.round for n in nodes if n.round and n == first.root._replace(round=n.round)}, reverse=True)]


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
