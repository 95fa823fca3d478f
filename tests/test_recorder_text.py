"""Labels of text are recorded as they are, and rows are grouped by them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import covdist
from covdist.errors import DataError
from covdist.logs.opening import open_log
from covdist.record.recorder import Recorder

SPLITS = ["train", "validation", "", "tëst ✓"]  # the second is wider than the first


def rows(step: int) -> np.ndarray:
    return np.random.default_rng(step).normal(size=(3, 2))


def record(rec: Recorder, steps: range) -> None:
    for step in steps:
        label = [f"class {(step + number) % 12}" for number in range(3)]
        arrays = {
            "fc1/activation": rows(step),
            "fc1/label": label,
            "fc1/gradient": rows(step)[0],
            "phase": SPLITS[step % 3],
        }
        rec.log(step, arrays, split=SPLITS[step % 4])


@pytest.mark.parametrize("place", ["folder", "memory"])
@pytest.mark.parametrize("chunk_bytes", [50, 8 << 20])
def test_text_is_kept_and_groups_rows(tmp_path, place, chunk_bytes):
    path = str(tmp_path / "log") if place == "folder" else f"memory:/{tmp_path}/log"
    for mode, steps in (("x", range(1)), ("a", range(1, 7)), ("a", range(7, 16))):
        with Recorder(path, mode=mode, chunk_bytes=chunk_bytes) as rec:
            record(rec, steps)
    log = open_log(path)
    split = [SPLITS[step % 4] for step in range(16)]
    fc1 = log["fc1"].ds
    assert fc1["split"].values.tolist() == split
    assert fc1["sample_split"].values.tolist() == [each for each in split for _ in range(3)]
    assert fc1["label"].values.tolist() == [f"class {(step + n) % 12}" for step in range(16) for n in range(3)]
    assert log["phase"].values.tolist() == [SPLITS[step % 3] for step in range(16)]
    for name, dim in (("activation", "sample"), ("gradient", "step")):
        found = covdist.moments(fc1[name], dim=dim, by="split").compute()
        data = np.stack([rows(step) if dim == "sample" else rows(step)[:1] for step in range(16)])
        for number, each in enumerate(SPLITS):
            expected = data[number::4].reshape(-1, 2)
            np.testing.assert_allclose(found.sel(split=each).var(), expected.var(axis=0), rtol=1e-12)
    assert int(covdist.moments(fc1["activation"], dim="sample", by="label").compute().sel(label="class 7").count) == 3


def test_others_read_it(tmp_path):
    with Recorder(tmp_path / "log") as rec:
        record(rec, range(5))
    assert zarr.open_array(str(tmp_path / "log/fc1/split"))[:].tolist() == [*SPLITS, SPLITS[0]]
    with xr.open_datatree(tmp_path / "log", engine="zarr", consolidated=False) as tree:
        assert tree["fc1/split"].values.tolist() == [*SPLITS, SPLITS[0]]


def test_ranks_whose_labels_have_other_lengths(tmp_path):
    for rank in range(2):
        with Recorder(tmp_path / "log", rank=rank) as rec:
            rec.log(0, {"a": np.full((2, 3), rank), "label": ["x" * (rank + 1)] * 2}, split=SPLITS[rank])
    log = open_log(tmp_path / "log")
    assert log["sample_split"].values.tolist() == [SPLITS[0]] * 2 + [SPLITS[1]] * 2
    assert log["label"].values.tolist() == ["x", "x", "xx", "xx"]
    assert int(covdist.moments(log["a"], dim="sample", by="split").compute().sel(split="validation").count) == 2


OBJECTS = np.array(["a", "bb", ""], object)
KINDS = [OBJECTS, OBJECTS.astype(str), OBJECTS.astype(">U9"), OBJECTS.tolist(), pd.Series(OBJECTS), tuple(OBJECTS)]


@pytest.mark.parametrize("value", KINDS, ids=lambda value: type(value).__name__)
def test_kinds_of_text(tmp_path, value):
    with Recorder(tmp_path / "log") as rec:
        rec.log(0, {"a": np.ones((3, 1)), "label": value}, split=np.str_("train"))
    assert open_log(tmp_path / "log")["label"].values.tolist() == ["a", "bb", ""]


REFUSED = [
    {"label": value}
    for value in (["a", 1], np.array(["a", None], object), [b"a"], np.ma.array(["a", "b"], mask=[0, 1]), [["a", "b"]])
]
REFUSED.append({"gradient": ["a", "b"]})


@pytest.mark.parametrize("arrays", REFUSED, ids=str)
def test_text_that_is_no_label_is_refused(tmp_path, arrays):
    with Recorder(tmp_path / "log") as rec:
        with pytest.raises(DataError, match=r"^(label|gradient) (has|is text) "):
            rec.log(0, arrays)
        with pytest.raises(DataError, match=r"is no coordinate: give one number or text"):
            rec.log(0, {"a": np.ones((2, 2))}, split=["a", "b"])


def test_text_and_numbers_are_not_mixed(tmp_path):
    with Recorder(tmp_path / "log") as rec:
        rec.log(0, {"label": ["a", "b"], "n": [1, 2]}, split="train")
        for arrays, split in (({"label": [1, 2]}, "train"), ({"n": ["a", "b"]}, "train"), ({"label": ["a"]}, 3)):
            with pytest.raises(DataError, match="no dtype holds both exactly"):
                rec.log(1, arrays, split=split)
        rec.log(1, {"label": ["c"], "n": [3]}, split="test")
    assert open_log(tmp_path / "log")["label"].values.tolist() == ["a", "b", "c"]
