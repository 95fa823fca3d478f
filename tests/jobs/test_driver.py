"""What a driver does with its lease, with cancelling, and with what others may watch."""

from __future__ import annotations

from itertools import count

import pytest

from covdist.jobs.directory.directory import Directory
from covdist.jobs.driver import Driver, DriverSettings
from covdist.jobs.machine.events import FINISH, Done, Event, Failed, Task
from covdist.jobs.machine.tree import MergeTree

TREES = [MergeTree(0, 6, 2, 2)]


class Slow:
    """Runs one task a turn, and writes a word for a state."""

    def __init__(self, directory: Directory, slots: int = 1):
        self.directory, self.count = directory, slots
        self.seen: list[str] = []
        self.stopped: list[Task] = []

    def slots(self) -> int:
        return self.count

    def start(self, task: Task, inputs: tuple[Task, ...]) -> None:
        self.seen.append(str(task))
        if task.kind != FINISH and task.node in TREES[0].kept:
            self.directory.save("job", task.node, b"state")

    def stop(self, task: Task) -> None:
        self.stopped.append(task)

    def drop(self, task: Task) -> None:
        pass

    def events(self, running: list[Task], holding: list[Task]) -> list[Event]:
        return [Done(task) for task in running[:1]]


@pytest.fixture
def directory(tmp_path):
    return Directory(tmp_path)


def driver(directory: Directory, start: float = 0.0, seconds: float = 9.0, slots: int = 1) -> tuple[Driver, Slow]:
    """A driver under a clock that goes on by one whenever somebody looks."""
    runner, clock = Slow(directory, slots), count(start)
    lease = directory.owners.acquire(next(clock), seconds)
    settings = DriverSettings(lease_seconds=seconds, progress_seconds=1.0)
    return Driver(directory, lease, TREES, runner, lambda: next(clock), settings), runner


def test_a_job_is_done(directory):
    found, runner = driver(directory)
    assert found.run() == "done"
    assert runner.seen.count("finish") == 1
    progress = directory.progress()
    assert (progress["status"], progress["folded"], progress["shards"], progress["folds_started"]) == ("done", 6, 6, 6)
    assert directory.owners.current().released
    assert [line["event"] for line in directory.events()] == ["started", *["saved"] * 4, "finished", "done"]


def test_the_lease_is_renewed_while_the_driver_steps(directory):
    found, _ = driver(directory, seconds=9.0)
    before = directory.owners.current().until
    for _ in range(4):
        found.step()
    assert directory.owners.current().until > before


def test_cancelling_stops_what_runs_and_leaves_a_job_to_resume(directory):
    found, runner = driver(directory, slots=3)
    for _ in range(3):
        found.step()
    directory.ask_to_cancel()
    assert found.run() == "cancelled"
    assert runner.stopped
    assert directory.progress()["status"] == "cancelled"
    saved = len(directory.saved())
    again, runner = driver(directory, start=100.0)
    assert again.run() == "done"
    assert sum(task.startswith("fold") for task in runner.seen) == 6 - 2 * saved
    assert directory.events()[-1]["term"] == 2
    assert "resumed" in [line["event"] for line in directory.events()]


def test_a_driver_that_was_deposed_says_nothing_any_more(directory):
    found, _ = driver(directory)
    found.step()
    new = directory.owners.acquire(1.0, 1e6, steal=True)
    assert found.run() == "deposed"
    assert directory.owners.current() == new
    assert "deposed" not in [directory.progress().get("status"), *(line["event"] for line in directory.events())]


def test_why_a_job_failed_can_be_read(directory):
    found, runner = driver(directory)
    runner.events = lambda running, holding: [Failed(task, "disk full") for task in running]
    assert found.run() == "failed"
    assert "fold 0-0-1 failed 4 times, the last time because disk full" in directory.progress()["reason"]
    assert directory.events()[-1]["reason"] == directory.progress()["reason"]
    assert directory.owners.current().released


def test_without_workers_a_driver_waits(directory):
    found, runner = driver(directory, slots=0)
    for _ in range(5):
        assert found.step()
    assert runner.seen == []
    runner.count = 2
    assert found.run() == "done"
