"""A Gaussian fitted as a job: a round of shards for each iteration, from the model that the one before has left."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import zarr
from distributed import Client

import covdist
from covdist.errors import JobError
from covdist.folding.selection import Selection
from covdist.jobs.dask_runner import DaskRunner
from covdist.jobs.driver import Driver
from covdist.jobs.driving import LEASE, drive, opened
from covdist.jobs.job import Job, job_directory
from covdist.jobs.machine.machine import Machine
from covdist.jobs.machine.tree import Node
from covdist.jobs.states import dump_state
from covdist.jobs.trees import JobPlan, question
from covdist.limits import changed
from covdist.terminal.jobs import job_table
from tests.cli import logs
from tests.cli.running import output
from tests.jobs.clusters import driver, folds_started, kill, until
from tests.jobs.folded import Folds

from .calls import log_moments

CHOSEN = Selection(var="gradient", missing="maxent", inf="missing")
SHARDS = 5


@pytest.fixture(scope="module", autouse=True)
def many_shards_and_passes():
    with changed(least_shard_seconds=1e-9, state_bytes_per_second=1e12, pattern_table_bytes=1):
        yield


@pytest.fixture(scope="module")
def client():
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as found:
        yield found


def holed(path: Path, seed: int = 0, **others: np.ndarray) -> Path:
    """Two layers, of which the second takes more iterations."""
    rng, group = np.random.default_rng(seed), zarr.open_group(path, mode="w")
    for name, share in (("fc1", 0.01), ("fc2", 0.02)):
        x = rng.normal(size=(SHARDS * logs.CHUNK, 3)) @ rng.normal(size=(3, 3))
        x[rng.random(x.shape) < share] = np.nan
        x[3, 1] = np.inf
        logs.write(group, f"{name}/gradient", x, ("step", "param"))
        logs.write(group, f"{name}/input", x[:, :1] + rng.normal(size=(len(x), 2)), ("step", "unit"))
    return path


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return holed(tmp_path_factory.mktemp("log") / "log.zarr")


@pytest.fixture(scope="module")
def expected(log):
    return {name: one.compute() for name, one in log_moments(log, CHOSEN).items()}


def begun(log: Path, place: Path) -> Job:
    JobPlan(question(log, CHOSEN, "raise", None)).begin(job_directory(place))
    return Job(place)


def check(found: Job, expected: dict[str, covdist.Moments]) -> None:
    result = found.result()
    assert result.keys() == expected.keys()
    for name, one in result.items():
        assert dump_state(one.state) == dump_state(expected[name].state)
        assert json.loads(json.dumps(one.layout.provenance)) == json.loads(json.dumps(expected[name].layout.provenance))


@pytest.mark.parametrize("place", ["folder", "store"])
def test_a_job_makes_what_a_call_makes(log, expected, client, tmp_path, place):
    path = tmp_path / "job" if place == "folder" else "memory://rounds/1"
    job = covdist.submit(log, job=path, client=client, selection=CHOSEN).wait()
    check(job, expected)
    iterations = [one.layout.provenance["iterations"] for one in expected.values()]
    assert 5 < min(iterations) < max(iterations)
    assert job.status()["iteration"] == max(iterations)
    assert (job.status()["iterations"], job.status()["shards"]) == (100, 2 * SHARDS)
    rounds = [event["round"] for event in job.directory.events() if event["event"] == "round"]
    assert rounds == list(range(1, max(iterations) + 1))
    assert job.directory.progress()["folds_started"] == SHARDS * (sum(iterations) + 2)
    assert "of at most 100" in job_table(job.status())
    # Of rounds that are over only the first root and two to go back to are kept.
    assert len({(node.tree, node.round) for node in job.directory.saved()}) <= 2 * 4


def left_at(job: Job, client: Client, when: Callable[[Machine], bool]) -> int:
    """Drive a job until something is so, and leave it as a driver that dies does; return the folds it began."""
    directory, trees = job.directory, opened(job.directory)
    lease, following = directory.owners.acquire(time.time(), LEASE), partial(trees.due, directory, job.id)
    with closing(DaskRunner(client, trees.work(directory, job.id), lease.nonce, lambda: False, time.time())) as runner:
        found = Driver(directory, lease, following(), runner, time.time, following=following)
        while found.step() and not when(found.machine):
            pass
    directory.owners.release(lease)
    return int(found.progress()["folds_started"])


def test_x_with_y(log, client, tmp_path):
    chosen = Selection(layer="fc2", var="gradient", against="input", missing="maxent", inf="missing")
    job = covdist.submit(log, job=tmp_path / "job", client=client, selection=chosen).wait()
    (expected,) = log_moments(log, chosen).values()
    assert dump_state(job.result().state) == dump_state(expected.compute().state)


def within(number: int, folded: int) -> Callable[[Machine], bool]:
    return lambda machine: machine.round == number and machine.folded() >= folded


@pytest.mark.slow
@pytest.mark.parametrize("stops", [[(0, 3)], [(1, 1), (1, 5)], [(2, 3), (2, 5), (7, 4)]], ids=str)
def test_what_is_on_disk_is_not_folded_again(log, expected, client, tmp_path, stops):
    job = begun(log, tmp_path / "job")
    begun_before = sum(left_at(job, client, within(*stop)) for stop in stops)
    assert job.status()["status"] == "stopped"
    assert drive(job.directory, client) == "done"
    check(job, expected)
    needed = SHARDS * sum(one.layout.provenance["iterations"] + 1 for one in expected.values())
    assert needed <= begun_before + job.directory.progress()["folds_started"] <= needed + 4 * len(stops)  # slots


def spoil(job: Job, node: Node, how: str) -> None:
    path = Path(job.path) / "states" / node.name
    data = bytearray(path.read_bytes())
    path.unlink()
    if how == "torn":
        path.write_bytes(data[: len(data) // 2])
    elif how == "damaged":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("how", "rounds"), [("gone", [4]), ("torn", [4, 3]), ("damaged", [4, 3, 0]), ("damaged", [0])], ids=str
)
def test_a_model_that_is_lost_is_made_again(log, expected, client, tmp_path, rounds, how):
    job = begun(log, tmp_path / "job")
    left_at(job, client, within(5, 3))
    for number in rounds:
        spoil(job, Node(1, 0, SHARDS, number), how)
    assert drive(job.directory, client) == "done"
    check(job, expected)


def test_a_model_that_gets_lost_meanwhile_is_said_and_made_again(log, expected, client, tmp_path):
    job = begun(log, tmp_path / "job")

    def lose(machine: Machine) -> bool:
        if machine.round == 5:
            (Path(job.path) / "states" / Node(1, 0, SHARDS, 4).name).unlink(missing_ok=True)
        return False

    left_at(job, client, lose)
    assert job.status()["status"] == "failed"
    assert "its checkpoint was missing or damaged" in job.status()["reason"]
    assert drive(job.directory, client) == "done"
    check(job, expected)


def test_rows_that_have_changed_are_refused(client, tmp_path):
    log = holed(tmp_path / "log.zarr")
    job = begun(log, tmp_path / "job")
    left_at(job, client, within(2, 3))
    holed(log, seed=1)
    with pytest.raises(JobError, match="has changed since it began"):
        drive(job.directory, client)


@pytest.mark.parametrize("files", [False, True], ids=["zarr", "npy"])
def test_rows_that_change_while_a_job_runs_are_refused(client, tmp_path, files):
    def write(seed: int) -> None:
        holed(tmp_path / "log.zarr", seed)
        for layer in ("fc1", "fc2") if files else ():
            (tmp_path / "log" / layer).mkdir(parents=True, exist_ok=True)
            rows = zarr.open_array(tmp_path / "log.zarr" / layer / "gradient", mode="r")[...]
            np.save(tmp_path / "log" / layer / "gradient.npy", rows)

    def change(machine: Machine) -> bool:
        if machine.round == 2:
            write(machine.round)
        return False

    write(0)
    job = begun(tmp_path / ("log" if files else "log.zarr"), tmp_path / "job")
    left_at(job, client, change)
    assert job.status()["status"] == "failed"
    assert "changed" in job.status()["reason"]
    assert job.directory.result(job.id) is None


def test_few_patterns_need_one_pass(log, client, tmp_path):
    with changed(pattern_table_bytes=1 << 26):
        job = covdist.submit(log, job=tmp_path / "job", client=client, selection=CHOSEN).wait()
        check(job, {name: one.compute() for name, one in log_moments(log, CHOSEN).items()})
    assert job.directory.progress()["folds_started"] == 2 * SHARDS


def many_patterns(path: Path, rows: int = 10_000, width: int = 64) -> Path:
    """A log of rows as chunks, of which few were ever written: too many patterns for a table."""
    rng = np.random.default_rng(3)
    array = zarr.open_group(path, mode="w").create_array(
        "fc1/activation", shape=(rows, width), chunks=(1, width), dtype="f8", dimension_names=("sample", "unit")
    )
    for row in range(0, rows, rows // 2_500):
        values = rng.normal(size=width)
        values[rng.choice(width, 3, replace=False)] = np.nan
        array[row] = values
    return path


@pytest.mark.slow
def test_a_killed_driver_is_resumed_within_an_iteration(tmp_path, monkeypatch):
    log, job = many_patterns(tmp_path / "log.zarr"), tmp_path / "job"
    words = (log, "--missing-chunks", "fill", "--missing", "maxent", "--workers", "2")
    output("run", *words, "-o", tmp_path / "plain.zarr")
    expected = covdist.load(tmp_path / "plain.zarr")

    def states(number: int) -> int:
        return len(list((job / "states").glob(f"*-*-*-{number}"))) if job.exists() else 0

    held = Folds(tmp_path / "folds", most=0)
    for name, value in held.environment.items():
        monkeypatch.setenv(name, value)
    with driver("run", *words, "--job", job, "-o", tmp_path / "out.zarr") as process:
        until(held.begun)
        (tree,) = Job(job).directory.trees()
        held.hold(3 * tree.shards + 2)  # the first pass, two iterations and a part of the third
        until(lambda: states(3) == 2)
        kill(process)
    monkeypatch.undo()
    assert Job(job).status()["iteration"] >= 1
    output("resume", job, "--workers", "2")
    found = covdist.load(job)
    assert dump_state(found.state) == dump_state(expected.state)
    iterations = expected.dataset.attrs["iterations"]
    assert found.dataset.attrs["iterations"] == iterations > 5
    assert folds_started(job) == tree.shards * (iterations - 2) - 2
