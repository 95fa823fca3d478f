"""Workers with too little memory, used all the same: a sentence that says so, and no hang."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from distributed import Client

from tests.cli.running import PATIENCE, output, sentence
from tests.jobs.clusters import cluster, driver, patchy_log, until
from tests.jobs.folded import Folds

pytestmark = pytest.mark.slow
COLUMNS = 4096  # a state of 64 MiB


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.zarr"
    array = zarr.open_group(path, mode="w").create_array(
        "fc1/activation", shape=(400, COLUMNS), chunks=(100, COLUMNS), dtype="f4", dimension_names=("sample", "unit")
    )
    array[:] = np.random.default_rng(0).normal(size=array.shape).astype("f4")
    return path


def says(line: str, *parts: str) -> bool:
    missing = [part for part in (*parts, "a worker needs", "by the plan", "--memory-limit") if part not in line]
    assert not missing, line
    return True


def where(log: Path, place: Path, job: bool) -> tuple[object, ...]:
    return (log, "-o", place / "out.zarr", *(["--job", place / "job"] if job else []))


@pytest.mark.parametrize("job", [False, True], ids=["run", "job"])
def test_the_plan_can_be_overruled_and_the_workers_then_die(log, tmp_path, job):
    here = ("--workers", "1", "--memory-limit", "260MiB")
    refused = sentence("run", *where(log, tmp_path, job), *here)
    assert says(refused.replace("give workers more memory", "by the plan --memory-limit"), "but has 260 MiB")
    said = sentence("run", *where(log, tmp_path, job), *here, "--force")
    assert says(said, "limit is 260 MiB", "for lack of memory", "tcp://127.0.0.1:")
    assert not (tmp_path / "out.zarr").exists()


def test_a_driver_among_the_workers_that_die_says_so(log, tmp_path):
    with cluster(tmp_path / "cluster", 1, limit="260MiB", nanny=True) as found:
        output("submit", *where(log, tmp_path, True), "--scheduler-file", found.file, "--force")
        assert says(sentence("wait", tmp_path / "job"), "for lack of memory", "tcp://127.0.0.1:", "covdist resume")


@pytest.mark.parametrize("job", [False, True], ids=["run", "job"])
def test_workers_that_are_paused_for_good_are_said(tmp_path, job):
    # After one shard a worker keeps its 130 MiB, at which it looks five times a second: there are 72.
    log = patchy_log(tmp_path / "log.zarr", 160_000)
    words = ("run", *where(log, tmp_path, job), "--missing-chunks", "fill", "--force")
    with cluster(tmp_path / "cluster", 1, limit="105MiB") as found:
        said = sentence(*words, "--scheduler-file", found.file)
    assert says(said, "dask has paused the worker tcp://127.0.0.1:", "limit is 105 MiB")


def test_a_cluster_whose_workers_are_paused_from_the_start_is_said(log, tmp_path):
    with cluster(tmp_path / "cluster", 1, limit="30MiB") as found:
        with found.client() as client:
            until(lambda: [each["status"] for each in client.scheduler_info()["workers"].values()] == ["paused"])
        said = sentence("run", *where(log, tmp_path, False), "--scheduler-file", found.file)
    assert "paused for lack of memory" in said
    assert "30 MiB" in said


def test_a_run_says_that_its_scheduler_is_gone(tmp_path, monkeypatch):
    log = patchy_log(tmp_path / "log.zarr")
    for name, value in Folds(tmp_path / "folds", most=1).environment.items():
        monkeypatch.setenv(name, value)
    with cluster(tmp_path / "cluster", 1) as found:
        words = ("run", *where(log, tmp_path, False), "--missing-chunks", "fill", "--scheduler-file", found.file)
        with driver(*words) as process:
            with Client(found.address) as client:
                until(lambda: any(client.processing().values()))
            found.scheduler.kill()
            _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "covdist: the dask scheduler is gone" in said  # beside a line of dask itself
    assert not (tmp_path / "out.zarr").exists()
