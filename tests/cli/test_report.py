"""``covdist report``: a page of a log, a result, or a job."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr
from distributed import Client

import covdist
from covdist.jobs.job import job_directory
from covdist.jobs.trees import JobPlan, question
from tests.jobs.clusters import CHUNK, cluster, patchy_log, saved, until
from tests.jobs.folded import Folds

from .calling import output, sentence

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "log.zarr"
    nodes = {
        f"/fc{number}": xr.Dataset(
            {
                "activation": (("sample", "unit"), RNG.normal(size=(60, 4))),
                "gradient": (("step", "param"), 10.0 ** (3 * number) * RNG.normal(size=(30, 5))),
            },
            {"step": np.arange(30)},
        )
        for number in (1, 2)
    }
    xr.DataTree.from_dict(nodes).to_zarr(path, zarr_format=2)
    return path


def test_of_a_log_and_of_a_result(log, tmp_path):
    assert output("report", log, "-o", tmp_path / "log.html") == f"a page in {tmp_path / 'log.html'}\n"
    page = (tmp_path / "log.html").read_text()
    assert "Gradients shrink" in page
    assert "Similarity of layers (CKA)" in page
    output("run", log, "-o", tmp_path / "result.zarr", "--by", "bins(step, 3)", "--var", "gradient")
    output("report", tmp_path / "result.zarr", "-o", tmp_path / "result.html")
    page = (tmp_path / "result.html").read_text()
    assert "Gradients shrink" in page
    assert "Gradient by step" in page


def test_of_a_job_before_and_after_it_runs(log, tmp_path):
    from covdist.folding.selection import Selection

    asked = question(log, Selection(var="activation"), missing_chunks="raise", output=None)
    JobPlan(asked).begin(job_directory(str(tmp_path / "job")))
    output("report", tmp_path / "job", "-o", tmp_path / "before.html")
    page = (tmp_path / "before.html").read_text()
    assert "No state is written down yet." in page
    assert "<progress" in page
    output("resume", tmp_path / "job", "--workers", "1")
    output("report", tmp_path / "job", "-o", tmp_path / "after.html")
    page = (tmp_path / "after.html").read_text()
    assert "fc2/activation" in page
    assert "<progress" not in page


def test_of_a_job_half_done(log, tmp_path):
    """States that a driver wrote down before it was killed are on the page."""
    from covdist.folding.selection import Selection
    from covdist.jobs.so_far import so_far
    from covdist.jobs.states import dump_state
    from covdist.rows.fold import fold

    asked = question(log, Selection(var="activation"), missing_chunks="raise", output=None)
    plan = JobPlan(asked)
    directory = job_directory(str(tmp_path / "job"))
    job = plan.begin(directory)
    function, *arguments = plan.work(directory, job).fold(plan.trees[0].root)
    assert function is fold
    directory.save(job, plan.trees[0].root, dump_state(fold(*arguments)))
    found = so_far(covdist.Job(tmp_path / "job"))
    assert list(found) == ["fc1"]
    expected = covdist.moments(covdist.open_log(log)["fc1/activation"], dim="sample")
    assert found["fc1"].dataset.equals(expected.compute().dataset)
    output("report", tmp_path / "job", "-o", tmp_path / "half.html")
    assert "of the 60 rows whose states" in (tmp_path / "half.html").read_text()


@pytest.mark.slow
def test_of_a_job_that_workers_are_at(tmp_path, monkeypatch):
    log = patchy_log(tmp_path / "log.zarr")
    for name, value in Folds(tmp_path / "folds", most=4).environment.items():
        monkeypatch.setenv(name, value)
    with cluster(tmp_path / "cluster", 1) as found, Client(found.address) as client:
        job = covdist.submit(log, job=tmp_path / "job", missing_chunks="fill", client=client)
        until(lambda: saved(tmp_path / "job") and job.status()["folded"])
        output("report", tmp_path / "job", "-o", tmp_path / "meanwhile.html")
    page = (tmp_path / "meanwhile.html").read_text()
    assert "The job is running." in page
    (rows,) = re.findall(r"of the ([\d,]+) rows whose states", page)
    assert 0 < int(rows.replace(",", "")) < 40_000 * CHUNK
    (folded,) = re.findall(r"<progress [^>]*max='(?:\d+)' value='(\d+)'>", page)
    assert int(folded) > 0
    assert "Correlation of 4 columns" in page


def test_what_it_refuses(log, tmp_path):
    (tmp_path / "there.html").write_text("mine")
    assert "exists already" in sentence("report", log, "-o", tmp_path / "there.html")
    assert "does not exist" in sentence("report", tmp_path / "none.zarr", "-o", tmp_path / "r.html")
    assert "no node of the log holds a variable 'g'" in sentence(
        "report", log, "-o", tmp_path / "r.html", "--gradient", "g", "--activation", "a"
    )
    assert "Missing option '-o'" in sentence("report", log, code=2)
    assert [each.name for each in tmp_path.iterdir()] == ["there.html"]
