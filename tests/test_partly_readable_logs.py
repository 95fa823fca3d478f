"""One array of a log that cannot be read leaves the others as they are, and says so where it is asked for."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

import covdist
from covdist.cli import main
from covdist.errors import LogError
from covdist.folding.selection import Selection, requests
from covdist.jobs.trees import JobPlan, question
from covdist.logs.opening import log_nodes

X = np.random.default_rng(0).normal(size=(20, 3)).astype("f4")


def zarr_log(folder: Path) -> Path:
    root = zarr.open_group(folder, mode="w")
    for name in ("fc1", "fc2", "fc3"):
        layer = root.create_group(name)
        layer.create_array("activation", data=X, dimension_names=("step", "unit"))
        layer.create_array("step", data=np.arange(20), dimension_names=("step",))
    return folder


def header(folder: Path, array: str, **changes: object) -> None:
    file = folder / array / "zarr.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def unknown_codec(folder: Path) -> None:
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "rot13"}]
    header(zarr_log(folder), "fc2/activation", codecs=codecs)


def no_json(folder: Path) -> None:
    (zarr_log(folder) / "fc2" / "activation" / "zarr.json").write_text("{")


def no_type(folder: Path) -> None:
    header(zarr_log(folder), "fc2/activation", data_type="float8_of_nobody")


def lying_shape(folder: Path) -> None:
    header(zarr_log(folder), "fc2/activation", shape=[10**15, 3])


def wrong_attribute(folder: Path) -> None:
    header(zarr_log(folder), "fc2/activation", attributes={"scale_factor": "two"})


def pipe(folder: Path) -> None:
    zarr_log(folder)
    (folder / "fc2" / "activation" / "zarr.json").unlink()
    (folder / "fc2" / "activation" / "zarr.json").symlink_to("/dev/zero")


def numpy_log(folder: Path) -> Path:
    for name in ("fc1", "fc2", "fc3"):
        (folder / name).mkdir(parents=True)
        np.save(folder / name / "activation.npy", X)
    return folder


def cut_npy(folder: Path) -> None:
    file = numpy_log(folder) / "fc2" / "activation.npy"
    file.write_bytes(file.read_bytes()[:-1])


def no_npy(folder: Path) -> None:
    (numpy_log(folder) / "fc2" / "activation.npy").write_bytes(b"no header")


def pickled(folder: Path) -> None:
    np.save(numpy_log(folder) / "fc2" / "activation.npy", np.array([{}, []], object))


def cut_npz(folder: Path) -> None:
    shutil.rmtree(numpy_log(folder) / "fc2")
    (folder / "fc2.npz").write_bytes(b"PK\x03\x04 cut off")


def npz_member(folder: Path) -> None:
    shutil.rmtree(numpy_log(folder) / "fc2")
    np.savez(folder / "fc2.npz", activation=np.array([{}, []], object))


DAMAGES = [unknown_codec, no_json, no_type, lying_shape, wrong_attribute, pipe, cut_npy, no_npy, pickled, cut_npz,
           npz_member]  # fmt: skip


@pytest.fixture(params=DAMAGES, ids=lambda damage: damage.__name__)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    damage: Callable[[Path], None] = request.param
    damage(tmp_path / "log")
    return tmp_path / "log"


def command(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(word) for word in words])
    return done.exit_code, done.output


def test_open_log_has_the_others_and_warns_once(log):
    with pytest.warns(UserWarning, match="fc2.* cannot be read .*the other arrays are there") as said:
        tree = covdist.open_log(log)
    assert len(said) == 1
    assert said[0].filename == __file__
    for name in ("fc1", "fc3"):
        np.testing.assert_array_equal(tree[f"{name}/activation"], X)
    with pytest.raises(LogError, match="fc2"):
        tree["fc2/activation"]
    with pytest.raises(KeyError):
        tree["fc1/nothing"]


def test_plan_shows_why_and_run_refuses(log, tmp_path):
    code, said = command("plan", log)
    assert code == 0
    assert "in all 2 arrays" in said
    assert "1 cannot be folded" in said
    assert "fc2" in said
    code, said = command("plan", log, "--json")
    records = json.loads(said)
    assert [path for path, record in records.items() if "rows" in record] == ["fc1", "fc3"]
    (error,) = [record["error"] for record in records.values() if "error" in record]
    code, said = command("run", log, "-o", tmp_path / "result")
    assert code == 1
    assert "1 of 3 arrays cannot be folded, such as fc2" in said
    assert "--layer" in said
    assert error.rstrip(".") in said
    assert not (tmp_path / "result").exists()


def test_naming_it_raises_its_own_sentence_and_naming_others_does_not(log):
    code, said = command("plan", log, "--layer", "fc2")
    assert code == 1
    assert "of 3 arrays" not in said
    assert "fc2" in said
    code, again = command("plan", log, "--layer", "fc2/activation")
    assert code == 1
    assert again == said or "nothing selected" in again  # of an archive, of which nobody knows what it holds
    for glob in ("fc1", "fc[13]"):
        code, said = command("plan", log, "--layer", glob)
        assert code == 0, said
        assert "cannot be folded" not in said


@pytest.mark.parametrize("kind", ["c16", "U3", "M8[s]"])
def test_arrays_of_no_real_numbers_open_and_are_not_folded(kind, tmp_path):
    log = numpy_log(tmp_path / "log")
    np.save(log / "fc2" / "activation.npy", X.astype("i8").astype(kind))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert covdist.open_log(log)["fc2/activation"].dtype == np.dtype(kind)
    code, said = command("plan", log)
    assert code == 0
    assert "real numbers are expected" in " ".join(said.split())  # lines are as wide as the terminal
    code, said = command("run", log, "-o", tmp_path / "result")
    assert code == 1
    assert "1 of 3 arrays cannot be folded, such as fc2" in said


def test_without_any_array_that_can_be_read_the_first_sentence_is_the_answer(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.npy").write_bytes(b"no header")
    with pytest.raises(LogError, match=r"a\.npy does not begin with a readable NPY header"):
        covdist.open_log(tmp_path)
    code, said = command("plan", tmp_path)
    assert code == 1
    assert "a.npy does not begin with a readable NPY header" in said


@pytest.mark.parametrize("damage", [unknown_codec, no_json, no_type])
def test_in_zip_files_and_behind_urls(damage, tmp_path):
    damage(tmp_path / "log")
    shutil.make_archive(str(tmp_path / "log"), "zip", tmp_path / "log")
    for place in (f"{tmp_path}/log.zip", f"zip::file://{tmp_path}/log.zip"):
        with pytest.warns(UserWarning, match="fc2/activation cannot be read"):
            tree = covdist.open_log(place)
        np.testing.assert_array_equal(tree["fc3/activation"], X)
        with pytest.raises(LogError):
            tree["fc2/activation"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_text("{"),
        lambda file: header(file.parents[2], "fc2/step", attributes={"units": "days since never"}),
    ],
)
def test_a_coordinate_that_cannot_be_read_says_so_when_it_is_needed(damage, tmp_path):
    log = zarr_log(tmp_path / "log")
    damage(log / "fc2" / "step" / "zarr.json")
    with pytest.warns(UserWarning, match="fc2/step cannot be read"):
        tree = covdist.open_log(log)
    array = tree["fc2/activation"]
    np.testing.assert_allclose(covdist.var(array, dim="step"), X.astype("f8").var(axis=0), rtol=1e-12)
    for options in ({"by": "step"}, {"halflife": 3.0}):
        with pytest.raises(LogError, match="fc2/step"):
            covdist.moments(array, dim="step", **options).compute()
    code, said = command("plan", log)
    assert code == 0
    assert "fc2/step" in "".join(said.split())


def test_an_array_that_one_rank_lost_is_lost(tmp_path):
    for rank in (0, 1):
        with covdist.Recorder(tmp_path / "log", rank=rank) as recorder:
            for step in range(4):
                recorder.log(step, {"fc1/gradient": X[step], "fc2/gradient": X[step]})
    (tmp_path / "log" / "rank1" / "fc2" / "gradient" / "zarr.json").write_text("{}")
    with pytest.warns(UserWarning, match="fc2/gradient cannot be read"):
        tree = covdist.open_log(tmp_path / "log")
    assert tree["fc1/gradient"].sizes["step"] == 8
    with pytest.raises(LogError, match="rank1/fc2/gradient"):
        tree["fc2/gradient"]


def test_a_job_refuses_too_and_begins_without_it(tmp_path):
    unknown_codec(tmp_path / "log")
    asked = {"log": tmp_path / "log", "missing_chunks": "raise", "output": None}
    with pytest.raises(LogError, match="1 of 3 arrays cannot be folded, such as fc2/activation"):
        JobPlan(question(selection=Selection(), **asked))
    assert list(JobPlan(question(selection=Selection(layer="fc[13]"), **asked)).requests) == ["fc1", "fc3"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"node_type": 3}', "link"])
@pytest.mark.parametrize("group", ["b", "b/c"])
def test_what_lies_below_a_group_with_damaged_metadata_is_there(group, damage, tmp_path):
    root = zarr.open_group(tmp_path / "log.zarr", mode="w")
    for path in ("a", "b", "b/c", "b/c/d"):
        root.require_group(path).create_array("x", data=np.eye(4))
    file = tmp_path / "log.zarr" / group / "zarr.json"
    file.unlink()
    if damage == "link":
        file.symlink_to("/dev/zero")
    else:
        file.write_text(damage)
    with pytest.warns(UserWarning, match=f"log.zarr: {group} cannot be read .*; the other arrays are there"):
        tree = covdist.open_log(tmp_path / "log.zarr")
    assert [node.path for node in tree.subtree if node.data_vars] == ["/a", "/b", "/b/c", "/b/c/d"]
    found = requests(log_nodes(tmp_path / "log.zarr"), Selection())
    assert list(found) == ["a", "b", "b/c", "b/c/d"]
    assert list(requests(log_nodes(tmp_path / "log.zarr"), Selection(layer="b"))) == ["b"]


def test_what_lies_below_a_damaged_root_is_there_where_it_is_asked_for(tmp_path):
    root = zarr.open_group(tmp_path / "log.zarr", mode="w")
    for path in ("a", "b"):
        root.require_group(path).create_array("x", data=np.eye(4))
    (tmp_path / "log.zarr" / "zarr.json").write_text("{")
    with pytest.warns(UserWarning, match=re.escape(f"{tmp_path}/log.zarr/zarr.json is not valid Zarr metadata")):
        tree = covdist.open_log(tmp_path / "log.zarr")
    assert [node.path for node in tree.subtree if node.data_vars] == ["/a", "/b"]
    assert list(requests(log_nodes(tmp_path / "log.zarr"), Selection(layer="[ab]"))) == ["a", "b"]
    with pytest.raises(LogError, match=r"1 of 3 arrays cannot be folded, such as log .*zarr\.json"):
        requests(log_nodes(tmp_path / "log.zarr"), Selection())


def test_chunks_below_an_array_with_damaged_metadata_are_no_layers(tmp_path):
    root = zarr.open_group(tmp_path / "log.zarr", mode="w")
    for path in ("a", "b"):
        root.create_array(path, data=np.eye(4), chunks=(2, 2))
    (tmp_path / "log.zarr" / "b" / "zarr.json").write_text("{")
    assert list(log_nodes(tmp_path / "log.zarr")) == [""]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_result_is_not_a_log(tmp_path, kind):
    path = tmp_path / "r.zarr"
    covdist.moments(np.ones((4, 3))).save(path)
    if kind == "zip":
        path = shutil.make_archive(str(tmp_path / "r"), "zip", path)
    with pytest.raises(LogError, match=r"r\.z\w+ is a result, not a log: covdist.load"):
        covdist.open_log(path)


def test_a_result_in_a_log_is_left_out(tmp_path):
    log = zarr.open_group(tmp_path / "log.zarr", mode="w")
    log.create_array("a/activation", data=np.ones((4, 3)))
    covdist.moments(np.ones((4, 3))).save(tmp_path / "r.zarr")
    (tmp_path / "r.zarr").rename(tmp_path / "log.zarr" / "b")
    with pytest.warns(UserWarning, match="b is a result, not a log"):
        opened = covdist.open_log(tmp_path / "log.zarr")
    assert list(opened.children) == ["a"]


def test_zarr_among_files_is_named_and_a_result_of_them_is_passed_over(tmp_path):
    root = numpy_log(tmp_path / "log")
    zarr_log(root / "fc3" / "z.zarr")
    covdist.moments(np.ones((4, 3))).save(root / "r.zarr")
    with pytest.warns(
        UserWarning, match=r"z\.zarr is Zarr, which is not read as a part of a folder of files"
    ) as warned:
        opened = covdist.open_log(root)
    assert "r.zarr" not in str(warned[0].message)
    assert list(opened["fc3"].children) == []


def test_a_folder_of_zarr_says_so(tmp_path):
    zarr_log(tmp_path / "a.zarr")
    with pytest.raises(LogError, match=r"a\.zarr is Zarr, .*: name it alone, or write its arrays as files"):
        covdist.open_log(tmp_path)


def test_a_folder_of_results_is_no_log(tmp_path):
    covdist.moments(np.ones((4, 3))).save(tmp_path / "r.zarr")
    with pytest.raises(LogError, match="is not a log"):
        covdist.open_log(tmp_path)


@pytest.mark.parametrize("inner", ["", "fc2"])
def test_a_folder_that_may_not_be_looked_into_is_named(
    inner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zarr_log(tmp_path / "log")
    (tmp_path / "log" / "zarr.json").unlink()
    forbidden, scan = tmp_path / "log" / inner, os.scandir

    def refused(path: str) -> object:
        if Path(path) == forbidden:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(LogError, match=r"log.* cannot be looked into .*: check the permissions"):
        covdist.open_log(tmp_path / "log")
