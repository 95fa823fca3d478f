"""``Machine``: the state machine of a job. Events in, actions out: no dask, no files, no clock.

A job is done when the root of every tree is on disk and FINISH has run. The task that produces a checkpoint also
saves it: a separate save would wait on its worker behind the next fold. A missing state is rebuilt from the nearest
states that exist in memory or on disk. Events about outdated attempts are ignored, so events may be repeated, late or
out of order; an event that never arrives has to be replaced by ``Lost``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from covdist.jobs.machine import events
from covdist.jobs.machine.tree import MergeTree, Node

IDLE, RUNNING, DONE = "idle", "running", "done"


@dataclass(slots=True)
class TaskState:
    """The attempts at one piece of work, a state of a tree or the end of the job, and how far the current one is."""

    attempts: int = 0
    failures: int = 0
    phase: str = IDLE
    task: events.Task | None = None
    inputs: tuple[events.Task, ...] = ()

    @property
    def current(self) -> events.Task:
        assert self.task is not None
        return self.task


Ready = tuple[str, Node, tuple[events.Task, ...]]  # kind, node and inputs of the next attempt
_UNKNOWN = TaskState()  # of tasks of another round


class Machine:
    """One driver's view of a job.

    A piece of work may fail, or be lost while running, ``retries`` times before the job fails; ``slots`` folds run at
    once. ``attempts`` is the most of earlier machines of the same driver; this one counts on from there, so that no
    two tasks of a driver are equal. ``status`` is "running" until "done", "failed", "cancelled" or "deposed".
    """

    def __init__(
        self, trees: Sequence[MergeTree], *, saved: Collection[Node] = (), retries: int = 3, slots: int = 1,
        attempts: int = 0,
    ):  # fmt: skip
        self.trees, self.retries, self.slots = tuple(trees), retries, slots
        self.status, self.reason = "running", ""
        nodes = (node for tree in trees for node in tree.nodes())
        self.states = {node: TaskState(attempts) for node in (*nodes, events.JOB)}
        self.kept = frozenset(node for tree in trees for node in tree.kept)
        self.saved = set(self.kept & set(saved))
        self.busy: dict[str, set[Node]] = {events.FOLD: set(), events.LOAD: set()}  # running
        self.furthest = [-1] * len(self.trees)  # last shard started
        self.unfinished = [tree for tree in self.trees if tree.root not in saved]

    # ---- events

    def on(self, event: events.Event) -> list[events.Action]:
        """Apply an event and return the actions that follow; the first event should be ``Slots``."""
        if self.status != "running":
            return []
        if isinstance(event, events.Slots):
            self.slots = event.folds
        elif isinstance(event, events.Cancel):
            return self._end("cancelled")
        elif isinstance(event, events.Deposed):
            return self._end("deposed")
        else:
            return self._on_task(event)
        return list(self._start_ready())

    def _on_task(self, event: events.TaskEvent) -> list[events.Action]:
        state = self.states.get(event.task.node, _UNKNOWN)
        if state.task != event.task or state.phase == IDLE:
            return []
        if isinstance(event, events.Done):
            actions = self._done(event.task, state)
        elif state.phase == DONE:
            actions = self._gone(event.task, state) if isinstance(event, events.Lost) else []
        else:
            if isinstance(event, events.Missing):
                self._reopen(event.node)
            actions = self._failed(event.task, state, events.reason(event))
        return [*actions, *self._start_ready()] if self.status == "running" else actions

    def _done(self, task: events.Task, state: TaskState) -> list[events.Action]:
        if state.phase == DONE:
            return []
        self._settle(task.node, state, DONE)
        if task.kind == events.FINISH:
            self.status = "done"
            return []
        tree = self.trees[task.node.tree]
        if task.node in self.kept:
            self.saved.add(task.node)
        return self._close(tree) if task.node == tree.root else self._drop(tree.children(task.node))

    def _failed(self, task: events.Task, state: TaskState, why: str) -> list[events.Action]:
        self._settle(task.node, state, IDLE)
        state.failures += 1
        if state.failures <= self.retries:
            return []
        self.reason = f"{task} failed {state.failures} times, the last time because {why}"
        return self._end("failed")

    def _gone(self, task: events.Task, state: TaskState) -> list[events.Action]:
        """Forget a state, and stop the merge that runs on it without counting that as its failure."""
        self._settle(task.node, state, IDLE)
        parent = self.trees[task.node.tree].parent(task.node)
        merge = None if parent is None else self.states[parent]
        if merge is None or merge.phase != RUNNING or task not in merge.inputs:
            return []
        self._settle(merge.current.node, merge, IDLE)
        return [events.Stop(merge.current)]

    # ---- consequences

    def _start_ready(self) -> Iterator[events.Action]:
        for kind, node, inputs in self._ready():
            state = self.states[node]
            state.attempts += 1
            task = events.Task(kind, node, state.attempts)
            state.phase, state.task, state.inputs = RUNNING, task, inputs
            if kind in self.busy:
                self.busy[kind].add(node)
            if kind == events.FOLD:
                self.furthest[node.tree] = max(self.furthest[node.tree], node.start)
            yield events.Start(task, inputs)

    def _drop(self, nodes: Iterable[Node]) -> list[events.Action]:
        done = [self.states[node] for node in nodes if self.states[node].phase == DONE]
        for state in done:
            state.phase = IDLE
        return [events.Drop(state.current) for state in done]

    def _close(self, tree: MergeTree) -> list[events.Action]:
        """Free everything of a tree whose root is on disk."""
        self.unfinished.remove(tree)
        actions: list[events.Action] = []
        for node in tree.nodes():
            if self.states[node].phase == RUNNING:
                actions.append(events.Stop(self.states[node].current))
                self._settle(node, self.states[node], IDLE)
        return [*actions, *self._drop(tree.nodes())]

    def _reopen(self, node: Node) -> None:
        """Forget a checkpoint that is no longer on disk."""
        self.saved.discard(node)
        tree = self.trees[node.tree]
        if node == tree.root and tree not in self.unfinished:
            self.unfinished = sorted([*self.unfinished, tree], key=lambda tree: tree.number)

    def _end(self, status: str) -> list[events.Action]:
        self.status = status
        return [*(events.Stop(task) for task in self.running()), *(events.Drop(task) for task in self.holding())]

    # ---- what can start: each piece of work is started before the next is looked for

    def _ready(self) -> Iterator[Ready]:
        for tree in self.unfinished:
            yield from self._towards(tree, tree.root)
            if self._full() and self.furthest[tree.number] < 0:
                break  # the trees after this one are untouched too
        if not self.unfinished and self.states[events.JOB].phase == IDLE:
            yield events.FINISH, events.JOB, ()

    def _towards(self, tree: MergeTree, node: Node) -> Iterator[Ready]:
        """Yield the ready work that ``node`` depends on, or its own."""
        if self.states[node].phase != IDLE:
            return
        if node.shards == 1:
            if not self._full():
                yield events.FOLD, node, ()
            return
        children = tree.children(node)
        if all(self.states[child].phase == DONE for child in children):
            yield events.MERGE, node, tuple(self.states[child].current for child in children)
            return
        for child in children:
            if self._full() and child.start > self.furthest[tree.number]:
                return
            if child not in self.saved:
                yield from self._towards(tree, child)
        # Loads wait until all siblings exist, so that no state waits in memory for a sibling yet to be folded.
        if len(self.busy[events.LOAD]) < max(1, self.slots) and all(self._exists(child) for child in children):
            for child in children:
                if self.states[child].phase == IDLE:
                    yield events.LOAD, child, ()

    def _full(self) -> bool:
        return len(self.busy[events.FOLD]) >= self.slots

    def _exists(self, node: Node) -> bool:
        return self.states[node].phase == DONE or node in self.saved

    # ---- queries

    @property
    def round(self) -> int:
        """The round of the unfinished trees, at the end the last one."""
        return max((tree.round for tree in self.unfinished or self.trees), default=0)

    def expects(self, task: events.Task) -> bool:
        """Return whether the task runs, so that news of it would count."""
        state = self.states.get(task.node, _UNKNOWN)
        return self.status == "running" and state.phase == RUNNING and state.task == task

    def running(self) -> list[events.Task]:
        return [state.current for state in self.states.values() if state.phase == RUNNING]

    def holding(self) -> list[events.Task]:
        """Return the tasks whose states should be in memory."""
        return [state.current for state in self.states.values() if state.phase == DONE]

    def folded(self) -> int:
        """Count the shards that are part of an existing state."""
        return sum(map(self.folded_of, self.trees))

    def folded_of(self, tree: MergeTree) -> int:
        """Count those of a tree."""
        count, waiting = 0, [tree.root]
        while waiting:
            node = waiting.pop()
            if self._exists(node):
                count += node.shards
            else:
                waiting.extend(tree.children(node))
        return count

    def attempts(self) -> int:
        """Return the most attempts at one piece of work."""
        return max(state.attempts for state in self.states.values())

    def _settle(self, node: Node, state: TaskState, phase: str) -> None:
        state.phase = phase
        for nodes in self.busy.values():
            nodes.discard(node)
