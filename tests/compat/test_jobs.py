"""Jobs that an earlier version began are watched, gone on with to the same result, and read when they are done."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

import covdist
from tests.jobs.clusters import until

from .jobs import JOBS, SHARDS, content, move
from .kept import NUMBERS, call, called, check, loaded, unpacked

EXPECTED = NUMBERS["jobs"]
ENDED = {"finished": "done", "half": "cancelled"}  # the drivers of all others died
CLOSE = 1e-13

# Shards that are not part of any checkpoint: in the first pass, or in what is left of the iterations.
MISSING = {"half": 2, "groups": 1, "cross": 1, "variances": 1, "pairwise": 1, "maxent": 2 + 2 * SHARDS}
HELD = {"half": 6, "groups": 3, "cross": 3, "variances": 3, "pairwise": 3, "maxent": 2}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return unpacked("jobs", tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="module")
def cluster():
    """The address of a scheduler. Its worker is a process: within this one it would take a client that soon closes."""
    with LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as found:
        yield found.scheduler_address


def job(kept: Path, name: str, folder: Path, log: Path | None = None) -> Path:
    """A copy of a job, of the log that was unpacked with it."""
    path = Path(shutil.copytree(kept / name, folder / name))
    move(path, str(log or kept / JOBS[name].log))
    return path


def states(path: Path) -> dict[str, bytes]:
    return {state.name: state.read_bytes() for state in (path / "states").iterdir()}


def events(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (path / "events.jsonl").read_text().splitlines()]


def until_left(path: Path) -> None:
    """Wait for the driver, who says how it went when the result is there already."""
    until(lambda: content(max((path / "lease").glob("*.json")))["released"])


def check_done(path: Path, name: str) -> None:
    """Assert that a job has gone on from what there was, to the result that it had without a break."""
    until_left(path)
    before, progress = set(JOBS[name].held), content(path / "progress.json")
    assert json.loads(called("status", path, "--json"))["status"] == "done"
    for node, found in loaded(path).items():
        check(found, EXPECTED[name][node], CLOSE)
    mine = [event for event in events(path) if event["term"] == progress["term"] > 1]
    assert (mine[0]["event"], mine[0]["held"]) == ("resumed", HELD[name])
    assert progress["folds_started"] == MISSING[name]
    assert before.isdisjoint(str(event["task"]).split()[-1] for event in mine if event["event"] == "saved")


def test_every_job_is_listed(kept):
    found = {Path(one["path"]).name: one for one in json.loads(called("jobs", kept, "--json"))}
    assert found.keys() == JOBS.keys() == EXPECTED.keys()
    assert {name: one["status"] for name, one in found.items()} == {name: ENDED.get(name, "lost") for name in JOBS}
    assert found["maxent"]["iteration"] == 13
    assert all(name in called("jobs", kept) for name in JOBS)


def test_a_finished_job_is_read(kept, tmp_path):
    path = job(kept, "finished", tmp_path)
    before = states(path)
    called("resume", path)  # has nothing to do, and starts nothing
    assert covdist.Job(path).wait(1).status()["status"] == "done"
    for found in (loaded(path), covdist.Job(path).result()):
        assert list(found) == list(EXPECTED["finished"])
        for node, one in found.items():
            check(one, EXPECTED["finished"][node])
    assert states(path) == before
    assert len(list((path / "lease").iterdir())) == 1


@pytest.mark.parametrize("name", [name for name in JOBS if name not in ENDED])
def test_a_job_goes_on_elsewhere(kept, cluster, tmp_path, name):
    path = job(kept, name, tmp_path)
    before = states(path)
    called("resume", path, "--scheduler", cluster)
    assert json.loads(called("wait", path, "--json"))
    check_done(path, name)
    assert {state: before.get(state, data) for state, data in states(path).items()} == states(path)


def test_a_job_goes_on_here(kept, tmp_path):
    path = job(kept, "half", tmp_path)
    called("resume", path, "--workers", 1)
    check_done(path, "half")


def test_the_same_question_is_the_same_job(kept, cluster, tmp_path):
    path, asked = job(kept, "half", tmp_path), JOBS["half"]
    with Client(cluster) as client:
        found = covdist.submit(kept / asked.log, job=path, client=client, **asked.options)
        assert found.id == content(path / "manifest.json")["job"]
        found.wait()
    check_done(path, "half")


def test_a_log_that_has_changed_is_refused(kept, tmp_path):
    log = Path(shutil.copytree(kept / "patchy.zarr", tmp_path / "patchy.zarr"))
    path = job(kept, "half", tmp_path, log)
    os.utime(log / "fc1" / "input" / "c" / "0" / "0")
    done = call("resume", path)
    assert done.exit_code == 1
    assert "has changed since it began" in done.output
