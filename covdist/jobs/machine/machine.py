"""``Machine``: the state machine of a job. Events in, actions out: no dask, no files, no clock.

A job is done when the root of every tree is on disk and FINISH has run. The task that produces a checkpoint also
saves it: a separate save would wait on its worker behind the next fold. A missing state is rebuilt from the nearest
states that exist in memory or on disk. Events about outdated attempts are ignored, so events may be repeated, late or
out of order; an event that never arrives has to be replaced by ``Lost``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from covdist.jobs.machine import events
from covdist.jobs.machine.ready import folded_shards, ready_tasks
from covdist.jobs.machine.task_state import DONE, IDLE, RUNNING, TaskState
from covdist.jobs.machine.tree import MergeTree, Node

_UNKNOWN = TaskState()  # of tasks of another round


class Machine:
    """One driver's view of a job.

    Parameters
    ----------
    trees : sequence of MergeTree
        Numbered from 0.
    saved : collection of Node
        Checkpoints on disk.
    retries : int
        Failures, or losses while running, that one piece of work may have before the job fails.
    slots : int
        Folds that may run at once.
    attempts : int
        Most attempts of earlier machines of the same driver; this one counts on from there, so that no two tasks of a
        driver are equal.

    Attributes
    ----------
    status : str
        "running", "done", "failed", "cancelled" or "deposed"; all but the first are final.
    reason : str
        Of a failure.
    """

    def __init__(
        self, trees: Sequence[MergeTree], *, saved: Collection[Node] = (), retries: int = 3, slots: int = 1,
        attempts: int = 0,
    ):  # fmt: skip
        self.trees, self.retries, self.slots = tuple(trees), retries, slots
        self.status, self.reason = "running", ""
        self.states = {node: TaskState(attempts) for tree in trees for node in tree.nodes()}
        self.kept = frozenset(node for tree in trees for node in tree.kept)
        self.saved = set(self.kept & set(saved))
        self.finish = TaskState(attempts)
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
        state = self._state(event.task)
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
        for task, inputs in ready_tasks(self):
            self._state(task).start(task, inputs)
            if task.kind in self.busy:
                self.busy[task.kind].add(task.node)
            if task.kind == events.FOLD:
                self.furthest[task.node.tree] = max(self.furthest[task.node.tree], task.node.start)
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

    # ---- queries

    @property
    def round(self) -> int:
        """The round of the unfinished trees, at the end the last one."""
        return max((tree.round for tree in self.unfinished or self.trees), default=0)

    def expects(self, task: events.Task) -> bool:
        """Return whether the task runs, so that news of it would count."""
        state = self._state(task)
        return self.status == "running" and state.phase == RUNNING and state.task == task

    def running(self) -> list[events.Task]:
        """Return the tasks that have been started and not yet ended."""
        states = (*self.states.values(), self.finish)
        return [state.current for state in states if state.phase == RUNNING]

    def holding(self) -> list[events.Task]:
        """Return the tasks whose states should be in memory."""
        return [state.current for state in self.states.values() if state.phase == DONE]

    def folded(self) -> int:
        """Count the shards that are part of an existing state."""
        return sum(folded_shards(self, tree) for tree in self.trees)

    def attempts(self) -> int:
        """Return the most attempts at one piece of work."""
        return max(state.attempts for state in (*self.states.values(), self.finish))

    def _state(self, task: events.Task) -> TaskState:
        return self.finish if task.kind == events.FINISH else self.states.get(task.node, _UNKNOWN)

    def _settle(self, node: Node, state: TaskState, phase: str) -> None:
        state.phase = phase
        for nodes in self.busy.values():
            nodes.discard(node)
