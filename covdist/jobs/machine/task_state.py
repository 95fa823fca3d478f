"""``TaskState``: the attempts at one piece of work, and how far the current one is."""

from __future__ import annotations

from covdist.jobs.machine.events import Task

IDLE, RUNNING, DONE = "idle", "running", "done"


class TaskState:
    """The attempts at one piece of work: a state of a tree, or the end of the job."""

    __slots__ = ("attempts", "failures", "inputs", "phase", "task")

    def __init__(self, attempts: int = 0) -> None:
        self.phase, self.attempts, self.failures = IDLE, attempts, 0
        self.task: Task | None = None
        self.inputs: tuple[Task, ...] = ()

    def start(self, task: Task, inputs: tuple[Task, ...]) -> None:
        self.phase, self.task, self.inputs = RUNNING, task, inputs
        self.attempts += 1

    @property
    def current(self) -> Task:
        assert self.task is not None
        return self.task
