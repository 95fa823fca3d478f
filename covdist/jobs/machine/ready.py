"""Finds the tasks that can start: pure functions of a machine's task states, in order of trees and shards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from covdist.jobs.machine.events import FINISH, FOLD, JOB, LOAD, MERGE, Task
from covdist.jobs.machine.task_state import DONE, IDLE, TaskState
from covdist.jobs.machine.tree import MergeTree, Node

Ready = tuple[Task, tuple[Task, ...]]


class TaskStates(Protocol):
    """The part of a machine that decides which tasks are ready."""

    slots: int
    states: dict[Node, TaskState]
    saved: set[Node]
    finish: TaskState
    busy: dict[str, set[Node]]
    furthest: list[int]
    unfinished: list[MergeTree]


def ready_tasks(job: TaskStates) -> Iterator[Ready]:
    """Yield the tasks that can start now and the tasks whose states they take.

    The caller starts each task before it asks for the next.
    """
    for tree in job.unfinished:
        yield from _towards(job, tree, tree.root)
        if _full(job) and job.furthest[tree.number] < 0:
            break  # the trees after this one are untouched too
    if not job.unfinished and job.finish.phase == IDLE:
        yield _task(FINISH, JOB, job.finish), ()


def _towards(job: TaskStates, tree: MergeTree, node: Node) -> Iterator[Ready]:
    """Yield the ready tasks that ``node`` depends on, or its own."""
    state = job.states[node]
    if state.phase != IDLE:
        return
    if node.shards == 1:
        if not _full(job):
            yield _task(FOLD, node, state), ()
        return
    children = tree.children(node)
    if all(job.states[child].phase == DONE for child in children):
        yield _task(MERGE, node, state), tuple(job.states[child].current for child in children)
        return
    for child in children:
        if _full(job) and child.start > job.furthest[tree.number]:
            return
        if child not in job.saved:
            yield from _towards(job, tree, child)
    yield from _loads(job, children)


def _loads(job: TaskStates, siblings: tuple[Node, ...]) -> Iterator[Ready]:
    """Yield loads once all siblings exist, so that no state waits in memory for a sibling yet to be folded."""
    if len(job.busy[LOAD]) < max(1, job.slots) and all(_exists(job, node) for node in siblings):
        for node in siblings:
            if job.states[node].phase == IDLE:
                yield _task(LOAD, node, job.states[node]), ()


def folded_shards(job: TaskStates, tree: MergeTree) -> int:
    """Count the shards of a tree that are part of an existing state."""
    count, waiting = 0, [tree.root]
    while waiting:
        node = waiting.pop()
        if _exists(job, node):
            count += node.shards
        else:
            waiting.extend(tree.children(node))
    return count


def _exists(job: TaskStates, node: Node) -> bool:
    return job.states[node].phase == DONE or node in job.saved


def _full(job: TaskStates) -> bool:
    return len(job.busy[FOLD]) >= job.slots


def _task(kind: str, node: Node, state: TaskState) -> Task:
    return Task(kind, node, state.attempts + 1)
