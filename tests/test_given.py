"""What is passed where a path, a word, a flag or a number is meant: right ones of any kind, and wrong ones."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.errors import CovdistError, DataError
from covdist.folding.selection import Selection
from covdist.jobs.job import jobs_in
from covdist.jobs.submitting import submit
from covdist.limits import changed
from covdist.record.convert import convert
from covdist.storage.place import place_at


class _Named:
    """A path that is neither text nor a pathlib.Path."""

    def __init__(self, path: Any):
        self._path = path

    def __fspath__(self) -> Any:
        return self._path


class _Silent:
    """What cannot even say what it is."""

    def __repr__(self) -> str:
        raise RuntimeError("no name")

    __str__ = __repr__


class _Text(str):
    """Text of a class of its own."""


NUMBER = 3
ARRAY, TREE = np.ones((3, 2)), xr.DataTree(xr.Dataset({"x": ("sample", np.ones(3))}))
NO_PATHS = [
    None, True, 3, 2.5, np.float64(2.5), b"log", "", "a\0b", "\ud800", [], ["a"], {}, ARRAY, xr.DataArray(ARRAY),
    _Silent(), _Named(b"log"), object, (each for each in "ab"),
]  # fmt: skip
DOORS: dict[str, Callable[[Any], Any]] = {
    "open_log": covdist.open_log,
    "load": covdist.load,
    "load a file": lambda path: covdist.load(path, "fid", count=3),
    "save": lambda path: covdist.moments(ARRAY).save(path),
    "export": lambda path: covdist.moments(ARRAY).export(path, "fid"),
    "report": lambda path: covdist.report({"fc1/activation": covdist.moments(ARRAY)}, path),
    "Recorder": covdist.Recorder,
    "Recorder of moments": lambda path: covdist.Recorder(path, stats=2),
    "convert": lambda path: convert(TREE, path),
    "update": lambda path: covdist.update("log", path),
    "Job": covdist.Job,
    "jobs": jobs_in,
    "submit a log": lambda path: submit(path, job="job"),
}


def _name(value: object) -> str:
    return "silent" if isinstance(value, _Silent) else type(value).__name__


@pytest.mark.parametrize("wrong", NO_PATHS, ids=_name)
@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_path_is_refused(door, wrong, tmp_path, monkeypatch, request):
    if door == "submit a log":
        monkeypatch.setattr("covdist.jobs.submitting.get_client", lambda: request.getfixturevalue("no_client"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CovdistError, match=r"expected|which no file can be called"):
        DOORS[door](wrong)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def no_client():
    from distributed import Client

    return object.__new__(Client)


@pytest.mark.parametrize("kind", [str, _Text, np.str_, pathlib.Path, _Named])
def test_paths_of_any_kind(kind, tmp_path):
    m, place = covdist.moments(ARRAY), tmp_path / "a.zarr"
    m.save(kind(str(place)))
    assert int(covdist.load(kind(str(place))).count) == 3
    with covdist.Recorder(kind(str(tmp_path / "log.zarr"))) as rec:
        rec.log(0, {"fc1/activation": ARRAY})
    assert covdist.open_log(kind(str(tmp_path / "log.zarr")))["fc1/activation"].shape == (3, 2)


def test_no_result_lies_behind_a_url(tmp_path):
    for door in ("load", "save", "export", "report"):
        with pytest.raises(DataError, match=r"memory://a is a URL, expected a path on a disk"):
            DOORS[door]("memory://a")


def test_a_name_that_is_too_long_does_not_exist():
    with pytest.raises(CovdistError, match="does not exist"):
        covdist.load("a" * 5000)
    with pytest.raises(CovdistError, match="does not exist"):
        covdist.load("a" * 5000, "fid", count=3)


def test_a_protocol_that_nobody_knows():
    with pytest.raises(DataError, match=r"s3x://b/log cannot be reached .*: check its protocol"):
        place_at("s3x://b/log").names("")


@pytest.mark.parametrize("wrong", [None, "maybe", 2.5, ARRAY, np.empty(0), xr.DataArray(ARRAY), _Silent()], ids=_name)
def test_words_and_flags(wrong, tmp_path):
    for option in ("missing_chunks", "follow_links", "concat"):
        if wrong is not None or option != "concat":
            with pytest.raises(DataError, match=f"{option}=.*: pass"):
                covdist.open_log(tmp_path, **{option: wrong})
    for call in (
        lambda: covdist.Recorder(tmp_path / "log", mode=wrong),
        lambda: covdist.Recorder(tmp_path / "log", mode=wrong, stats=2),
        lambda: covdist.plan(ARRAY, variances_only=wrong),
    ):
        with pytest.raises(DataError, match=r"=.*: pass"):
            call()
    if wrong is not None:
        with pytest.raises(DataError, match=r"format=.*: pass one of 'fadtk'"):
            covdist.load(tmp_path, wrong)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("right", [True, np.True_, np.array(True)], ids=_name)
def test_flags_of_numpy(right, tmp_path):
    np.save(tmp_path / "x.npy", ARRAY)
    assert covdist.open_log(tmp_path, follow_links=right)["x"].shape == (3, 2)


@pytest.mark.parametrize("wrong", [True, -1, 0, float("nan"), "x", b"x", [], ARRAY, _Silent()], ids=_name)
def test_numbers_of_a_recorder(wrong, tmp_path):
    for option in ("chunk_bytes", "chunk", "shard", "every", "units", "project", "stats", "rank"):
        if option != "rank" or not isinstance(wrong, int) or wrong < 0:
            with pytest.raises(DataError, match=f"{option} must be"):
                covdist.Recorder(tmp_path / "log", **{option: {"*": wrong} if option == "every" else wrong})
    with pytest.raises(DataError, match="from_step"):
        covdist.Recorder(tmp_path / "log", from_step=wrong)
    for option in ("memory", "max_bytes"):
        with pytest.raises(DataError, match=f"{option} must be bytes"):
            covdist.Recorder(tmp_path / "log", **{option: wrong})
    assert os.listdir(tmp_path) == []


def test_numbers_of_numpy_in_a_recorder(tmp_path):
    options: dict[str, Any] = {"chunk": np.int64(2), "every": np.array(1), "memory": np.int64(1 << 20)}
    with covdist.Recorder(tmp_path / "log", rank=np.int64(0), units=xr.DataArray([1]).values, **options) as rec:
        rec.log(np.array(0), {"fc1/activation": ARRAY})
    assert covdist.open_log(tmp_path / "log")["fc1/activation"].shape == (3, 1)


@pytest.mark.parametrize("stats", [None, 2])
def test_bad_calls_of_log_leave_the_recorder_open(stats, tmp_path):
    with covdist.Recorder(tmp_path / "log", **({"stats": 2} if stats else {"every": {"other": 2}})) as rec:
        for arrays in (None, ARRAY, [("fc1/activation", ARRAY)], "fc1"):
            with pytest.raises(DataError, match="expected arrays by name"):
                rec.log(0, arrays)
        for name in (None, 3, b"fc1/a", ("fc1", "a"), "fc1/a\0b", "a" * 256, "é" * 128, "\ud800"):
            with pytest.raises(DataError, match="cannot name an array"):
                rec.log(0, {name: ARRAY})
        for step in (None, "1", 1.0, ARRAY, _Silent(), 2**63):
            with pytest.raises(DataError, match=r"step is .*, expected a whole number of 64 bits"):
                rec.log(step, {"fc1/activation": ARRAY})
        with pytest.raises(DataError, match="epoch=a _Silent is no coordinate"):
            rec.log(0, {"fc1/activation": ARRAY}, epoch=_Silent())
        rec.log(0, {"é" * 127: ARRAY, "fc1/activation": ARRAY})
        if stats is None:
            with pytest.raises(DataError, match="step is 'x'"):
                rec.wants("x", "other")
    if stats is None:
        assert covdist.open_log(tmp_path / "log")["fc1/activation"].shape == (3, 2)
    else:
        assert int(covdist.load(tmp_path / "log")["fc1/activation"].merge("window").count) == 3


@pytest.mark.parametrize("wrong", [NUMBER, 2.5, True, b"x", [3], ARRAY, object, _Silent()], ids=_name)
def test_fields_of_a_selection(wrong):
    for field in ("layer", "var", "against", "missing", "precision", "inf", "beyond", "state", "dim", "each"):
        with pytest.raises(DataError, match=rf"{field}=.*: pass"):
            Selection(**{field: wrong})
    for field in ("max_columns", "blocks"):
        with pytest.raises(DataError, match=f"{field} must be a whole number"):
            Selection(**{field: "x" if wrong is NUMBER else wrong})
    for by in ({}, {"a": 1}, xr.Dataset()):
        with pytest.raises(DataError, match="by is a mapping, expected the name of a coordinate"):
            Selection(by=by)


def test_a_selection_with_numbers_of_numpy_is_that_of_pythons():
    ours = Selection(max_columns=3, blocks=2, halflife=0.5, each=("h",), by=covdist.bins("step", width=2.0))
    theirs = Selection(
        max_columns=np.int64(3), blocks=np.int32(2), halflife=np.float32(0.5), each=np.array(["h"]),
        by=covdist.bins("step", width=np.float64(2)),
    )  # fmt: skip
    assert theirs.asked() == ours.asked()
    whole = [Selection(by=covdist.bins("step", width=width)).asked() for width in (100, np.int64(100), np.array(100))]
    assert whole[0] == whole[1] == whole[2]


def test_bins():
    for wrong in ([[1], [2, 3]], xr.Dataset(), True, 0, 2.0, _Silent(), 10**30):
        with pytest.raises(DataError, match="not a number of bins: pass a whole number"):
            covdist.bins("step", wrong)
    assert covdist.bins("step", np.array(2)).bins == covdist.bins("step", 2).bins == 2


def test_a_job_asks_for_a_selection_and_a_client(tmp_path):
    with pytest.raises(DataError, match="selection is a dict, expected a Selection"):
        submit(tmp_path, job=tmp_path / "job", selection={"layer": "fc1"})
    with pytest.raises(CovdistError, match=r"client is a str, expected a distributed\.Client"):
        submit(tmp_path, job=tmp_path / "job", client="tcp://host:8786")
    for name in ("pipe", "broken"):
        os.mkfifo(tmp_path / name) if name == "pipe" else os.symlink("nowhere", tmp_path / name)
        with pytest.raises(CovdistError, match="is not a folder"):
            jobs_in(tmp_path / name)


@pytest.mark.parametrize("wrong", [None, "8", [1], ARRAY, True, 0, _Silent()], ids=_name)
def test_limits(wrong):
    with (
        pytest.raises(DataError, match="the limit npy_chunk_bytes must be greater than 0"),
        changed(npy_chunk_bytes=wrong),
    ):
        pass


@pytest.mark.parametrize("count", [None, float("inf"), 2.5, 0, [[1], [2, 3]], xr.Dataset(), _Silent()], ids=_name)
def test_counts_of_other_tools(count, tmp_path):
    covdist.moments(ARRAY).export(tmp_path / "a.npz", "fid")
    if count is not None:
        with pytest.raises(DataError, match="is not a number of rows"):
            covdist.load(tmp_path / "a.npz", "fid", count=count)
    with pytest.raises(DataError, match="sample_size must be a whole number"):
        covdist.moments(ARRAY).export(tmp_path / "b.npz", "mom2", sample_size=2.5)


def test_a_report_names_what_it_cannot_show(tmp_path):
    m, place = covdist.moments(ARRAY), tmp_path / "r.html"
    with pytest.raises(DataError, match="found a Moments as 3: pass those"):
        covdist.report({3: m}, place)
    with pytest.raises(DataError, match="the name of a state is 3, expected"):
        covdist.export({3: m}, tmp_path / "out", "fid")
    with pytest.raises(DataError, match="dim=3 are no names"):
        covdist.report(TREE, place, dim=3)
    assert os.listdir(tmp_path) == []


def test_a_place_that_takes_no_file(tmp_path, monkeypatch):
    def refused(self: pathlib.Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(pathlib.Path, "write_text", refused)
    with pytest.raises(CovdistError, match=r"r\.html cannot be written .*: choose another place"):
        covdist.report({"fc1/activation": covdist.moments(ARRAY)}, tmp_path / "r.html")
    assert os.listdir(tmp_path) == []
