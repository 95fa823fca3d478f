"""Jobs of many small arrays: those share trees and checkpoints."""

from __future__ import annotations

import numpy as np
import pytest
from distributed import Client

import covdist
from covdist.errors import JobError
from covdist.folding.selection import Selection
from covdist.jobs import trees
from covdist.jobs.driving import drive
from covdist.jobs.job import Job, job_directory
from covdist.jobs.machine.tree import Node
from covdist.jobs.states import dump_state
from covdist.jobs.trees import JobPlan, question

from .calls import log_moments

ARRAYS = 150


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("log"), np.random.default_rng(0)
    for number in range(ARRAYS):  # alike, and others in between
        rows, columns = (30, 4) if number % 5 else (7 + number, 3)
        np.save(folder / f"layer{number:03d}.npy", rng.normal(size=(rows, columns)).astype(np.float32))
    np.save(folder / "large.npy", rng.normal(size=(20_000, 64)))
    return folder


@pytest.fixture(scope="module")
def client():
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as found:
        yield found


@pytest.fixture(scope="module")
def expected(log):
    return {name: dump_state(one.compute().state) for name, one in log_moments(log, Selection()).items()}


def begun(log, place) -> Job:
    JobPlan(question(log, Selection(), "raise", None)).begin(job_directory(place))
    return Job(place)


def found_in(place) -> dict[str, bytes]:
    return {name: dump_state(one.state) for name, one in covdist.load(place).items()}


def test_they_share_checkpoints_and_are_what_calls_make(log, client, expected, tmp_path):
    job = covdist.submit(log, job=tmp_path / "job", client=client).wait()
    assert list(job.result()) == list(expected)
    assert found_in(tmp_path / "job") == expected
    assert job.status()["shards"] == len(job.directory.saved()) == 1 + -(-ARRAYS // 64)


def test_what_is_on_disk_is_not_folded_again(log, client, expected, tmp_path):
    job = begun(log, tmp_path / "job")
    assert drive(job.directory, client) == "done"
    (tmp_path / "job" / "result.json").unlink()
    job.directory.forget([Node(2, 0, 1)])
    assert drive(job.directory, client) == "done"
    assert job.directory.progress()["folds_started"] == 1
    assert found_in(tmp_path / "job") == expected


def test_a_damaged_checkpoint_is_made_again(log, client, expected, tmp_path):
    job = begun(log, tmp_path / "job")
    assert drive(job.directory, client) == "done"
    (tmp_path / "job" / "result.json").unlink()
    file = tmp_path / "job" / "states" / Node(1, 0, 1).name
    file.write_bytes(file.read_bytes()[:-100])
    assert drive(job.directory, client) == "done"
    assert found_in(tmp_path / "job") == expected


def test_a_job_with_a_tree_for_each_of_them_goes_on(log, client, expected, tmp_path, monkeypatch):
    """As versions made them that knew no others."""
    with monkeypatch.context() as before:
        before.setattr(trees, "_FEW", ARRAYS)
        job = begun(log, tmp_path / "job")
    assert len(job.directory.trees()) == ARRAYS + 1
    assert drive(job.directory, client) == "done"
    assert found_in(tmp_path / "job") == expected


def test_a_value_that_is_missing_is_named(client, tmp_path):
    log = tmp_path / "log"
    log.mkdir()
    for number in range(ARRAYS):
        np.save(log / f"layer{number:03d}.npy", np.full((5, 3), np.nan if number == 77 else 1.0))
    job = begun(log, tmp_path / "job")
    assert drive(job.directory, client) == "failed"
    with pytest.raises(JobError, match=r"layer077 holds nan at row 0, column 0"):
        job.result()
