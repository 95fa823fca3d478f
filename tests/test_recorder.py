"""Recorder: what is logged is what is read, also after a crash at any point."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError, ResultError
from covdist.logs.opening import open_log
from covdist.record.recorder import Recorder
from covdist.storage.pages import Parts
from covdist.storage.place import Folder
from tests.child import child

RNG = np.random.default_rng(0)


def call(step: int, rows: int = 3) -> dict[str, np.ndarray]:
    return {
        "fc1/activation": np.full((rows, 4), step, "f4"),
        "fc1/input": np.full((rows, 7), step, "f8"),
        "fc1/label": np.full(rows, step, "i4"),
        "fc1/gradient": np.full((2, 3), step, "f4"),
        "loss": np.float64(step),
    }


def test_round_trip(tmp_path):
    with Recorder(tmp_path / "log", chunk_bytes=100) as rec:
        for step in range(10):
            rec.log(step, call(step, rows=step % 3 + 1), epoch=step // 4)
    tree = open_log(tmp_path / "log")
    steps = np.repeat(np.arange(10), np.arange(10) % 3 + 1)
    node = tree["fc1"].ds
    assert {name: node[name].dims for name in ("activation", "input", "gradient")} == {
        "activation": ("sample", "unit"), "input": ("sample", "input_unit"), "gradient": ("step", "param"),
    }  # fmt: skip
    np.testing.assert_array_equal(node["activation"], np.repeat(steps[:, None], 4, 1))
    np.testing.assert_array_equal(node["input"], np.repeat(steps[:, None], 7, 1))
    np.testing.assert_array_equal(node["gradient"], np.repeat(np.arange(10)[:, None], 6, 1))
    assert set(node.coords) == {"step", "epoch", "sample_step", "sample_epoch", "label"}
    np.testing.assert_array_equal(node["sample_epoch"], steps // 4)
    np.testing.assert_array_equal(node["label"], steps)
    assert node.indexes["step"].tolist() == list(range(10))
    np.testing.assert_array_equal(tree["loss"], np.arange(10))


def test_others_can_read_it(tmp_path):
    with Recorder(tmp_path / "log", chunk_bytes=100) as rec:
        rec.log(0, call(0))
        rec.log(1, {**call(1), "fc1/extra": np.zeros((2, 2))})
    group = zarr.open_group(str(tmp_path / "log"), mode="r")
    assert group.attrs["covdist"] == 1
    np.testing.assert_array_equal(group["fc1/activation"][:, 0], [0, 0, 0, 1, 1, 1])
    with xr.open_datatree(tmp_path / "log", engine="zarr", consolidated=False) as tree:
        assert tree["fc1/gradient"].shape == (2, 6)


@pytest.mark.parametrize("dtype", ["bool", "i1", "u2", "i8", "f2", "f4", "f8", ">f4"])
def test_dtypes(tmp_path, dtype):
    data = RNG.integers(0, 2, (5, 2)).astype(dtype)
    with Recorder(tmp_path / "log") as rec:
        rec.log(0, {"a": data})
    found = open_log(tmp_path / "log")["a"]
    assert found.dtype == np.dtype(dtype).newbyteorder("<")
    np.testing.assert_array_equal(found, data)


def test_all_chunks_exist_and_are_about_as_large_as_asked(tmp_path):
    with Recorder(tmp_path / "log", chunk_bytes=1000) as rec:
        for step in range(40):
            rec.log(step, {"fc1/gradient": np.zeros(50, "f4")})
    assert zarr.open_array(str(tmp_path / "log/fc1/gradient")).chunks == (5, 50)
    assert open_log(tmp_path / "log")["fc1/gradient"].values.sum() == 0
    assert len(list((tmp_path / "log/fc1/gradient").iterdir())) == 9
    assert len(list((tmp_path / "log/fc1/step").iterdir())) == 2


def test_arrays_that_come_apart_get_their_own_dim(tmp_path):
    with Recorder(tmp_path / "log", chunk_bytes=64) as rec:
        for step in range(20):
            arrays = {"fc1/gradient": np.full(3, step), "fc1/activation": np.full((2, 3), step)}
            if step % 5 == 0:
                arrays["fc1/weight"] = np.full(3, step)
            if step >= 7:
                arrays["fc1/late"] = np.full((4, 2), step)
            rec.log(step, arrays, epoch=step // 10)
    node = open_log(tmp_path / "log")["fc1"].ds
    assert node["weight"].dims == ("weight_step", "param")
    assert node["late"].dims == ("late_sample", "late_unit")
    np.testing.assert_array_equal(node["weight"][:, 0], [0, 5, 10, 15])
    np.testing.assert_array_equal(node["weight_step"], [0, 5, 10, 15])
    np.testing.assert_array_equal(node["weight_step_epoch"], [0, 0, 1, 1])
    np.testing.assert_array_equal(node["late_sample_step"], np.repeat(np.arange(7, 20), 4))
    np.testing.assert_array_equal(node["step"], np.arange(20))
    with Recorder(tmp_path / "log", mode="a") as rec:
        rec.log(20, {"fc1/weight": np.full(3, 20)}, epoch=2)
    assert open_log(tmp_path / "log")["fc1/weight"][-1, 0] == 20


def test_modes(tmp_path):
    Recorder(tmp_path / "log").close()
    with pytest.raises(ResultError, match=r'exists already: .*mode="a"'):
        Recorder(tmp_path / "log")
    (tmp_path / "other").mkdir()
    with pytest.raises(ResultError, match="not a log of format 1"):
        Recorder(tmp_path / "other", mode="a")
    with pytest.raises(DataError, match="mode='w' is unknown"):
        Recorder(tmp_path / "log", mode="w")
    with pytest.raises(DataError, match="chunk_bytes"):
        Recorder(tmp_path / "new", chunk_bytes=0)


@pytest.mark.parametrize(
    ("arrays", "coordinates", "message"),
    [
        ({"fc1/activation": np.zeros((2, 5), "f4")}, {}, r"shape \(5,\), expected \(4,\)"),
        ({"fc1/new": np.zeros((2, 5), complex)}, {}, "dtype complex128"),
        ({"fc1/new": np.array([{}])}, {}, "dtype object"),
        ({"fc1/new": np.zeros((2, 0))}, {}, "at least one value"),
        ({"fc1/gradient": np.zeros(0, "f4")}, {}, "at least one value"),
        ({"fc1": np.zeros((2, 2))}, {}, "fc1 cannot be an array"),
        ({"fc1/step": np.zeros((2, 2))}, {}, "fc1/step cannot be an array"),
        ({"fc1/activation/x": np.zeros((2, 2))}, {}, "cannot be an array"),
        (
            {"fc9/epoch": np.zeros(2), "fc9/gradient": np.zeros(2)},
            {"epoch": 1},
            "fc9/epoch cannot be an array",
        ),
        ({"../x": np.zeros((2, 2))}, {}, "cannot name"),
        ({"a//x": np.zeros((2, 2))}, {}, "cannot name"),
        ({"a/zarr.json": np.zeros((2, 2))}, {}, "cannot name"),
        ({"fc1/activation": np.zeros((2, 4), "f4")}, {"epoch": 3}, "same ones in every call"),
        ({"fc2/activation": np.zeros((2, 4), "f4")}, {"epoch": [3]}, "give one number"),
    ],
)
def test_refusals_leave_the_log_as_it_was(tmp_path, arrays, coordinates, message):
    with Recorder(tmp_path / "log") as rec:
        rec.log(0, call(0))
        with pytest.raises(DataError, match=message):
            rec.log(1, arrays if coordinates else {**call(1), **arrays}, **coordinates)
        with pytest.raises(DataError, match=r"step is 1\.5"):
            rec.log(1.5, call(1))
        rec.log(1, call(1))
    tree = open_log(tmp_path / "log")
    assert {child: tree["fc1"].ds[child].shape[0] for child in ("activation", "gradient", "label")} == {
        "activation": 6, "gradient": 2, "label": 6,
    }  # fmt: skip
    assert set(tree.children) == {"fc1"}


def test_log_after_close(tmp_path):
    rec = Recorder(tmp_path / "log")
    rec.close()
    rec.close()
    with pytest.raises(ResultError, match="is closed"):
        rec.log(0, call(0))


def test_flush_makes_rows_visible(tmp_path):
    rec = Recorder(tmp_path / "log")
    rec.log(0, call(0))
    rec.flush()
    assert open_log(tmp_path / "log")["fc1/activation"].shape == (3, 4)
    rec.log(1, call(1))
    rec.flush()
    np.testing.assert_array_equal(open_log(tmp_path / "log")["fc1/label"], [0, 0, 0, 1, 1, 1])


def test_url(tmp_path):
    for step, mode in enumerate(("x", "a")):
        with Recorder("memory://test-recorder", mode=mode, chunk_bytes=50) as rec:
            rec.log(step, call(1))
    assert open_log("memory://test-recorder")["fc1/activation"].values.sum() == 24


KILLED = """
import sys, numpy as np
from covdist.record.recorder import Recorder
rec = Recorder(sys.argv[1], mode=sys.argv[2], chunk_bytes=256)
for step in range(first := int(sys.argv[3]), 10**9):
    rec.log(step, {"fc1/activation": np.full((3, 4), step, "f4"), "fc1/input": np.full((3, 7), step, "f8"),
                   "fc1/gradient": np.full(6, step, "f4"), "loss": float(step)}, epoch=step // 10)
    if step == first + 50:
        print("ready", flush=True)
"""


def test_killed_then_continued(tmp_path):
    path = str(tmp_path / "log")
    for mode, first in (("x", 0), ("a", 10**6), ("a", 2 * 10**6)):
        command = [sys.executable, "-c", KILLED, path, mode, str(first)]
        with child(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            os.kill(process.pid, signal.SIGKILL)
        check_prefix(path)
    with Recorder(path, mode="a", chunk_bytes=256) as rec:
        rec.log(10**7, {"fc1/activation": np.full((3, 4), 10**7, "f4"), "fc1/input": np.full((3, 7), 1e7)}, epoch=0)
    node = open_log(path)["fc1"].ds
    assert node["activation"].sizes["sample"] == node["input"].sizes["sample"]
    assert node["sample_step"].values[-1] == 10**7
    check_prefix(path)


def check_prefix(path: str) -> None:
    """Every row of every array holds its own step, and steps only begin anew where a run did."""
    for node in open_log(path).subtree:
        for name, variable in node.ds.variables.items():
            rows = np.asarray(variable).reshape(variable.shape[0], -1)
            assert (rows == rows[:, :1]).all()
            assert np.isin(np.diff(rows[:, 0]), (0, 1)).sum() >= len(rows) - 4, name


class CrashError(Exception):
    pass


def test_crash_at_every_single_write(tmp_path, monkeypatch):
    left = [0]

    def counted(real):
        def write(self, name, *given):
            if left[0] == 0:
                if real is add and self.get(name) is None:
                    add(self, name, Parts([b"a half"]))
                raise CrashError
            left[0] -= 1
            return real(self, name, *given)

        return write

    add = Folder.add
    for name in ("put", "add", "swap"):
        monkeypatch.setattr(Folder, name, counted(getattr(Folder, name)))
    for amount in range(1, 120, 4):
        path = str(tmp_path / f"{amount}")
        left[0] = amount
        rec = Recorder(path, chunk_bytes=120)
        with pytest.raises(CrashError):
            record(rec)
        left[0] = -1
        if {file.parent.name for file in (tmp_path / f"{amount}").rglob("fc1/*/zarr.json")} - {
            "sample_step",
            "sample_epoch",
        }:
            check_prefix(path)
        with Recorder(path, mode="a", chunk_bytes=120) as rec:
            rec.log(99, call(99), epoch=9)
        node = open_log(path)["fc1"].ds
        assert node["activation"].values[-3:].tolist() == [[99.0] * 4] * 3
        assert node[f"{node['activation'].dims[0]}_step"].values[-3:].tolist() == [99] * 3
        assert (node["activation"][:, 0].values == node[f"{node['activation'].dims[0]}_step"].values).all()


def record(rec: Recorder) -> None:
    for step in range(10**6):
        arrays = call(step)
        if step % 4 == 0:
            arrays["fc1/weight"] = np.full(6, step)
        rec.log(step, arrays, epoch=step // 5)


@settings(deadline=None, max_examples=30)
@given(
    batches=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.booleans()), min_size=1, max_size=12),
    chunk_bytes=st.integers(1, 300), reopened=st.booleans(),
)  # fmt: skip
def test_any_sequence_of_calls_gives_back_the_concatenation(batches, chunk_bytes, reopened):
    expected: dict[str, list[np.ndarray]] = {}
    steps: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/log"
        rec = Recorder(path, chunk_bytes=chunk_bytes)
        for step, (rows, others, graded) in enumerate(batches):
            arrays = {"n/a": RNG.normal(size=(rows, 3)), "n/b": RNG.integers(0, 9, others)}
            if graded:
                arrays["n/gradient"] = RNG.normal(size=4).astype("f4")
            rec.log(step, arrays)
            for name, data in arrays.items():
                data = data[None] if name == "n/gradient" else data
                expected.setdefault(name, []).append(data)
                steps.setdefault(name, []).extend([step] * len(data))
            if reopened:
                rec.close()
                rec = Recorder(path, mode="a", chunk_bytes=chunk_bytes)
        rec.close()
        if not any(map(len, steps.values())):
            return
        node = open_log(path)["n"].ds
        for name, parts in expected.items():
            if not steps[name]:
                continue
            found = node[name.removeprefix("n/")]
            np.testing.assert_array_equal(found, np.concatenate(parts))
            dim = found.dims[0]
            mark = node[dim] if dim.endswith("step") else node[f"{dim}_step"]
            np.testing.assert_array_equal(mark, steps[name])


def test_samples_and_steps_are_grouped_by_the_same_word(tmp_path):
    with covdist.Recorder(tmp_path / "run.zarr") as recorder:
        for step in range(6):
            arrays = {"fc1/activation": np.ones((4, 2)), "fc1/gradient": np.ones(3)}
            recorder.log(step, arrays, epoch=step // 2)
    fc1 = covdist.open_log(tmp_path / "run.zarr")["fc1"]
    for name, dim, rows in (("activation", "sample", 8), ("gradient", "step", 2)):
        moments = covdist.moments(fc1[name], dim=dim, by="epoch").compute()
        assert [int(moments.sel(epoch=epoch).count) for epoch in range(3)] == [rows] * 3


@pytest.mark.parametrize("rank", [None, 0])
def test_scalars_and_labels_alone_have_coordinates_too(tmp_path, rank):
    with covdist.Recorder(tmp_path / "run.zarr", rank=rank) as recorder:
        for step in range(6):
            arrays = {"loss": step, "fc1/accuracy": -step, "fc1/label": [step, step + 2]}
            recorder.log(step, arrays, epoch=step // 2, split="train")
    log = covdist.open_log(tmp_path / "run.zarr")
    assert set(log.data_vars) == {"loss"}
    assert set(log["fc1"].data_vars) == {"accuracy", "label"}
    for name, dim, sign, shift in (
        ("loss", "step", 1, 0),
        ("fc1/accuracy", "step", -1, 0),
        ("fc1/label", "sample", 1, 1),
    ):
        for by in ("epoch", ("epoch", "split"), *(["rank"] if rank == 0 else [])):
            mean = covdist.moments(log[name], dim=dim, by=by).mean().compute().values.ravel()
            assert mean.tolist() == [sign * each + shift for each in ([2.5] if by == "rank" else [0.5, 2.5, 4.5])]
