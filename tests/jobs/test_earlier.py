"""Job directories of earlier commits load, and go on from the states that they hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from distributed import Client

import covdist
from covdist.engine import plan
from covdist.jobs.submitting import resume
from covdist.jobs.trees import JobPlan
from covdist.storage.checksum import from_json, to_json

MADE = Path(__file__).parent / "made_by_15764d0"  # without the result, the root and one of four shards


@pytest.fixture
def job(tmp_path, monkeypatch):
    """The job, as if its log had always been where it is now."""
    monkeypatch.setattr(plan, "_LEAST_SECONDS", 1e-9)
    monkeypatch.setattr(plan, "_STATE_RATE", 1e12)
    group = zarr.open_group(tmp_path / "log.zarr", mode="w")
    array = group.create_array(
        "fc1/activation", shape=(8, 2), chunks=(2, 2), dtype="f8", dimension_names=("sample", "unit")
    )
    array[:] = np.arange(16.0).reshape(8, 2) ** 2
    shutil.copytree(MADE, tmp_path / "job")
    manifest = tmp_path / "job" / "manifest.json"
    content = from_json(manifest.read_bytes())
    content["asked"]["log"] = str(tmp_path / "log.zarr")
    content["input"] = JobPlan(content["asked"]).found()
    manifest.write_bytes(to_json(content))
    return covdist.Job(tmp_path / "job")


def test_a_job_of_an_earlier_commit_goes_on(job):
    assert (job.status()["status"], job.id) == ("stopped", "b5381960bfe63314")
    assert [event["event"] for event in job.directory.events()] == ["started", *["saved"] * 5, "finished", "done"]
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        resume(job.path, client).wait(60)
    assert job.directory.progress()["folds_started"] == 1
    np.testing.assert_allclose(job.result().cov(), [[4452.0, 5040.0], [5040.0, 5712.0]], rtol=1e-14)
