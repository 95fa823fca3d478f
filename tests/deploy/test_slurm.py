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
from tests.jobs.folded import Folds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(missing()), reason=f"SLURM is not installed: no {', '.join(missing())}"),
]


def log_of(path: Path, count: int = 1_000_000, columns: int = 512) -> Path:
    """A file of which little was ever written, so that it takes no space."""
    rng = np.random.default_rng(8)
    rows = np.lib.format.open_memmap(path, mode="w+", dtype="f2", shape=(count, columns))
    for start in range(0, count, count // 50):
        rows[start : start + 10] = rng.normal(3, 1, (10, columns))
    return path


def state(environment: dict[str, str], number: str) -> str:
    said = ask(environment, "scontrol", "show", "job", number)
    return said.partition("JobState=")[2].partition(" ")[0]


def test_a_batch_job_survives_its_wall_time(tmp_path):
    log, job, out = log_of(tmp_path / "log.npy"), tmp_path / "job", tmp_path / "out.zarr"
    folds = Folds(tmp_path / "folds", most=6)  # until its time is up
    with slurm(tmp_path / "slurm") as environment:
        environment |= {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}", **folds.environment}
        given = f"--export=ALL,LOG={log},OUT={out},JOB={job}"
        size = ["--ntasks=2", "--mem-per-cpu=2G", "--time=10", "--signal=B:USR1@20"]
        said = tmp_path / "said.txt"
        began = time.monotonic()
        number = ask(environment, "sbatch", "--parsable", given, *size, f"--output={said}", BATCH).strip()
        assert number.isdigit(), number
        until(lambda: saved(job))
        minutes = 1 + int(time.monotonic() - began + 30) // 60  # of which half a one is left at least
        ask(environment, "scontrol", "update", f"JobId={number}", f"TimeLimit={minutes}")
        until(lambda: "Restarts=1" in ask(environment, "scontrol", "show", "job", number))
        held = Job(job).status()
        assert held["status"] == "cancelled"
        assert 0 < saved(job) < held["shards"]
        folds.release()
        ask(environment, "scontrol", "update", f"JobId={number}", "TimeLimit=10")
        until(lambda: state(environment, number) in ("COMPLETED", "FAILED", "TIMEOUT"))
        assert state(environment, number) == "COMPLETED", said.read_text()
    assert Job(job).directory.progress()["held_at_start"] > 0
    expected = covdist.moments(covdist.open_log(log)["log"], dim="sample").compute(scheduler="threads")
    assert dump_state(covdist.load(out).state) == dump_state(expected.state)
