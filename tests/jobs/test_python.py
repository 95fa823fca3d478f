"""``covdist.submit`` and ``covdist.Job`` in one process."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import zarr
from distributed import Client

import covdist
from covdist.errors import ClusterError, CovdistError, DataError, JobError, PlanError, ResultError
from covdist.folding.selection import Selection
from covdist.jobs import driving, submitting
from covdist.jobs.states import dump_state
from covdist.limits import changed
from tests.cli import logs
from tests.jobs.clusters import until

from .calls import log_moments

CHOICES = {
    "all": {},
    "groups": {"by": "epoch", "var": "activation"},
    "cross": {"var": "gradient", "against": "activation"},
    "variances": {"max_columns": 0, "precision": "fast"},
}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return logs.healthy(tmp_path_factory.mktemp("log") / "log.zarr").path


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": "2GiB"}
    with Client(processes=False, dashboard_address="127.0.0.1:0", **options) as found:
        yield found


@pytest.fixture(autouse=True)
def many_shards():
    with changed(least_shard_seconds=1e-9, state_bytes_per_second=1e12):
        yield


def no_client():
    raise ValueError("No global client found and no address provided")


def states(found):
    return {node: dump_state(one.state) for node, one in found.items()}


@pytest.mark.parametrize("options", CHOICES.values(), ids=CHOICES)
def test_a_job_makes_what_a_call_makes(log, client, tmp_path, options):
    job = covdist.submit(log, job=tmp_path / "job", client=client, **options).wait()
    expected = {node: one.compute() for node, one in log_moments(log, Selection(**options)).items()}
    assert states(job.result()) == states(covdist.load(tmp_path / "job")) == states(expected)
    assert {node: one.layout.provenance for node, one in job.result().items()} == {
        node: one.layout.provenance for node, one in expected.items()
    }
    assert job.status()["shards"] > 2 * len(expected)


@pytest.mark.parametrize("options", [{}, {"by": "epoch"}, {"max_columns": 0}], ids=str)
def test_a_job_fills_gaps_as_a_call_does(client, tmp_path, options):
    path = logs.healthy(tmp_path / "log.zarr").path
    activation = zarr.open_group(path)["fc1/activation"]
    rows = activation[:]
    rows[::7, 0] = rows[30:130, 2] = rows[:50, 3] = np.nan
    activation[:] = rows
    asked = {"layer": "fc1", "var": "activation", "missing": "interpolate", **options}
    job = covdist.submit(path, job=tmp_path / "job", client=client, **asked).wait()
    (expected,) = log_moments(path, Selection(**asked)).values()
    assert dump_state(job.result().state) == dump_state(expected.compute().state)
    assert int(job.result().dataset["nans"].sum()) == 29 + 100 + 50
    assert job.status()["shards"] > 4


def test_the_same_question_is_the_same_job(log, client, tmp_path):
    job = covdist.submit(log, job=tmp_path / "job", client=client)
    again = covdist.submit(log, job=tmp_path / "job", client=client)
    assert again.id == job.id == covdist.Job(tmp_path / "job").id
    job.wait()
    assert job.directory.owners.current().term == 1
    with pytest.raises(JobError, match="choose another directory"):
        covdist.submit(log, job=tmp_path / "job", client=client, by="epoch")


def test_one_question_in_two_directories_is_two_jobs(log, client, tmp_path):
    both = [covdist.submit(log, job=tmp_path / name, client=client) for name in "ab"]
    first, second = (job.wait() for job in both)
    assert first.id == second.id
    assert states(first.result()) == states(second.result())
    for job in (first, second):
        assert job.directory.progress()["folds_started"] == job.status()["shards"]
        assert not job.status()["failures"]


def test_a_job_on_a_store_that_is_no_disk(log, client, tmp_path):
    job = covdist.submit(log, job=f"memory:/{tmp_path}", client=client, output=tmp_path / "out.zarr").wait()
    assert states(job.result()) == states(covdist.load(tmp_path / "out.zarr"))


def test_a_job_that_is_done_still_writes_to_an_output(log, client, tmp_path):
    job = covdist.submit(log, job=tmp_path / "job", client=client).wait()
    covdist.submit(log, job=tmp_path / "job", client=client, output=tmp_path / "out.zarr")
    assert states(covdist.load(tmp_path / "out.zarr")) == states(job.result())
    (tmp_path / "job" / "result.json").unlink()
    with pytest.raises(JobError, match=r"its own folder alone: .* pass .*other\.zarr to job\.deliver"):
        covdist.submit(log, job=tmp_path / "job", client=client, output=tmp_path / "other.zarr")
    covdist.submit(log, job=tmp_path / "job", client=client).wait().deliver(tmp_path / "other.zarr")
    assert states(covdist.load(tmp_path / "other.zarr")) == states(job.result())


def test_done_is_what_has_a_result(log, client, tmp_path):
    job = covdist.submit(log, job=tmp_path / "job", client=client).wait()
    expected = states(job.result())
    (tmp_path / "job" / "result.json").unlink()
    assert job.status()["status"] == "stopped"
    assert states(submitting.resume(tmp_path / "job", client).wait().result()) == expected
    assert job.directory.progress()["folds_started"] == 0


def _out_of_reach(job):
    raise OSError("the disk is gone")


def test_a_job_shows_itself(log, client, tmp_path, monkeypatch):
    job = covdist.submit(log, job=tmp_path / "job", client=client).wait()
    assert f"{job.id}" in repr(job)
    assert "done" in job._repr_html_()
    assert job.cancel() is False
    monkeypatch.setattr(covdist.Job, "status", _out_of_reach)
    for said in (repr(job), job._repr_html_()):
        assert f"covdist.Job {job.id}" in said


def test_nothing_is_left_on_the_cluster(log, client, tmp_path):
    covdist.submit(log, job=tmp_path / "job", client=client).wait()
    until(lambda: not client.cluster.scheduler.tasks)


def test_what_is_wrong_with_the_rows_is_said(client, tmp_path):
    log = logs.with_nan(tmp_path / "nan.zarr").path
    job = covdist.submit(log, job=tmp_path / "job", client=client)
    with pytest.raises(JobError, match=f"fc1/gradient holds .* at row {logs.BAD_ROW}"):
        job.wait()
    assert job.status()["status"] == "failed"
    with pytest.raises(ResultError, match="covdist status"):
        covdist.load(tmp_path / "job")
    with pytest.raises(JobError, match="failed"):
        job.result()


def test_an_input_that_has_changed_is_named(client, tmp_path):
    log = logs.healthy(tmp_path / "log.zarr").path
    covdist.submit(log, job=tmp_path / "job", client=client).wait()
    zarr.open_array(log / "fc1" / "gradient")[:2] = np.ones((2, logs.PARAMS))
    job = tmp_path / "job"
    for call in (lambda: submitting.resume(job, client), lambda: covdist.submit(log, job=job)):
        with client.as_current(), pytest.raises(JobError, match=r"has changed .*fc1/gradient"):
            call()


def test_too_little_memory_is_refused_before(log, client, tmp_path, monkeypatch):
    monkeypatch.setattr(driving, "least_memory", lambda client: 1 << 20)
    with pytest.raises(PlanError, match="1 MiB"):
        covdist.submit(log, job=tmp_path / "job", client=client)
    assert not (tmp_path / "job").exists()


def test_another_version_on_a_worker_is_refused(log, client, tmp_path, monkeypatch):
    found = client.get_versions(packages=["covdist"])
    next(iter(found["workers"].values()))["packages"] = {**found["client"]["packages"], "covdist": "0.0.1"}
    monkeypatch.setattr(client, "get_versions", lambda packages: found)
    with pytest.raises(ClusterError, match=r"covdist 0\.0\.1 but here it is"):
        covdist.submit(log, job=tmp_path / "job", client=client)


def test_wrong_calls_are_refused(log, client, tmp_path):
    with pytest.raises(DataError, match="selection and by"):
        covdist.submit(log, job=tmp_path, client=client, selection=Selection(), by="epoch")
    with pytest.raises(DataError, match=r"no option weights, axis: a job takes layer, .* such as weights, fold"):
        covdist.submit(log, job=tmp_path / "job", client=client, weights=[1.0], axis=0)
    with pytest.raises(DataError, match="tiles"):
        covdist.submit(log, job=tmp_path / "job", client=client, max_columns=1, beyond="tiles")
    with pytest.raises(JobError, match="credentials"):
        covdist.Job("s3://me:secret@bucket/jobs/1")
    with pytest.raises(JobError, match="credentials"):
        covdist.submit("https://me:secret@example.org/log.zarr", job=tmp_path / "job", client=client)
    with pytest.raises(CovdistError, match="not a job directory"):
        covdist.Job(tmp_path)


def test_somebody_has_to_run_it(log, tmp_path, monkeypatch):
    monkeypatch.setattr(submitting, "get_client", no_client)
    with pytest.raises(ClusterError, match="no dask client"):
        covdist.submit(log, job=tmp_path / "job")


def test_a_job_that_has_no_room_is_refused_before_anything_is_written(log, client, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=100))
    with pytest.raises(ResultError, match="its disk has 100 B free"):
        covdist.submit(log, job=tmp_path / "job", client=client)
    assert not list(tmp_path.iterdir())


def test_a_job_that_has_begun_needs_no_room_again(log, client, tmp_path, monkeypatch):
    covdist.submit(log, job=tmp_path / "job", client=client).wait()
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=100))
    assert covdist.submit(log, job=tmp_path / "job", client=client).wait().status()["status"] == "done"


def test_a_place_that_cannot_be_written_is_said(log, client):
    with pytest.raises((JobError, ResultError), match="choose another"):
        covdist.submit(log, job="/proc/nowhere/job", client=client)
