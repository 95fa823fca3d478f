"""Trees that are folded again and again, each round from the root of the one before: which round is due."""

from __future__ import annotations

from collections.abc import Callable

from covdist.jobs.directory.directory import Directory
from covdist.jobs.machine.tree import MergeTree, Node


class MissingState(Exception):
    """A checkpoint is not there, or damaged."""

    def __init__(self, node: Node):
        super().__init__(node)
        self.node = node


def there(directory: Directory, job: str, node: Node) -> memoryview:
    """Return a checkpoint; raise MissingState where it is missing, torn or damaged."""
    data = directory.load(job, node)
    if data is None:
        raise MissingState(node)
    return data


def due(
    directory: Directory, job: str, shape: Callable[[int], MergeTree], ends: Callable[[int, memoryview], bool]
) -> tuple[MergeTree, bool]:
    """Return a tree's round that is to be folded, and False; or the last one, whose root is there, and True.

    A round before is done again where the roots after it are damaged.

    Parameters
    ----------
    shape : callable
        ``shape(number)`` returns the tree of a round.
    ends : callable
        ``ends(number, root)`` says whether none comes after a round with such a root.
    """
    first, *later = (shape(number) for number in _begun(directory, shape(0)))
    root = _whole(directory, job, first)
    if root is None:
        return first, False  # what it makes is part of every result
    last = first
    for one in later:
        found = _whole(directory, job, one)
        if found is not None:
            last, root = one, found
            break
    ended = ends(last.round, root)
    return (last if ended else shape(last.round + 1)), ended


def _begun(directory: Directory, first: MergeTree) -> list[int]:
    """Return the first round, then those whose roots seem to be there, the last one first."""
    nodes = directory.saved()
    return [0, *sorted({n.round for n in nodes if n.round and n == first.root._replace(round=n.round)}, reverse=True)]


def _whole(directory: Directory, job: str, shape: MergeTree) -> memoryview | None:
    data = directory.load(job, shape.root)
    if data is None:
        directory.forget([shape.root])  # else its name would count for it
    return data


def clear(directory: Directory, now: MergeTree) -> list[Node]:
    """Remove what a tree needs no more in round ``now``, and return which states these were.

    The round before stays, and of those before it the first and the last root, to go back to.
    """
    roots = {now.root._replace(round=number) for number in (0, now.round - 2)}
    old = {node for node in directory.saved() if node.tree == now.tree and node.round < now.round - 1} - roots
    directory.forget(old)
    return sorted(old)
