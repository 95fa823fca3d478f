"""Each wrong input gives one sentence that names it, an exit code, and nothing at the output."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

import covdist
from covdist import plugins
from covdist.engine import cluster
from covdist.numerics.products import PRECISIONS

from . import logs, running
from .calling import output, sentence

LITTLE = ("1", "0", "-1", "0.5", "1 KB", "-4GiB", "249MiB")  # for dask, the first are shares of all, and none at all


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for one output, empty until then."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def refused(log: object, place: Path, *words: object, code: int = 1) -> str:
    said = sentence("run", log, "-o", place / "result", *words, code=code)
    assert not list(place.iterdir())
    return said


def refused_by_a_process(log: object, place: Path, *words: object) -> str:
    said = running.sentence("run", log, "-o", place / "result", *words)
    assert not list(place.iterdir())
    return said


def says(said: str, *expected: object) -> bool:
    return all(str(each) in said for each in expected)


# --- what is folded


def test_unknown_path(place):
    for refuse in (refused, refused_by_a_process):
        assert says(refuse(place.parent / "nowhere.zarr", place), "nowhere.zarr", "does not exist")


def text(path: Path) -> Path:
    path.write_text("step,loss\n")
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path.with_suffix(".npy"), array)
    return path.with_suffix(".npy")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (text, ["is not a log", "Zarr", ".npy", "10 bytes"]),
        (folder, ["is not a log", "an empty folder"]),
        (lambda path: logs.without_arrays(path).path, ["holds no arrays"]),
        (lambda path: saved(path, np.empty((0, 3))), ["gradient is empty", "'step': 0", "one row"]),
        (lambda path: saved(path, np.ones((3, 2), complex)), ["gradient", "complex128", "real"]),
        (lambda path: saved(path, np.array([[{}, {}]])), ["gradient", "pickled Python objects"]),
    ],
    ids=["text", "empty folder", "no arrays", "no rows", "complex", "objects"],
)
def test_no_log_of_numbers(make: Callable[[Path], Path], expected, place):
    assert says(refused(make(place.parent / "gradient"), place), *expected)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--dim", "epochs"], ["activation has no dim 'epochs'", "'step', 'unit'"]),
        (["--layer", "fc7"], ["'fc7'", "fc1/activation"]),
        (["--var", "loss"], ["'loss'", "fc1/activation"]),
        (["--var", "activation", "--against", "loss"], ["'loss'", "activation, gradient"]),
        (["--by", "label"], ["no coordinate 'label'", "'epoch'"]),
    ],
    ids=lambda words: words[-1],
)
def test_unknown_name(words, expected, log, place):
    assert says(refused(log.path, place, *words), *expected)


def test_plan_refuses_what_run_refuses(log):
    assert says(sentence("plan", log.path, "--dim", "epochs"), "no dim 'epochs'")


def test_rows_that_do_not_match(place):
    log = logs.ragged(place.parent / "ragged.zarr")
    said = refused(log.path, place, "--var", "activation", "--against", "gradient")
    assert says(said, "fc1/activation has 8", "fc1/gradient has 6")


# --- what only a worker meets


@pytest.mark.slow
def test_nan_on_the_own_cluster(nan_log, place):
    said = refused_by_a_process(nan_log.path, place, "--workers", "1")
    assert says(said, "fc1/gradient", f"row {logs.BAD_ROW}", f"column {logs.BAD_COLUMN}", "missing='drop'")


def test_nan_on_a_named_scheduler(nan_log, place, scheduler):
    said = refused(nan_log.path, place, "--scheduler", scheduler)
    assert says(said, "fc1/gradient", f"row {logs.BAD_ROW}", f"column {logs.BAD_COLUMN}")


def test_missing_chunk(place, scheduler):
    log = logs.one(place.parent / "log.zarr", np.ones((60, 3)))
    logs.chunk_file(log, 1).unlink()
    said = refused(log.path, place, "--scheduler", scheduler)
    assert says(said, "fc1/gradient: chunk c/1/0", "left out", "lost", "--missing-chunks fill")


@pytest.mark.parametrize("compressors", [None, [zarr.codecs.ZstdCodec()]], ids=["plain", "zstd"])
def test_truncated_chunk(compressors, place, scheduler):
    log = logs.one(place.parent / "log.zarr", np.ones((60, 3)), compressors=compressors)
    chunk = logs.chunk_file(log, 2)
    chunk.write_bytes(chunk.read_bytes()[:-3])
    said = refused(log.path, place, "--scheduler", scheduler)
    assert says(said, "fc1/gradient: chunk c/2/0 is damaged", "restore it")


# --- where it runs


def test_too_little_memory(log, place):
    said = refused_by_a_process(log.path, place, "--workers", "1", "--memory-limit", "251MiB")
    assert says(said, "but has 251 MiB", "needs 2", "more memory")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://127.0.0.1:9"])
def test_no_scheduler(address, log, place, monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    assert says(refused(log.path, place, "--scheduler", address), address, "check the address")


@pytest.mark.parametrize(("content", "found"), [(None, "does not exist"), ("{}", "names no scheduler")])
def test_no_scheduler_file(content, found, log, place):
    file = place.parent / "scheduler.json"
    if content is not None:
        file.write_text(content)
    assert says(refused(log.path, place, "--scheduler-file", file), str(file), found, "dask scheduler")


# --- how it is called


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--missing", "foo"], ["'--missing'", "'foo'", *plugins.names("missing")]),
        (["--missing", "DROPP"], ["'DROPP' is not one of", "'raise'; nearest is 'drop'"]),
        (["--precision", "foo"], ["'--precision'", "'foo'", *PRECISIONS]),
        (["--missing-chunks", "foo"], ["'--missing-chunks'", "'foo'", "raise", "fill"]),
        (["--workers", "0"], ["'--workers'", "0"]),
        (["--threads", "two"], ["'--threads'", "'two' is not a valid integer."]),
        (["--memory-limit", "much"], ["'--memory-limit'", "'much'", "4GiB"]),
        (["--memory-limit", "inf"], ["'inf' is not an amount of memory", "4GiB"]),
        (["--memory-limit", ""], ["'' is not an amount of memory", "4GiB"]),
        *((["--memory-limit", each], [f"'{each}' is ", "250 MiB that its process takes", "4GiB"]) for each in LITTLE),
        (["--scheduler", "a", "--scheduler-file", "b"], ["--scheduler and --scheduler-file", "one of them"]),
        (["--colour"], ["--colour"]),
    ],
    ids=lambda words: words[0],
)
def test_wrong_usage(words, expected, log, place):
    assert says(refused(log.path, place, *words, code=2), *expected)


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["--state", "ful"], "'full'"),
        (["--layer", "fc"], "fc1"),
        (["--var", "gradiant"], "gradient"),
        (["--against", "gradiant"], "gradient"),
    ],
)
def test_the_nearest_name_is_said(words, nearest, log, place):
    assert refused(log.path, place, *words).endswith(f"; nearest is {nearest}")


def test_states_that_only_options_stand_for_are_not_offered(log, place):
    said = refused(log.path, place, "--state", "unheard-of")
    offered = set(said.partition("pass one of ")[2].strip("'").split("', '"))
    assert offered == {
        "both", "both norms", "columnwise", "comoments", "cross", "full", "higher", "lagged", "norms", "sampled",
        "serial", "signs", "variances",
    }  # fmt: skip


@pytest.mark.parametrize("words", [["run", "log"], ["fold"]], ids=["no output", "unknown command"])
def test_wrong_command(words):
    assert says(sentence(*words, code=2), "'fold'" if words == ["fold"] else "--output")


# --- where it is written


@pytest.mark.parametrize("command", ["run", "merge", "demo"])
def test_existing_output(command, place, log):
    (place / "result").write_text("keep me")
    words = {"run": [log.path], "merge": ["any"], "demo": []}[command]
    said = sentence(command, *words, "-o", place / "result")
    assert says(said, place / "result", "exists already")
    assert (place / "result").read_text() == "keep me"


def test_no_folder_for_the_output(log, place):
    said = sentence("run", log.path, "-o", place / "none" / "result")
    assert says(said, place / "none", "does not exist")
    assert not list(place.iterdir())


@pytest.mark.parametrize("within", ["", "fc1"])
@pytest.mark.parametrize("option", ["-o", "--job"])
def test_output_within_a_zarr_log(option, within, place):
    log = logs.one(place / "log", np.eye(3)).path
    said = sentence("run", log, option, log / within / "result")
    assert says(said, log / within / "result", "would lie in", "choose a place outside of it")
    assert list(covdist.open_log(log).children) == ["fc1"]


def test_job_in_place_of_a_zarr_log(place):
    log = logs.one(place / "log", np.eye(3)).path
    assert says(sentence("run", log, "--job", log), log, "would lie in")
    (place / "thesis.txt").touch()
    assert says(sentence("run", log, "--job", place), place, "is no job directory, but holds")
    assert sorted(path.name for path in log.iterdir()) == ["fc1", "zarr.json"]


def test_output_within_a_result(place):
    covdist.moments(np.eye(3)).save(place / "result")
    said = sentence("read", place / "result", "cov", "-o", place / "result" / "cov.zarr")
    assert says(said, "would lie in", place / "result")
    assert "cov.zarr" not in os.listdir(place / "result")


def test_output_with_a_name_that_is_too_long(log, place):
    said = sentence("run", log.path, "-o", place / ("x" * 250))
    assert says(said, "too long by", "choose a shorter one")
    assert not list(place.iterdir())


def test_output_at_a_link_to_nothing(log, place):
    (place / "result").symlink_to("nowhere")
    assert says(sentence("run", log.path, "-o", place / "result"), place / "result", "exists already")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder_for_the_output(log, place):
    place.chmod(0o500)
    assert says(refused(log.path, place), place, "not writable")


# --- results that are none


@pytest.mark.parametrize("make", [text, lambda path: logs.without_arrays(path).path])
def test_show_refuses_what_is_no_result(make, tmp_path):
    path = make(tmp_path / "other")
    assert says(sentence("show", path), path, "is not a covdist result")


def test_merge_refuses_what_is_no_result(place, log):
    said = sentence("merge", log.path, log.path, "-o", place / "result")
    assert says(said, log.path, "is not a covdist result")
    assert not list(place.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        "show {log}", "read {log} cov", "merge {result} {log} -o new", "compare {result} {log}",
        "export {log} --as npz -o new", "run {result} --update {log}", "run {log} --update {log}",
    ],
)  # fmt: skip
def test_a_log_in_the_place_of_a_result(words, log, tmp_path):
    covdist.moments(np.eye(3)).save(tmp_path / "r")
    said = sentence(*words.format(log=log.path, result=tmp_path / "r").split())
    assert says(said, f"{log.path} is not a covdist result, but a log", f"`covdist run {log.path} -o RESULT`")


@pytest.mark.parametrize("command", ["inspect", "health", "plan"])
def test_a_job_in_the_place_of_a_log(command, log, tmp_path):
    output("run", log.path, "--job", tmp_path / "job")
    assert says(sentence(command, tmp_path / "job"), "job is a job's folder, not a log", "`covdist status`")


def test_show_refuses_an_unknown_path(tmp_path):
    assert says(sentence("show", tmp_path / "nowhere"), tmp_path / "nowhere", "does not exist")


def test_damaged_result(place):
    result = place.parent / "result"
    covdist.moments(np.eye(3)).save(result)
    chunk = result / "scatter" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-3])
    assert says(sentence("show", result), result, "is damaged", "restore it")


# --- for whoever repairs it


def test_debug_shows_the_traceback(place):
    done = running.covdist("--debug", "plan", place / "nowhere")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "LogError" in done.stderr


def test_version():
    assert covdist.__version__ in output("--version")


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda _: b"", lambda _: b"[]"])
def test_a_damaged_result_is_not_called_a_log(tmp_path, damage):
    result = tmp_path / "result.zarr"
    covdist.moments(np.eye(4)).save(result)
    metadata = result / "zarr.json"
    metadata.write_bytes(damage(metadata.read_bytes()))
    assert "a log" not in sentence("show", result)
