"""Words on the command line mean what they say: options given twice, several dims, names that look like patterns."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner, Result
from distributed import Client

import covdist
from covdist.cli import main
from covdist.commands.options import Command
from covdist.errors import DataError, JobError
from covdist.folding.selection import Selection

MAPS = np.random.default_rng(0).normal(3, 1, (14, 3, 4, 5))
WORDS = {
    "--dim sample --dim h --dim w": 280,
    "--dim sample,h,w": 280,
    "--dim sample --dim h,w": 280,
    "--dim sample": 14,
}


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("maps") / "maps.zarr"
    xr.Dataset({"a": (("sample", "c", "h", "w"), MAPS)}).to_zarr(path, zarr_format=2)
    return path


@pytest.fixture(scope="module")
def client():
    with Client(processes=False, dashboard_address="127.0.0.1:0", n_workers=1, threads_per_worker=1) as found:
        yield found


@pytest.mark.parametrize("words", WORDS)
def test_dims_add_up(maps, words):
    (plan,) = json.loads(call("plan", maps, "--json", *words.split()).stdout).values()
    assert (plan["rows"], plan["columns"]) == (WORDS[words], str(MAPS.size // WORDS[words]))


def options(command: click.Command) -> list[click.Option]:
    return [option for option in command.params if isinstance(option, click.Option)]


@pytest.mark.parametrize("name", sorted(main.commands))
def test_an_option_given_twice_adds_up_or_is_refused(name):
    command = main.commands[name]
    assert isinstance(command, Command)
    for option in options(command):
        if not (option.is_flag or option.multiple):
            word = option.opts[-1]
            said = call(name, word, "1", word, "2")
            assert (said.exit_code, f"{word} was given 2 times" in said.output) == (2, True), said.output


def test_submit_offers_only_what_it_takes():
    offered = {option.name for option in options(main.commands["submit"])}
    assert not offered & {"workers", "threads", "memory_limit"}
    text = call("submit", "--help").output
    assert "this machine" not in re.sub(r"\s+", " ", text)
    assert call("submit", "x", "--workers", 2).exit_code == 2
    assert "tiles" not in text
    refused = call("submit", "x", "-o", "y", "--beyond", "tiles")
    assert (refused.exit_code, "'tiles' is not 'variances'" in refused.output) == (2, True)


@pytest.mark.parametrize("command", ["run x -o y", "resume x", "demo -o y"])
@pytest.mark.parametrize("local", ["--workers 2", "--threads 1", "--memory-limit 1GiB"])
@pytest.mark.parametrize("named", ["--scheduler tcp://127.0.0.1:1", "--scheduler-file z"])
def test_workers_of_a_named_scheduler_are_its_own(command, local, named):
    done = call(*command.split(), *local.split(), *named.split())
    assert (done.exit_code, f"{local.split()[0]} is for workers on this machine" in done.stderr) == (2, True), (
        done.output
    )


# ---- jobs


@pytest.mark.parametrize("dim", [("sample", "h", "w"), ["sample", "h", "w"], ["sample"], "sample"], ids=str)
def test_jobs_of_several_sample_dims(maps, client, tmp_path, dim):
    job = covdist.submit(maps, job=tmp_path / "job", dim=dim, client=client).wait()
    expected = covdist.moments(covdist.open_log(maps)["a"], dim=dim).compute()
    np.testing.assert_array_equal(job.result().cov(), expected.cov())
    assert covdist.submit(maps, job=tmp_path / "job", dim=dim, client=client).id == job.id


@pytest.mark.parametrize(
    "by",
    [
        np.arange(14) % 3, (np.arange(14) % 3) / np.float32(3), np.array(["a", "bc"])[np.arange(14) % 2],
        xr.DataArray(np.arange(14) % 3, dims="sample", name="fold"), [0, 1] * 7,
        np.datetime64("2024-01-01", "s") + np.arange(14) % 2,
    ],
    ids=["int", "float32", "text", "named", "list", "time"],
)  # fmt: skip
def test_jobs_by_one_value_per_sample(maps, by):
    selection = Selection(dim="sample", by=by)
    again = Selection(**json.loads(json.dumps(selection.asked())))
    assert again.asked() == selection.asked()
    np.testing.assert_array_equal(np.asarray(again.by), np.asarray(by))
    assert np.asarray(again.by).dtype == np.asarray(by).dtype
    assert getattr(again.by, "name", None) == getattr(by, "name", None)


def test_a_job_by_one_value_per_sample(maps, client, tmp_path):
    by = xr.DataArray(np.arange(14) % 3, dims="sample", name="fold")
    job = covdist.submit(maps, job=tmp_path / "job", dim="sample", by=by, client=client).wait()
    expected = covdist.moments(covdist.open_log(maps)["a"], dim="sample", by=by).compute()
    assert job.result().dataset.identical(expected.dataset)


def test_objects_are_no_groups_of_a_job(maps, client, tmp_path):
    with pytest.raises(DataError, match="which a job cannot write down"):
        covdist.submit(maps, job=tmp_path / "job", by=np.array([None] * 14), client=client)
    assert not list(tmp_path.iterdir())


def test_folders_and_ids_of_jobs(maps, client, tmp_path):
    job = covdist.submit(maps, output=tmp_path / "out.zarr", client=client).wait()
    assert job.path == str(tmp_path / "out.zarr.job")
    for named in (job.path, job.id):
        assert json.loads(call("status", named, "--json").stdout)["path"] == job.path
        assert [one["path"] for one in json.loads(call("jobs", named, "--json").stdout)] == [job.path]
        assert call("wait", named, "--json").exit_code == call("resume", named, "--json").exit_code == 0
        assert call("cancel", named).output == "nobody drives it\n"
    with pytest.raises(JobError, match="does not name a single job, this user has begun none"):
        covdist.Job("0" * 16)
    covdist.submit(maps, job=tmp_path / "again", client=client).wait()
    with pytest.raises(JobError, match=r"out\.zarr\.job and in .*again: pass the job's folder"):
        covdist.Job(job.id)


def test_a_job_needs_a_folder_or_an_output(maps, client):
    with pytest.raises(DataError, match="job and output are both missing"):
        covdist.submit(maps, client=client)
    assert "Missing option '-o'" in call("submit", maps, "--scheduler", "tcp://127.0.0.1:1").output


# ---- names that look like patterns


def test_a_literal_name_wins_over_the_pattern(tmp_path):
    for name in ("blocks0", "blocks[0]", "blocks[1]", "all*"):
        xr.Dataset({"a": (("sample", "unit"), np.eye(3))}).to_zarr(tmp_path / "log.zarr", group=name, zarr_format=2)
    for words, found in {"blocks[0]": ["blocks[0]"], "/blocks[1]": ["blocks[1]"], "all*": ["all*"]}.items():
        assert list(json.loads(call("plan", tmp_path / "log.zarr", "--json", "--layer", words).stdout)) == found
    planned = call("plan", tmp_path / "log.zarr", "--json", "--layer", "blocks*")
    assert sorted(json.loads(planned.stdout)) == ["blocks0", "blocks[0]", "blocks[1]"]
