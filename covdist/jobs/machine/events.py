"""What the machine is told, and what it answers."""

from __future__ import annotations

from typing import NamedTuple

from covdist.jobs.machine.tree import Node

FOLD, MERGE, LOAD, FINISH = "fold", "merge", "load", "finish"
JOB = Node(-1, 0, 0)  # what FINISH is about


class Task(NamedTuple):
    """One attempt at something; no two attempts of a driver are equal."""

    kind: str
    node: Node
    attempt: int

    def __str__(self) -> str:
        return self.kind if self.node == JOB else f"{self.kind} {self.node.name}"


# ---- events


class Done(NamedTuple):
    """The task's state exists now, in memory and, where its shape keeps it, on disk."""

    task: Task


class Failed(NamedTuple):
    """The task raised."""

    task: Task
    reason: str


class Lost(NamedTuple):
    """Nothing is known of the task any more, or of the state it made: its worker died."""

    task: Task


class Missing(NamedTuple):
    """A load, or the finish, found no valid checkpoint of ``node``."""

    task: Task
    node: Node


class Slots(NamedTuple):
    """So many folds may run at once from now on."""

    folds: int


class Cancel(NamedTuple):
    """The user wants no more of it."""


class Deposed(NamedTuple):
    """Another driver owns the job now."""


Event = Done | Failed | Lost | Missing | Slots | Cancel | Deposed


def reason(event: Failed | Lost | Missing) -> str:
    """Say why a task did not get done."""
    if isinstance(event, Failed):
        return event.reason
    return "its worker was lost" if isinstance(event, Lost) else "its checkpoint was missing or damaged"


# ---- actions


class Start(NamedTuple):
    """Run the task on the states that the tasks in ``inputs`` made, in that order, and save what its shape keeps."""

    task: Task
    inputs: tuple[Task, ...]


class Stop(NamedTuple):
    """Nobody waits for the task any more."""

    task: Task


class Drop(NamedTuple):
    """The state that the task made is needed no more."""

    task: Task


Action = Start | Stop | Drop
