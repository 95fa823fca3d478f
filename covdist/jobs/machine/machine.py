"""``Machine``: the state machine of a job. Events in, actions out: no dask, no files, no clock.

A job is done when the root of every tree is on disk and FINISH has been run. A state that its shape keeps is saved by
the task that makes it: a save of its own would wait on its worker behind the next fold. Whatever is missing on the way
is made again from the nearest states that still exist, in memory or on disk. An event about an attempt that is not
the current one changes nothing, so events may be repeated, come late or in any order; one that never comes has to
be replaced by ``Lost``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from covdist.jobs.machine.events import (
    FINISH,
    FOLD,
    LOAD,
    Action,
    Cancel,
    Deposed,
    Done,
    Drop,
    Event,
    Failed,
    Lost,
    Missing,
    Slots,
    Start,
    Stop,
    Task,
    reason,
)
from covdist.jobs.machine.ready import folded, ready
from covdist.jobs.machine.step import DONE, IDLE, RUNNING, TaskState
from covdist.jobs.machine.tree import MergeTree, Node

_NOTHING = TaskState()  # what a task of another round is about


class Machine:
    """One driver's view of a job.

    Parameters
    ----------
    shapes : sequence of Shape
        The trees, numbered from 0.
    saved : collection of Node
        Checkpoints on disk.
    retries : int
        How often one thing may fail, or be lost while it runs, before the job fails.
    slots : int
        Folds that run at once.
    attempts : int
        As many as another machine of the same driver has made at most, so that none of this one's is equal to those.

    Attributes
    ----------
    status : str
        "running", "done", "failed", "cancelled" or "deposed"; only the first ever changes.
    reason : str
        Why it failed.
    """

    def __init__(
        self,
        shapes: Sequence[MergeTree],
        *,
        saved: Collection[Node] = (),
        retries: int = 3,
        slots: int = 1,
        attempts: int = 0,
    ):
        self.shapes, self.retries, self.slots = tuple(shapes), retries, slots
        self.status, self.reason = "running", ""
        self.makes = {node: TaskState(attempts) for shape in shapes for node in shape.nodes()}
        self.kept = frozenset(node for shape in shapes for node in shape.kept)
        self.saved = set(self.kept & set(saved))
        self.finish = TaskState(attempts)
        self.busy: dict[str, set[Node]] = {FOLD: set(), LOAD: set()}  # running
        self.furthest = [-1] * len(self.shapes)  # last shard started
        self.open = [shape for shape in self.shapes if shape.root not in saved]

    # ---- events

    def on(self, event: Event) -> list[Action]:
        """Take an event in, return what is to be done about it; before the first event ask with ``Slots``."""
        if self.status != "running":
            return []
        if isinstance(event, Slots):
            self.slots = event.folds
        elif isinstance(event, Cancel):
            return self._end("cancelled")
        elif isinstance(event, Deposed):
            return self._end("deposed")
        else:
            return self._on_task(event)
        return list(self._start_ready())

    def _on_task(self, event: Done | Failed | Lost | Missing) -> list[Action]:
        step = self._step(event.task)
        if step.task != event.task or step.phase == IDLE:
            return []
        if isinstance(event, Done):
            actions = self._done(event.task, step)
        elif step.phase == DONE:
            actions = self._gone(event.task, step) if isinstance(event, Lost) else []
        else:
            if isinstance(event, Missing):
                self._reopen(event.node)
            actions = self._failed(event.task, step, reason(event))
        return [*actions, *self._start_ready()] if self.status == "running" else actions

    def _done(self, task: Task, step: TaskState) -> list[Action]:
        if step.phase == DONE:
            return []
        self._settle(task.node, step, DONE)
        if task.kind == FINISH:
            self.status = "done"
            return []
        shape = self.shapes[task.node.tree]
        if task.node in self.kept:
            self.saved.add(task.node)
        return self._close(shape) if task.node == shape.root else self._drop(shape.children(task.node))

    def _failed(self, task: Task, step: TaskState, why: str) -> list[Action]:
        self._settle(task.node, step, IDLE)
        step.failures += 1
        if step.failures <= self.retries:
            return []
        self.reason = f"{task} failed {step.failures} times, the last time because {why}"
        return self._end("failed")

    def _gone(self, task: Task, step: TaskState) -> list[Action]:
        """Forget a state, and without blame the merge that runs on it."""
        self._settle(task.node, step, IDLE)
        parent = self.shapes[task.node.tree].parent(task.node)
        merge = None if parent is None else self.makes[parent]
        if merge is None or merge.phase != RUNNING or task not in merge.inputs:
            return []
        self._settle(merge.current.node, merge, IDLE)
        return [Stop(merge.current)]

    # ---- what follows

    def _start_ready(self) -> Iterator[Action]:
        for task, inputs in ready(self):
            step = self._step(task)
            step.start(task, inputs)
            if task.kind in self.busy:
                self.busy[task.kind].add(task.node)
            if task.kind == FOLD:
                self.furthest[task.node.tree] = max(self.furthest[task.node.tree], task.node.start)
            yield Start(task, inputs)

    def _drop(self, nodes: Iterable[Node]) -> list[Action]:
        held = [self.makes[node] for node in nodes if self.makes[node].phase == DONE]
        for step in held:
            step.phase = IDLE
        return [Drop(step.current) for step in held]

    def _close(self, shape: MergeTree) -> list[Action]:
        """Let go of a tree whose root is on disk."""
        self.open.remove(shape)
        actions: list[Action] = []
        for node in shape.nodes():
            if self.makes[node].phase == RUNNING:
                actions.append(Stop(self.makes[node].current))
                self._settle(node, self.makes[node], IDLE)
        return [*actions, *self._drop(shape.nodes())]

    def _reopen(self, node: Node) -> None:
        """Take a state for lost that was on disk."""
        self.saved.discard(node)
        shape = self.shapes[node.tree]
        if node == shape.root and shape not in self.open:
            self.open = sorted([*self.open, shape], key=lambda one: one.tree)

    def _end(self, status: str) -> list[Action]:
        self.status = status
        return [*(Stop(task) for task in self.running()), *(Drop(task) for task in self.holding())]

    # ---- looks

    @property
    def round(self) -> int:
        """That of the trees that are not done; in the end the last."""
        return max((shape.round for shape in self.open or self.shapes), default=0)

    def expects(self, task: Task) -> bool:
        """Say whether an event about the task would change anything but for the loss of its state."""
        step = self._step(task)
        return self.status == "running" and step.phase == RUNNING and step.task == task

    def running(self) -> list[Task]:
        """Return the tasks started and not heard of since; the driver asks after them now and then."""
        steps = (*self.makes.values(), self.finish)
        return [step.current for step in steps if step.phase == RUNNING]

    def holding(self) -> list[Task]:
        """Return the tasks whose states are taken to be in memory."""
        return [step.current for step in self.makes.values() if step.phase == DONE]

    def folded(self) -> int:
        """Count the shards that are part of some state that exists."""
        return sum(folded(self, shape) for shape in self.shapes)

    def attempts(self) -> int:
        """Return the most that were made at one thing."""
        return max(step.attempts for step in (*self.makes.values(), self.finish))

    def _step(self, task: Task) -> TaskState:
        return self.finish if task.kind == FINISH else self.makes.get(task.node, _NOTHING)

    def _settle(self, node: Node, step: TaskState, phase: str) -> None:
        step.phase = phase
        for nodes in self.busy.values():
            nodes.discard(node)
