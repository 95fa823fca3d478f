"""Finds what can be started: pure looks at a machine's steps, from the roots down and from the first shard on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from covdist.jobs.machine.events import FINISH, FOLD, JOB, LOAD, MERGE, Task
from covdist.jobs.machine.step import DONE, IDLE, TaskState
from covdist.jobs.machine.tree import MergeTree, Node

Ready = tuple[Task, tuple[Task, ...]]


class TaskStates(Protocol):
    """What a walk needs to know; it goes on only after the caller has started what it yielded."""

    slots: int
    makes: dict[Node, TaskState]
    saved: set[Node]
    finish: TaskState
    busy: dict[str, set[Node]]
    furthest: list[int]
    open: list[MergeTree]


def ready(steps: TaskStates) -> Iterator[Ready]:
    """Yield the tasks that can start now, each with the tasks whose states it takes."""
    for shape in steps.open:
        yield from _make(steps, shape, shape.root)
        if _full(steps) and steps.furthest[shape.tree] < 0:
            break  # trees after this one are as untouched as it is
    if not steps.open and steps.finish.phase == IDLE:
        yield _task(FINISH, JOB, steps.finish), ()


def _make(steps: TaskStates, shape: MergeTree, node: Node) -> Iterator[Ready]:
    """Yield what brings ``node`` nearer to being made."""
    make = steps.makes[node]
    if make.phase != IDLE:
        return
    if node.shards == 1:
        if not _full(steps):
            yield _task(FOLD, node, make), ()
        return
    children = shape.children(node)
    if all(steps.makes[child].phase == DONE for child in children):
        yield _task(MERGE, node, make), tuple(steps.makes[child].current for child in children)
        return
    for child in children:
        if _full(steps) and child.start > steps.furthest[shape.tree]:
            return
        if child not in steps.saved:
            yield from _make(steps, shape, child)
    yield from _loads(steps, children)


def _loads(steps: TaskStates, siblings: tuple[Node, ...]) -> Iterator[Ready]:
    """Yield loads once all siblings exist, so that no state waits in memory for one that has yet to be folded."""
    if len(steps.busy[LOAD]) < max(1, steps.slots) and all(_exists(steps, node) for node in siblings):
        for node in siblings:
            if steps.makes[node].phase == IDLE:
                yield _task(LOAD, node, steps.makes[node]), ()


def folded(steps: TaskStates, shape: MergeTree) -> int:
    """Count the shards of a tree that are part of some state that exists."""
    found, waiting = 0, [shape.root]
    while waiting:
        node = waiting.pop()
        if _exists(steps, node):
            found += node.shards
        else:
            waiting.extend(shape.children(node))
    return found


def _exists(steps: TaskStates, node: Node) -> bool:
    return steps.makes[node].phase == DONE or node in steps.saved


def _full(steps: TaskStates) -> bool:
    return len(steps.busy[FOLD]) >= steps.slots


def _task(kind: str, node: Node, step: TaskState) -> Task:
    return Task(kind, node, step.attempts + 1)
