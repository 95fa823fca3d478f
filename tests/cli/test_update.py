"""``covdist run LOG --update RESULT``."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

import covdist

from . import logs
from .calling import output, sentence

VALUES = np.random.default_rng(3).normal(size=(200, 5))


@pytest.fixture
def log(tmp_path):
    return logs.one(tmp_path / "log.zarr", VALUES[:95]).path


def grow(log):
    zarr.open_group(log)["fc1/gradient"].append(VALUES[95:])


def test_new_rows_are_added(log, tmp_path):
    output("run", log, "-o", tmp_path / "result", "--missing", "drop")
    grow(log)
    (found,) = json.loads(output("run", log, "--update", tmp_path / "result", "--missing", "drop", "--json")).values()
    assert (found["rows"], found["columns"]) == (200, [5])
    np.testing.assert_allclose(covdist.load(tmp_path / "result").cov(), np.cov(VALUES.T, ddof=0), rtol=1e-10)
    assert "fc1" in output("run", log, "--update", tmp_path / "result")  # with the same options, and nothing new


def test_on_a_scheduler_and_of_a_job(log, tmp_path, scheduler):
    output("run", log, "-o", tmp_path / "result", "--job", tmp_path / "job", "--scheduler", scheduler, "--json")
    grow(log)
    said = sentence("run", log, "--update", tmp_path / "job")
    assert "is a job's folder: pass the result that the job wrote to its output" in said
    (found,) = json.loads(
        output("run", log, "--update", tmp_path / "result", "--scheduler", scheduler, "--json")
    ).values()
    assert found["rows"] == 200


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--missing", "drop"], "made with --missing raise, found drop: leave --missing out"),
        (["--precision", "fast"], "made with --precision high, found fast"),
        (["--by", "step"], "made with --by None, found step"),
        (["--layer", "fc*"], "made with --layer *, found fc*"),
        (["--state", "variances"], "made without --state, found ['variances']"),
        (["--missing-chunks", "fill"], "made with --missing-chunks raise, found fill"),
    ],
    ids=str,
)
def test_other_options_are_refused(log, tmp_path, words, said):
    output("run", log, "-o", tmp_path / "result")
    assert said in sentence("run", log, "--update", tmp_path / "result", *words)


@pytest.mark.parametrize("words", [["-o", "other"], ["--job", "job"]], ids=str)
def test_it_names_the_result_alone(log, words):
    assert "leave out -o and --job" in sentence("run", log, "--update", "result", *words, code=2)


def test_a_result_that_is_not_there(log, tmp_path):
    assert "does not exist: make it first, by `covdist run" in sentence("run", log, "--update", tmp_path / "none")
