"""A log that is read between two of the recorder's commits: values and their steps stay together."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr

import covdist
from covdist.errors import LogError
from covdist.record.column import Column
from covdist.record.recorder import Recorder
from tests.child import child

ARRAYS = ["activation", "input", "sample_step", "sample_epoch"]


def record(path: Path, rank: int | None = None) -> Path:
    with Recorder(path, rank=rank, chunk=4) as rec:
        for step in range(5):
            arrays = {"fc/activation": np.full((2, 3), step), "fc/input": np.full((2, 4), step), "fc/weight": [step]}
            rec.log(step, arrays, epoch=step)
    return path / (f"rank{rank}" if rank is not None else "") / "fc"


def set_rows(array: Path, rows: int) -> None:
    """Leave the metadata as a kill before their last commit would."""
    file = array / "zarr.json"
    metadata = json.loads(file.read_text())
    metadata["shape"][0] = rows
    file.write_text(json.dumps(metadata))


def check(node, rows: int) -> None:
    assert {name: node[name].sizes["sample"] for name in ARRAYS} == dict.fromkeys(ARRAYS, rows)
    steps = np.repeat(np.arange(5), 2)[:rows]
    for name in ARRAYS:
        assert np.array_equal(node[name].values.reshape(rows, -1 if rows else 1)[:, 0], steps)
    assert set(node["activation"].coords) == {"sample_step", "sample_epoch"}
    assert node["weight"].shape == (5, 1)
    assert node["step"].values.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("rows", [8, 5, 0])
@pytest.mark.parametrize("late", [["sample_step"], ["activation"], ["activation", "input"], ["sample_epoch", "input"]])
def test_a_kill_between_two_commits_leaves_the_rows_that_all_have(tmp_path, late, rows):
    folder = record(tmp_path / "log")
    for name in late:
        set_rows(folder / name, rows)
    check(covdist.open_log(tmp_path / "log")["fc"], rows)
    shutil.make_archive(str(tmp_path / "log"), "zip", tmp_path / "log")
    assert zipfile.is_zipfile(tmp_path / "log.zip")
    check(covdist.open_log(tmp_path / "log.zip")["fc"], rows)


def test_each_rank_is_cut_on_its_own(tmp_path):
    for rank, name in enumerate(["sample_step", "activation"]):
        set_rows(record(tmp_path / "log", rank) / name, 8 - rank)
    node = covdist.open_log(tmp_path / "log")["fc"]
    steps = np.repeat(np.arange(5), 2)
    assert node["sample_step"].values.tolist() == [*steps[:8], *steps[:7]]
    assert node["activation"][:, 0].values.tolist() == node["sample_step"].values.tolist()


def test_rows_come_back_when_all_are_counted(tmp_path):
    folder = record(tmp_path / "log")
    set_rows(folder / "activation", 6)
    before = covdist.open_log(tmp_path / "log")["fc"]
    set_rows(folder / "activation", 10)
    after = covdist.open_log(tmp_path / "log")["fc"]
    check(before, 6)
    check(after, 10)
    assert before["input"].data.name != after["input"].data.name


def test_arrays_of_others_keep_their_rows(tmp_path):
    record(tmp_path / "log")
    fc = zarr.open_group(tmp_path / "log", mode="a")["fc"]
    fc.create_array("found", data=np.ones((3, 2)), dimension_names=["sample", "component"])
    node = covdist.open_log(tmp_path / "log")["fc"]
    assert node["found"].shape == (3, 2)
    assert node["activation"].shape == (10, 3)


WRITER = """
import sys, numpy as np
from covdist.record.recorder import Recorder
with Recorder(sys.argv[1], chunk=2) as rec:
    for step in range(150):
        rec.log(step, {f"fc/{name}": np.full((1, 2), step) for name in "abxyz"}, epoch=step)
        if step == 1:
            print("ready", flush=True)
"""


def test_a_reader_beside_a_writer_finds_values_with_their_steps(tmp_path):
    path = str(tmp_path / "log")
    with child([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        looks = []
        while process.poll() is None:
            node = covdist.open_log(path)["fc"]
            assert set(node.coords) == {"sample_step", "sample_epoch"}
            assert {node[name].dims[0] for name in "abxyz"} == {"sample"}
            looks.append(node.sizes["sample"])
            for name in ("a", "z", "sample_step"):
                assert node[name].values.reshape(looks[-1], -1)[:, 0].tolist() == list(range(looks[-1]))
    assert process.returncode == 0
    assert looks == sorted(looks)
    assert covdist.open_log(path)["fc"].sizes["sample"] == 150


def test_a_look_at_any_moment_of_the_first_flush(tmp_path, monkeypatch):
    commit, seen, said = Column.commit, [], []

    def look(column: Column, length: int) -> None:
        commit(column, length)
        try:
            log = covdist.open_log(tmp_path / "log")
        except LogError as error:
            said.append("holds no arrays: record something into it first" in str(error))
            return
        arrays = {f"{node.path}/{name}": array for node in log.subtree for name, array in node.data_vars.items()}
        seen.append(set(arrays))
        marks = {"sample": {"sample_step", "sample_epoch"}, "step": {"step", "epoch"}}
        assert all(set(array.coords) == marks[array.dims[0]] for array in arrays.values())
        assert not {name for node in log.subtree for name in node.coords if not node.data_vars}

    monkeypatch.setattr(Column, "commit", look)
    record(tmp_path / "log")
    assert said
    assert all(said)
    assert {"/fc/activation"} in seen  # its neighbour's first rows are not counted yet
    assert seen[-1] == {"/fc/activation", "/fc/input", "/fc/weight"}


def test_coordinates_alone_are_there_where_an_array_is_damaged(tmp_path):
    folder = record(tmp_path / "log")
    for name in ("activation", "input"):
        (folder / name / "zarr.json").write_text("{")
    with pytest.warns(UserWarning, match="cannot be read"):
        node = covdist.open_log(tmp_path / "log")["fc"]
    assert node["sample_step"].sizes == {"sample": 10}
    assert covdist.open_log(folder / "sample_step")["sample_step"].sizes["sample"] == 10
