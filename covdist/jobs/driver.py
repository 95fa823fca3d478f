"""``Driver``: joins machine, directory and whatever runs the tasks. No dask, and the clock is an argument."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from covdist.jobs.directory.directory import Directory
from covdist.jobs.machine.events import (
    FINISH,
    FOLD,
    LOAD,
    MERGE,
    Action,
    Cancel,
    Deposed,
    Done,
    Drop,
    Event,
    Failed,
    Missing,
    Slots,
    Start,
    Task,
)
from covdist.jobs.machine.lease import Lease
from covdist.jobs.machine.machine import Machine
from covdist.jobs.machine.tree import MergeTree


class Runner(Protocol):
    """Runs tasks somewhere. Nothing it is asked for has to succeed, as long as ``events`` tells in the end."""

    def start(self, task: Task, inputs: tuple[Task, ...]) -> None:
        """Fold a shard, or merge the states that ``inputs`` made, and save what its shape keeps; load; or finish."""

    def stop(self, task: Task) -> None:
        """Give up on a task; what it still says is not listened to."""

    def drop(self, task: Task) -> None:
        """Forget the state that a task made."""

    def events(self, running: list[Task], holding: list[Task]) -> Iterable[Event]:
        """Wait a moment, and tell what has happened.

        ``Lost`` for each task given of which nothing is known any more, and for each input that a task did not find.
        """

    def slots(self) -> int:
        """Return how many folds can run at once."""


@dataclass(frozen=True)
class DriverSettings:
    """How a driver goes about it.

    Parameters
    ----------
    lease_seconds, progress_seconds : float
        Length of a lease; time between two writes of the progress.
    retries : int
        How often one thing may fail.
    """

    lease_seconds: float = 30.0
    progress_seconds: float = 2.0
    retries: int = 3


class Driver:
    """Brings a job to its end, or as far as it gets: what it leaves behind is always a job to resume.

    Parameters
    ----------
    directory : Directory
        Begun.
    lease : Lease
        From ``directory.owners.acquire``.
    shapes : iterable of Shape
    runner : Runner
    clock : callable
        Seconds since 1970.
    settings : Settings
    following : callable
        Returns the trees to be folded when those before are done; none ends the job.

    Attributes
    ----------
    machine : Machine
        Of the current round.
    """

    def __init__(
        self,
        directory: Directory,
        lease: Lease,
        shapes: Iterable[MergeTree],
        runner: Runner,
        clock: Callable[[], float],
        settings: DriverSettings | None = None,
        following: Callable[[], Sequence[MergeTree]] = tuple,
    ):
        self._directory, self._lease, self._runner, self._clock = directory, lease, runner, clock
        self._settings, self._following = settings or DriverSettings(), following
        self._lines: list[dict[str, Any]] = []
        self._told, self._folds = clock(), 0
        self._begin(shapes)
        self._note("resumed" if lease.term > 1 else "started", owner=lease.owner, held=self._resumed)

    def _begin(self, shapes: Iterable[MergeTree], attempts: int = 0) -> None:
        saved, retries = self._directory.saved(), self._settings.retries
        self.machine = Machine(list(shapes), saved=saved, retries=retries, slots=0, attempts=attempts)
        self._started, self._resumed = self._clock(), self.machine.folded()

    def run(self) -> str:
        """Step until the job has ended one way or another; return the machine's status."""
        while self.step():
            pass
        return self.machine.status

    def step(self) -> bool:
        """Hear what happened, act on it, write down what is due; say whether there is more to do."""
        machine, runner = self.machine, self._runner
        slots = runner.slots()
        if slots != machine.slots:
            self._feed(Slots(slots))
        for event in self._look_around():
            self._feed(event)
        if machine.status == "running":
            for event in runner.events(machine.running(), machine.holding()):
                self._feed(event)
        if machine.status == "done" and (shapes := self._following()):
            self._begin(shapes, machine.attempts())
            self._note("round", round=self.machine.round, held=self._resumed)
            return True
        ended = machine.status != "running"
        if ended or self._clock() - self._told >= self._settings.progress_seconds:
            self._tell()
        if ended and machine.status != "deposed":
            self._directory.owners.release(self._lease)
        return not ended

    def _look_around(self) -> Iterable[Event]:
        now, seconds = self._clock(), self._settings.lease_seconds
        if not self._lease.due(now, seconds):
            return
        lease = self._directory.owners.renew(self._lease, now, seconds)
        if lease is None:
            yield Deposed()
            return
        self._lease = lease
        if self._directory.owners.cancelled(lease):
            yield Cancel()

    def _feed(self, event: Event) -> None:
        if isinstance(event, Failed | Done | Missing) and self.machine.expects(event.task):
            self._note_task(event)
        for action in self.machine.on(event):
            self._act(action)

    def _act(self, action: Action) -> None:
        if isinstance(action, Start):
            self._folds += action.task.kind == FOLD
            self._runner.start(action.task, action.inputs)
        elif isinstance(action, Drop):
            self._runner.drop(action.task)
        else:
            self._runner.stop(action.task)

    # ---- for those who watch

    def _note(self, what: str, **more: Any) -> None:
        self._lines.append({"time": self._clock(), "event": what, "term": self._lease.term, **more})

    def _note_task(self, event: Failed | Done | Missing) -> None:
        if isinstance(event, Failed):
            self._note("failed", task=str(event.task), reason=event.reason)
        elif isinstance(event, Missing):
            self._note("damaged", task=str(event.task), checkpoint=event.node.name)
        elif event.task.kind == FINISH:
            self._note("finished", task=str(event.task))
        elif event.task.kind != LOAD and event.task.node in self.machine.kept:
            self._note("saved", task=str(event.task))

    def _tell(self) -> None:
        if self.machine.status != "running":
            self._note(self.machine.status, reason=self.machine.reason)
        lines, self._lines = self._lines, []
        self._told = self._clock()
        if self.machine.status == "deposed":
            return  # the new owner tells from now on
        self._directory.note(lines)
        self._directory.set_progress(self.progress())

    def progress(self) -> Mapping[str, Any]:
        """Return how far the round is: shards folded and in all, and the rate since this driver began with it."""
        machine, now = self.machine, self._clock()
        total, folded = sum(shape.shards for shape in machine.shapes), machine.folded()
        rate = (folded - self._resumed) / (now - self._started) if now > self._started else 0.0
        running = [task for task in machine.running() if task.kind in (FOLD, MERGE)]
        return {
            "time": now, "term": self._lease.term, "owner": self._lease.owner, "status": machine.status,
            "reason": machine.reason, "round": machine.round, "shards": total, "folded": folded,
            "folds_started": self._folds, "held_at_start": self._resumed, "running": len(running), "per_second": rate,
            "seconds_left": (total - folded) / rate if rate else None,
        }  # fmt: skip
