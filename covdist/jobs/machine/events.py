"""The events that the machine receives, and the actions that it asks for."""

from __future__ import annotations

from typing import NamedTuple

from covdist.jobs.machine.tree import Node

FOLD, MERGE, LOAD, FINISH = "fold", "merge", "load", "finish"
JOB = Node(-1, 0, 0)  # the node of FINISH


class Task(NamedTuple):
    """One attempt at a piece of work; all attempts of a driver differ."""

    kind: str
    node: Node
    attempt: int

    def __str__(self) -> str:
        return self.kind if self.node == JOB else f"{self.kind} {self.node.name}"


# ---- events


class Done(NamedTuple):
    """The task's state is in memory and, where its tree keeps it, on disk."""

    task: Task


class Failed(NamedTuple):
    """The task raised an error."""

    task: Task
    reason: str


class Lost(NamedTuple):
    """The task, or the state it had produced, died with its worker."""

    task: Task


class Missing(NamedTuple):
    """The task needed the checkpoint of ``node``, which is missing or damaged."""

    task: Task
    node: Node


class Slots(NamedTuple):
    """The number of folds that may run at once has changed."""

    folds: int


class Cancel(NamedTuple):
    """The user wants the job to stop."""


class Deposed(NamedTuple):
    """Another driver owns the job now."""


TaskEvent = Done | Failed | Lost | Missing
Event = TaskEvent | Slots | Cancel | Deposed


def reason(event: Failed | Lost | Missing) -> str:
    """Return why a task did not succeed, as the end of a sentence."""
    if isinstance(event, Failed):
        return event.reason
    return "its worker was lost" if isinstance(event, Lost) else "its checkpoint was missing or damaged"


# ---- actions


class Start(NamedTuple):
    """Run the task on the states of ``inputs``, in that order, and save its state where its tree keeps it."""

    task: Task
    inputs: tuple[Task, ...]


class Stop(NamedTuple):
    """Abandon the running task."""

    task: Task


class Drop(NamedTuple):
    """Free the task's state."""

    task: Task


Action = Start | Stop | Drop
