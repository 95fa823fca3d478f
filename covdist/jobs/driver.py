"""``Driver``: connects machine, directory and the runner of tasks. No dask, and the clock is an argument."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from covdist.jobs.directory.directory import Directory, Progress, ShardCounts
from covdist.jobs.machine import events
from covdist.jobs.machine.machine import Machine
from covdist.jobs.machine.tree import MergeTree
from covdist.storage.lease import Lease

_WATCH_SECONDS = 0.3
_log = logging.getLogger(__name__)
Watch = Callable[[ShardCounts], None]


class Runner(Protocol):
    """Runs tasks somewhere. A request may fail, as long as ``events`` reports it in the end."""

    def start(self, task: events.Task, inputs: tuple[events.Task, ...]) -> None:
        """Fold a shard, merge the states of ``inputs``, load, or finish; save the states that the tree keeps."""

    def stop(self, task: events.Task) -> None:
        """Abandon a task; its later events are ignored."""

    def drop(self, task: events.Task) -> None:
        """Free a task's state."""

    def events(self, running: list[events.Task], holding: list[events.Task]) -> Iterable[events.Event]:
        """Return the events since the last call, after a short pause; ``Lost`` also for inputs that are gone."""

    def slots(self) -> int:
        """Return how many folds can run at once."""


@dataclass(frozen=True)
class DriverSettings:
    lease_seconds: float = 30.0
    progress_seconds: float = 2.0  # between two writes
    retries: int = 3  # of one piece of work


class Driver:
    """Runs a job to its end or until it cannot go on; the job can be resumed at any time.

    Needs a manifest, a lease from ``directory.owners.acquire`` and a clock that tells seconds since 1970.
    ``following`` returns the trees of the next round, none at the job's end; ``machine`` is that of this round.
    """

    def __init__(
        self, directory: Directory, lease: Lease, trees: Iterable[MergeTree], runner: Runner,
        clock: Callable[[], float], settings: DriverSettings | None = None,
        following: Callable[[], Sequence[MergeTree]] = tuple,
    ):  # fmt: skip
        self._directory, self._lease, self._runner, self._clock = directory, lease, runner, clock
        self._settings, self._following = settings or DriverSettings(), following
        self._history: list[dict[str, object]] = []  # not yet written
        self._reported, self._folds = clock(), 0
        self._begin(trees)
        self._note("resumed" if lease.term > 1 else "started", owner=lease.owner, held=self._resumed)

    def _begin(self, trees: Iterable[MergeTree], attempts: int = 0) -> None:
        saved, retries = self._directory.saved(), self._settings.retries
        self.machine = Machine(list(trees), saved=saved, retries=retries, slots=0, attempts=attempts)
        self._started, self._resumed = self._clock(), self.machine.folded()

    def run(self, watch: Watch = lambda progress: None) -> str:
        """Step until the job has ended, and return its status; ``watch`` gets the progress several times a second."""
        watched = 0.0
        while self.step():
            if time.monotonic() - watched > _WATCH_SECONDS:
                watched = time.monotonic()
                watch(self.progress())
        return self.machine.status

    def step(self) -> bool:
        """Collect events, act on them, and write progress that is due; return whether the job goes on."""
        machine, runner = self.machine, self._runner
        slots = runner.slots()
        if slots != machine.slots:
            self._feed(events.Slots(slots))
        for event in self._renew_lease():
            self._feed(event)
        if machine.status == "running":
            for event in runner.events(machine.running(), machine.holding()):
                self._feed(event)
        if machine.status == "done" and (trees := self._following()):
            self._begin(trees, machine.attempts())
            self._note("round", round=self.machine.round, held=self._resumed)
            return True
        ended = machine.status != "running"
        if ended or self._clock() - self._reported >= self._settings.progress_seconds:
            self._report()
        if ended and machine.status != "deposed":
            self._directory.owners.release(self._lease)
        return not ended

    def _renew_lease(self) -> Iterable[events.Event]:
        now, seconds = self._clock(), self._settings.lease_seconds
        if not self._lease.due(now, seconds):
            return
        lease = self._directory.owners.renew(self._lease, now, seconds)
        if lease is None:
            yield events.Deposed()
            return
        self._lease = lease
        if self._directory.cancelled(lease):
            yield events.Cancel()

    def _feed(self, event: events.Event) -> None:
        if isinstance(event, events.Failed | events.Done | events.Missing) and self.machine.expects(event.task):
            self._note_task(event)
        for action in self.machine.on(event):
            _log.debug("%s: %s %s", self._directory.path, type(action).__name__.lower(), action.task)
            if isinstance(action, events.Start):
                self._folds += action.task.kind == events.FOLD
                self._runner.start(action.task, action.inputs)
            elif isinstance(action, events.Drop):
                self._runner.drop(action.task)
            else:
                self._runner.stop(action.task)

    # ---- for observers

    def _note(self, event: str, **details: object) -> None:
        self._history.append({"time": self._clock(), "event": event, "term": self._lease.term, **details})

    def _note_task(self, event: events.Failed | events.Done | events.Missing) -> None:
        if isinstance(event, events.Failed):
            self._note("failed", task=str(event.task), reason=event.reason)
        elif isinstance(event, events.Missing):
            self._note("damaged", task=str(event.task), checkpoint=event.node.name)
        elif event.task.kind == events.FINISH:
            self._note("finished", task=str(event.task))
        elif event.task.kind != events.LOAD and event.task.node in self.machine.kept:
            self._note("saved", task=str(event.task))

    def _report(self) -> None:
        if self.machine.status != "running":
            self._note(self.machine.status, reason=self.machine.reason)
        history, self._history = self._history, []
        self._reported = self._clock()
        if self.machine.status == "deposed":
            return  # from now on the new owner reports
        self._directory.note(history)
        self._directory.set_progress(self.progress())

    def progress(self) -> Progress:
        """Return how many shards of the round are folded, and the rate since this driver began the round."""
        machine, now = self.machine, self._clock()
        total, folded = sum(tree.shards for tree in machine.trees), machine.folded()
        rate = (folded - self._resumed) / (now - self._started) if now > self._started else 0.0
        running = [task for task in machine.running() if task.kind in (events.FOLD, events.MERGE)]
        return {
            "time": now, "term": self._lease.term, "owner": self._lease.owner, "status": machine.status,
            "reason": machine.reason, "round": machine.round, "shards": total, "folded": folded,
            "folds_started": self._folds, "held_at_start": self._resumed, "running": len(running), "per_second": rate,
            "seconds_left": (total - folded) / rate if rate else None,
        }  # fmt: skip
