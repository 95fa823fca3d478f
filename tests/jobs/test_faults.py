"""Many runs, and many deaths: each result is the same to the last bit, none hangs, and little is done twice."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from distributed import Client

import covdist
from covdist.errors import JobError
from covdist.jobs.job import Job
from covdist.jobs.states import dump_state
from covdist.jobs.submitting import resume
from tests.cli.running import PATIENCE, output
from tests.jobs.clusters import Cluster, bits, cluster, driver, idle, kill, patchy_log, saved, shards, until
from tests.jobs.folded import Folds
from tests.jobs.racing import race

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
FILL = ("--missing-chunks", "fill")
HANG = 240.0  # seconds; beside others on two cores a run took ten
SILENT = 15.0  # seconds without a driver, then somebody resumes: dask gives a task up with its fourth worker


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return patchy_log(tmp_path_factory.mktemp("log") / "log.zarr", 20_000)


@pytest.fixture(scope="module")
def expected(log: Path) -> bytes:
    return whole(log)


def whole(log: Path) -> bytes:
    tree = covdist.open_log(log, missing_chunks="fill")
    return dump_state(covdist.moments(tree["fc1/activation"], dim="sample").compute(scheduler="threads").state)


@pytest.fixture
def folds(tmp_path, monkeypatch):
    """What the workers of a run fold, and how many shards they may."""

    def begin(name: object, most: int | None = None) -> Folds:
        found = Folds(tmp_path / f"folds{name}", most)
        for key, value in found.environment.items():
            monkeypatch.setenv(key, value)
        return found

    return begin


def twice(folds: Folds, job: Path) -> int:
    """Count the folds of shards that had been folded before."""
    found = folds.ended()
    assert len(found) == shards(job)
    return found.total() - len(found)


def finished(job: Path, found: Cluster, client: Client, rng: random.Random, deaths: int) -> int:
    """Wait for a job while workers die and others take their place; return how many died."""
    died, began = 0, time.monotonic()
    alive = began
    while (status := Job(job).status()["status"]) != "done":
        now = time.monotonic()
        assert now - began < HANG
        assert status in ("waiting", "running", "lost")
        alive = alive if status == "lost" else now
        if now - alive > SILENT:
            with suppress(JobError):  # another worker has begun to drive it since we asked
                resume(job, client)
        if died < deaths:
            worker = found.workers.pop(rng.randrange(len(found.workers)))
            worker.kill()
            worker.wait()
            found.workers.append(found.add_worker())
            died += 1
        time.sleep(rng.random())
    return died


def test_workers_that_are_killed_change_nothing(log, expected, tmp_path):
    rng, died, runs = random.Random(4), 0, 0
    with cluster(tmp_path / "cluster", 3) as found, Client(found.address) as client:
        while died < 20 or runs < 4:
            job = tmp_path / f"job{runs}"
            covdist.submit(log, job=job, client=client, missing_chunks="fill")
            died += finished(job, found, client, rng, deaths=6)
            runs += 1
            assert bits(job) == expected


def test_drivers_that_are_killed_cost_little(tmp_path, folds):
    log = patchy_log(tmp_path / "log.zarr", 30_000)
    expected = whole(log)
    again = total = 0
    for run in range(4):
        job, out = tmp_path / f"job{run}", tmp_path / f"out{run}.zarr"
        found = folds(run, most=1 + run)
        with cluster(tmp_path / f"cluster{run}") as other:
            # A cluster of its own dies with the driver; another goes on with what it was told last.
            where = ("--scheduler-file", other.file) if run % 2 else ("--workers", "2")
            with driver("run", log, *FILL, "-o", out, "--job", job, *where) as process:
                until(lambda job=job, run=run: saved(job) >= 1 + run)
                kill(process)
            found.release()
            idle(other)
            output("run", log, *FILL, "-o", out, "--job", job, *where)
        assert bits(job) == bits(out) == expected
        again, total = again + twice(found, job), total + shards(job)
    assert again <= 0.05 * total


def test_clients_that_leave_cost_nothing(log, expected, tmp_path, folds):
    for run in range(3):
        job, noted = tmp_path / f"job{run}", folds(run)
        with cluster(tmp_path / f"cluster{run}") as found:
            with Client(found.address) as client:
                covdist.submit(log, job=job, client=client, missing_chunks="fill")
            Job(job).wait(PATIENCE)
        assert bits(job) == expected
        assert twice(noted, job) == 0


def test_a_job_outlives_its_scheduler(log, expected, tmp_path, folds):
    for most in (1, 13):
        job, noted = tmp_path / f"job{most}", folds(most, most)
        with cluster(tmp_path / f"first{most}") as first:
            with Client(first.address) as client:
                covdist.submit(log, job=job, client=client, missing_chunks="fill")
            until(lambda job=job, most=most: saved(job) >= most)
            first.scheduler.kill()
            until(lambda job=job: Job(job).status()["status"] in ("stopped", "lost"))
        noted.release()
        with cluster(tmp_path / f"second{most}") as second:
            with Client(second.address) as client:
                resume(job, client)
            Job(job).wait(PATIENCE)
        assert bits(job) == expected
        keep = max(tree.keep for tree in Job(job).directory.trees())
        assert twice(noted, job) <= keep + 2  # a shard in flight on each worker


def test_of_drivers_that_race_one_drives(tmp_path, folds):
    log = patchy_log(tmp_path / "log.zarr", 10_000)
    expected, noted = whole(log), folds("")
    jobs = [tmp_path / f"job{number}" for number in range(6)]
    with cluster(tmp_path / "cluster") as found:
        words = ["run", str(log), *FILL, "--scheduler-file", str(found.file), "--job"]
        races = race(3, [[*words, str(job)] for job in jobs], partial(noted.hold, 0), noted.release)
    for job, (first, *others) in zip(jobs, [sorted(said, key=lambda one: one.code) for said in races], strict=True):
        assert first.code == 0, first.text
        for other in others:
            assert other.code == 1
            assert "is driven by" in other.text
            assert f"(process {first.process})" in other.text
        assert Job(job).directory.owners.current().term == 1
        assert bits(job) == expected


def test_small_jobs_leave_nothing_behind(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(1000, 3)))
    with cluster(tmp_path / "cluster", 2) as found, Client(found.address) as client:
        held = []
        for batch in range(12):
            places = [tmp_path / f"job{batch}-{number}" for number in range(10)]
            for job in [covdist.submit(tmp_path / "x.npy", job=place, client=client) for place in places]:
                job.wait(PATIENCE)
            held.append(psutil.Process(found.scheduler.pid).memory_info().rss)
        until(lambda: not client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))
    assert held[-1] - held[5] < 6 << 20  # 4 MiB were measured in 200 jobs
