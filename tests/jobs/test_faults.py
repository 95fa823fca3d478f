"""Many runs, and many deaths: each result is the same to the last bit, and none hangs."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

import covdist
from covdist.readings.job import Job
from covdist.readings.job_states import dump_state
from tests.cli.running import COVDIST, output
from tests.jobs.clusters import Cluster, cluster, driver, folds, kill, patchy_log, saved, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]
FILL = ("--missing-chunks", "fill")
LONGEST = 120.0  # seconds; a run that nobody disturbs takes ten


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return patchy_log(tmp_path_factory.mktemp("log") / "log.zarr")


@pytest.fixture(scope="module")
def expected(log: Path) -> bytes:
    tree = covdist.open_log(log, missing_chunks="fill")
    return dump_state(covdist.moments(tree["fc1/activation"], dim="sample").compute(scheduler="threads").state)


def bits(place: Path) -> bytes:
    return dump_state(covdist.load(place).state)


def finished(job: Path, found: Cluster, rng: random.Random, deaths: int) -> int:
    """Wait for a job while workers die and others take their place; return how many died."""
    died, began = 0, time.monotonic()
    while Job(job).status()["status"] != "done":
        assert time.monotonic() - began < LONGEST
        assert Job(job).status()["status"] in ("waiting", "running", "lost")
        if died < deaths:
            time.sleep(rng.random())
            found.workers.pop(rng.randrange(len(found.workers))).kill()
            found.workers.append(found.add_worker())
            died += 1
    return died


def test_workers_that_are_killed_change_nothing(log, expected, tmp_path):
    rng, died = random.Random(4), 0
    with cluster(tmp_path / "cluster", 3) as found:
        for run in range(20):
            job = tmp_path / f"job{run}"
            output("submit", log, *FILL, "--job", job, "--scheduler-file", found.file)
            died += finished(job, found, rng, deaths=5)
            assert bits(job) == expected
    assert died >= 60


def test_drivers_that_are_killed_cost_little(log, expected, tmp_path):
    for run in range(10):
        job, out = tmp_path / f"job{run}", tmp_path / f"out{run}.zarr"
        with driver("run", log, *FILL, "-o", out, "--job", job, "--workers", "2") as process:
            until(lambda job=job, run=run: saved(job) >= 1 + 3 * run % 25)
            kill(process)
        left = sum(shape.shards for shape in Job(job).directory.shapes()) - saved(job)
        until(lambda job=job: Job(job).status()["status"] == "lost")
        output("resume", job, "--workers", "2")
        assert bits(job) == bits(out) == expected
        assert folds(job) <= left


def test_a_job_outlives_its_scheduler(log, expected, tmp_path):
    for run in range(5):
        job = tmp_path / f"job{run}"
        with cluster(tmp_path / f"first{run}") as first:
            output("submit", log, *FILL, "--job", job, "--scheduler-file", first.file)
            until(lambda job=job, run=run: saved(job) >= 1 + 5 * run)
            first.scheduler.kill()
            until(lambda job=job: Job(job).status()["status"] in ("stopped", "lost"))
        left = sum(shape.shards for shape in Job(job).directory.shapes()) - saved(job)
        with cluster(tmp_path / f"second{run}") as second:
            output("resume", job, "--scheduler-file", second.file)
            output("wait", job)
        assert bits(job) == expected
        assert folds(job) <= left


def test_of_drivers_that_race_one_drives(tmp_path):
    log = patchy_log(tmp_path / "log.zarr", 20_000)
    for run in range(10):
        job = tmp_path / f"job{run}"
        words = [COVDIST, "run", log, *FILL, "--job", job, "--workers", "1", "-o"]
        both = [subprocess.Popen([*words, tmp_path / f"{run}{i}.zarr"], stderr=subprocess.PIPE) for i in range(2)]
        said = [process.communicate(timeout=LONGEST)[1].decode() for process in both]
        codes = sorted(process.returncode for process in both)
        assert codes in ([0, 1], [0, 0]), said
        assert codes == [0, 0] or any("is driven by" in text for text in said)
        assert Job(job).directory.owners.current().term == 1


def test_small_jobs_leave_nothing_behind(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(1000, 3)))
    with cluster(tmp_path / "cluster", 2) as found, Client(found.address) as client:
        for run in range(100):
            covdist.submit(tmp_path / "x.npy", job=tmp_path / f"job{run}", client=client).wait(60)
        until(lambda: not client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))
