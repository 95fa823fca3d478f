"""An input that changed is noticed, and what changed is named."""

from __future__ import annotations

import json
import os

import fsspec
import pytest

from covdist.jobs.directory.fingerprint import array_facts, difference, fingerprint, job_id
from covdist.limits import changed

FACTS = array_facts((100, 4), "float32", ((50, 50), (4,)))


@pytest.fixture
def log(tmp_path):
    for name in ["zarr.json", "fc1/zarr.json", *(f"fc1/c/{i}/0" for i in range(20))]:
        path = tmp_path / "log.zarr" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "log.zarr"


def taken(log, **facts):
    return json.loads(json.dumps(fingerprint({"fc1": {**FACTS, **facts}}, [str(log)])))


def test_nothing_changed(log):
    assert difference(taken(log), taken(log)) is None
    assert job_id({}, [], taken(log)) == job_id({}, [], taken(log))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"shape": [101, 4]}, "the shape of fc1 was [100, 4] and is now [101, 4]"),
        ({"dtype": "float64"}, "the dtype of fc1 was float32 and is now float64"),
        ({"chunks": [[100], [4]]}, "the chunks of fc1 was [[50, 50], [4]] and is now [[100], [4]]"),
    ],
)
def test_arrays(log, facts, said):
    assert difference(taken(log), taken(log, **facts)) == said


def test_arrays_come_and_go(log):
    other = fingerprint({"fc1": FACTS, "fc2": FACTS}, [str(log)])
    assert difference(taken(log), other) == "the array fc2 is new"
    assert difference(other, taken(log)) == "the array fc2 is no longer there"


@pytest.mark.parametrize("name", ["fc1/c/7/0", "fc1/zarr.json"])
def test_a_file_that_was_written_to(log, name):
    before = taken(log)
    (log / name).write_text("something longer")
    assert difference(before, taken(log)) == f"{log}/{name} was written to since"


def test_a_file_rewritten_at_the_same_size(log):
    before = taken(log)
    os.utime(log / "fc1/c/0/0", ns=(1, 1))
    os.utime(log / "fc1/c/1/0", ns=(1, 1))
    assert difference(before, taken(log)).endswith("fc1/c/0/0 was written to since, and 1 more of the files looked at")


def test_files_that_appear_vanish_or_move(log):
    before = taken(log)
    (log / "fc1/c/20").mkdir()
    (log / "fc1/c/20/0").write_text("new")
    assert difference(before, taken(log)) == f"{log} had 22 files and has now 23"
    (log / "fc1/c/20/0").unlink()
    (log / "fc1/c/7/0").rename(log / "fc1/c/7/1")
    assert difference(before, taken(log))


def test_another_path(log):
    other = fingerprint({"fc1": FACTS}, [str(log.parent)])
    assert difference(taken(log), other) == f"the input {log} is no longer part of it"


def test_a_single_file(tmp_path):
    path = tmp_path / "log.npy"
    path.write_text("x")
    before = fingerprint({}, [str(path)])
    assert difference(before, fingerprint({}, [f"{path}"])) is None
    path.write_text("xy")
    assert difference(before, fingerprint({}, [str(path)])) == f"{path} was written to since"


def test_a_thousand_files_at_most_are_looked_at(tmp_path):
    for i in range(1500):
        (tmp_path / f"{i:04}").touch()
    (tmp_path / "zarr.json").touch()
    found = fingerprint({}, [str(tmp_path)])["files"][str(tmp_path)]
    assert found["count"] == 1501
    assert len(found["sample"]) == 1000
    assert {"0000", "1499", "zarr.json"} <= set(found["sample"])
    with changed(fingerprint_files=10):
        assert len(fingerprint({}, [str(tmp_path)])["files"][str(tmp_path)]["sample"]) == 10


def test_on_other_file_systems(tmp_path):
    system = fsspec.filesystem("memory")
    url = f"memory:/{tmp_path}/log"
    system.pipe_file(f"{url}/zarr.json", b"{}")
    system.pipe_file(f"{url}/c/0", b"abc")
    before = fingerprint({}, [url])
    assert difference(before, fingerprint({}, [url])) is None
    system.pipe_file(f"{url}/c/0", b"abcd")
    assert difference(before, fingerprint({}, [url])) == f"{url}/c/0 was written to since"
