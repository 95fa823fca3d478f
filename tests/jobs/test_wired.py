"""Jobs on real processes: whoever dies, the result is the same to the last bit, and what is on disk is not redone."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import covdist
import covdist.engine.cluster
import covdist.jobs.driving
from covdist.folding.selection import Selection
from covdist.jobs.driving import drive
from covdist.jobs.job import Job, job_directory
from covdist.jobs.states import dump_state
from covdist.jobs.trees import JobPlan, question
from covdist.storage.process import here
from tests.cli.running import PATIENCE, output, sentence
from tests.jobs.clusters import (
    bits,
    called,
    cluster,
    driver,
    folds_started,
    idle,
    kill,
    patchy_log,
    saved,
    shards,
    until,
)  # fmt: skip
from tests.jobs.folded import Folds

FILL = ("--missing-chunks", "fill")
HERE = ("--workers", "2")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return patchy_log(tmp_path_factory.mktemp("log") / "log.zarr")


@pytest.fixture(scope="module")
def expected(log: Path) -> bytes:
    """What threads of this process make of it."""
    tree = covdist.open_log(log, missing_chunks="fill")
    return dump_state(covdist.moments(tree["fc1/activation"], dim="sample").compute().state)


@pytest.fixture
def folds(tmp_path, monkeypatch) -> Folds:
    """What workers fold until ``monkeypatch.undo()``: four shards, then they are held up."""
    found = Folds(tmp_path / "folds", most=4)
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    return found


def running(path: Path) -> None:
    until(lambda: saved(path) >= 4)


def test_a_run_with_a_job_gives_the_same_and_is_done_once(log, expected, tmp_path):
    job, first, second = tmp_path / "job", tmp_path / "a.zarr", tmp_path / "b.zarr"
    output("run", log, *FILL, "-o", first, "--job", job, *HERE)
    assert bits(first) == bits(job) == expected
    assert shards(job) >= 8
    output("run", log, *FILL, "-o", second, "--job", job, "--workers", 1)
    assert bits(second) == expected
    assert [event["event"] for event in Job(job).directory.events()].count("started") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("folds")
def test_a_killed_driver_is_resumed(log, expected, tmp_path, monkeypatch):
    job = tmp_path / "job"
    with driver("run", log, *FILL, "-o", tmp_path / "out.zarr", "--job", job, *HERE) as process:
        running(job)
        process.send_signal(signal.SIGSTOP)  # it lives
        line = sentence("run", log, *FILL, "-o", tmp_path / "other.zarr", "--job", job, *HERE)
        assert "is driven by" in line
        assert f"process {process.pid})" in line
        kill(process)
    assert shards(job) > saved(job) == 4
    assert Job(job).directory.owners.current().until > time.time()
    assert Job(job).status()["status"] == "lost"
    monkeypatch.undo()
    output("resume", job, *HERE)
    assert bits(job) == bits(tmp_path / "out.zarr") == expected
    assert folds_started(job) == shards(job) - 4


@pytest.mark.slow
@pytest.mark.usefixtures("folds")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_job_to_resume(log, tmp_path, number):
    job = tmp_path / "job"
    with driver("run", log, *FILL, "-o", tmp_path / "out.zarr", "--job", job, *HERE) as process:
        running(job)
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 128 + number
        assert f"covdist resume {job}" in said
    assert Job(job).status()["status"] == "cancelled"
    assert Job(job).directory.owners.current().released


@pytest.mark.slow
def test_a_signal_that_comes_when_all_is_done_changes_nothing(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.eye(3))

    def late(*given, **options):
        ended = drive(*given, **options)
        signal.raise_signal(signal.SIGINT)
        return ended

    monkeypatch.setattr(covdist.jobs.driving, "drive", late)
    said = called("run", tmp_path / "x.npy", "-o", tmp_path / "out.zarr", "--job", tmp_path / "job", *HERE)
    assert "resume" not in said
    assert covdist.load(tmp_path / "out.zarr").count == 3


@pytest.mark.slow
def test_a_job_on_a_cluster_is_submitted_cancelled_and_resumed(log, expected, tmp_path, folds):
    job = tmp_path / "job"
    with cluster(tmp_path / "cluster") as found:
        name = called("submit", log, *FILL, "--job", job, "--scheduler-file", found.file).strip()
        running(job)
        assert called("cancel", job) == "asked to stop\n"
        assert "was cancelled" in sentence("wait", job)
        folds.release()
        idle(found)  # what had begun is saved all the same
        left = shards(job) - saved(job)
        assert 0 < left < shards(job)
        assert called("resume", job, "--scheduler-file", found.file).strip() == name
        called("wait", job)
    assert bits(job) == expected
    assert folds_started(job) == left
    assert [(one["path"], one["status"]) for one in json.loads(called("jobs", tmp_path, "--json"))] == [(name, "done")]
    assert Job(job).id in called("jobs", tmp_path)
    assert "done" in called("status", job)


@pytest.mark.slow
def test_the_worker_that_drives_may_die(log, expected, tmp_path, folds):
    job = tmp_path / "job"
    with cluster(tmp_path / "cluster", 3) as found:
        output("submit", log, *FILL, "--job", job, "--scheduler-file", found.file)
        running(job)
        owner = Job(job).status()["owner"]
        (process,) = [worker for worker in found.workers if f"process {worker.pid})" in owner]
        process.kill()
        folds.release()
        Job(job).wait()
    assert Job(job).status()["owner"] != owner
    assert bits(job) == expected


def test_what_is_no_job_is_named(tmp_path):
    for words in (["status"], ["wait"], ["cancel"], ["resume"]):
        assert str(tmp_path) in called(*words, tmp_path, code=1)
    assert "--scheduler" in called("submit", tmp_path, "--job", tmp_path / "job", code=2)
    assert "--job" in called("run", tmp_path, code=2)
    assert called("jobs", tmp_path, "--json") == "[]\n"
    assert "not a folder" in called("jobs", tmp_path / "gone", code=1)


@pytest.mark.parametrize("command", ["run", "resume"])
def test_who_comes_second_starts_no_cluster(tmp_path, monkeypatch, command):
    np.save(tmp_path / "x.npy", np.eye(3))
    job, log = tmp_path / "job", tmp_path / "x.npy"
    JobPlan(question(log, Selection(), "raise", None)).begin(job_directory(job))
    Job(job).directory.owners.acquire(time.time(), 60.0, process=here())
    monkeypatch.setattr(covdist.engine.cluster, "cluster", lambda **options: pytest.fail("a cluster was started"))
    assert "is driven by" in called(*(["run", log, "--job"] if command == "run" else ["resume"]), job, code=1)
