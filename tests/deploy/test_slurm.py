"""The batch script on a real SLURM: its time runs out, it queues again, and goes on where it was."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

import covdist
from covdist.jobs.job import Job
from covdist.jobs.states import dump_state
from tests.deploy.files import BATCH
from tests.deploy.slurm import ask, missing, slurm
from tests.jobs.clusters import saved, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing()), reason=f"SLURM is not installed: no {', '.join(missing())}"),
]
TRIAL, COLUMNS, SECONDS = 200_000, 512, 80


def log_of(path: Path, count: int) -> Path:
    """A file of which little was ever written, so that it takes no space."""
    rng = np.random.default_rng(8)
    rows = np.lib.format.open_memmap(path, mode="w+", dtype="f2", shape=(count, COLUMNS))
    for start in range(0, count, count // 50):
        rows[start : start + 10] = rng.normal(3, 1, (10, COLUMNS))
    return path


def long_log(folder: Path) -> Path:
    """A log that keeps one core of this machine busy for longer than the job may take, however fast the core is."""
    trial = covdist.moments(covdist.open_log(log_of(folder / "trial.npy", TRIAL))["trial"], dim="sample")
    began = time.perf_counter()
    trial.compute(scheduler="synchronous")
    return log_of(folder / "log.npy", int(SECONDS / (time.perf_counter() - began) * TRIAL))


def state(environment: dict[str, str], number: str) -> str:
    said = ask(environment, "scontrol", "show", "job", number)
    return said.partition("JobState=")[2].partition(" ")[0]


def test_a_batch_job_survives_its_wall_time(tmp_path):
    log, job, out = long_log(tmp_path), tmp_path / "job", tmp_path / "out.zarr"
    with slurm(tmp_path / "slurm") as environment:
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        given = f"--export=ALL,LOG={log},OUT={out},JOB={job}"
        size = ["--ntasks=2", "--mem-per-cpu=2G", "--time=1", "--signal=B:USR1@20"]
        said = tmp_path / "said.txt"
        number = ask(environment, "sbatch", "--parsable", given, *size, f"--output={said}", BATCH).strip()
        assert number.isdigit(), number
        until(lambda: "Restarts=1" in ask(environment, "scontrol", "show", "job", number), 150)
        held = Job(job).status()
        assert held["status"] == "cancelled"
        assert 0 < saved(job) < held["shards"]
        ask(environment, "scontrol", "update", f"JobId={number}", "TimeLimit=10")
        until(lambda: state(environment, number) in ("COMPLETED", "FAILED", "TIMEOUT"), 200)
        assert state(environment, number) == "COMPLETED", said.read_text()
    assert Job(job).directory.progress()["held_at_start"] > 0
    expected = covdist.moments(covdist.open_log(log)["log"], dim="sample").compute(scheduler="threads")
    assert dump_state(covdist.load(out).state) == dump_state(expected.state)
