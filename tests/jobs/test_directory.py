"""What is written to a job directory is read again, or, if a bit of it is wrong, not at all."""

from __future__ import annotations

import pickle

import pytest

from covdist.errors import JobError
from covdist.jobs.directory.directory import Directory
from covdist.jobs.machine.tree import MergeTree, Node
from covdist.storage.checksum import checksummed, from_json, to_json, verified

NODE = Node(0, 1, 2)
TREES = [MergeTree(0, 5, 2, 2), MergeTree(1, 1, 2, 1)]


@pytest.fixture(params=["folder", "memory://"])
def directory(request, tmp_path):
    root = str(tmp_path / "job") if request.param == "folder" else f"memory://{tmp_path}/job"
    return Directory(root)


# ---- what is written is read


def test_manifest_and_plan(directory):
    directory.begin("j1", {"log": "x"}, TREES, {"files": {}})
    assert directory.manifest()["asked"] == {"log": "x"}
    assert directory.trees() == TREES
    assert directory.manifest()["versions"]["python"]


def test_the_same_job_begun_twice_is_one_job(directory):
    for _ in range(2):
        directory.begin("j1", {"log": "x"}, TREES, {})
    with pytest.raises(JobError, match="holds job j1, not j2"):
        directory.begin("j2", {"log": "y"}, TREES, {})


def test_only_a_directory_without_other_things_is_taken(directory):
    directory.check_vacant()
    for name in ("states/0-0-1", "lease/000001.json", "manifest.json.1a2b3c4d.aside", ".DS_Store"):
        directory._place.put(name, b"1")
    directory.check_vacant()
    for name in ("thesis.txt", "data/x.npy"):
        directory._place.put(name, b"1")
    with pytest.raises(JobError, match="is no job directory, but holds data and 1 more: choose a new directory"):
        directory.check_vacant()


def test_states(directory):
    assert directory.saved() == set()
    assert directory.load("j1", NODE) is None
    directory.save("j1", NODE, b"state")
    assert directory.saved() == {NODE}
    assert bytes(directory.load("j1", NODE)) == b"state"
    assert directory.load("another", NODE) is None


def test_events_progress_result(directory):
    assert directory.events() == []
    assert directory.progress() == {}
    directory.note([{"event": "a"}, {"event": "b"}])
    directory.note([])
    directory.note([{"event": "c"}])
    assert [line["event"] for line in directory.events()] == ["a", "b", "c"]
    directory.set_progress({"folded": 3})
    assert directory.progress() == {"folded": 3}
    assert directory.result("j1") is None
    directory.finish("j1", {"path": "out.zarr"})
    assert directory.result("j1") == {"path": "out.zarr", "job": "j1"}
    assert directory.result("j2") is None


def test_no_job_directory(directory):
    with pytest.raises(JobError, match="no manifest"):
        directory.manifest()


def test_a_directory_travels(directory):
    directory.save("j1", NODE, b"state")
    assert bytes(pickle.loads(pickle.dumps(directory)).load("j1", NODE)) == b"state"


# ---- torn and damaged


def every_harm(data: bytes) -> list[bytes]:
    cut = [data[:size] for size in range(len(data))]
    flipped = [data[:i] + bytes([data[i] ^ 1 << (i % 8)]) + data[i + 1 :] for i in range(len(data))]
    return [*cut, *flipped, data + b"\0"]


def test_a_state_torn_anywhere_or_with_any_bit_flipped_is_absent(tmp_path):
    directory = Directory(tmp_path)
    directory.save("j1", NODE, b"some state")
    path = tmp_path / "states" / NODE.name
    for harmed in every_harm(path.read_bytes()):
        path.write_bytes(harmed)
        assert directory.load("j1", NODE) is None


@pytest.mark.parametrize("content", [{}, {"a": 1, "b": (1, 2), "c": {"3": None}}])
def test_json_with_a_checksum(content):
    data = to_json(content)
    assert to_json(from_json(data)) == data
    for harmed in every_harm(data.rstrip()):
        assert from_json(harmed) in (None, from_json(data))  # JSON does not mind another blank


def test_bytes_with_a_checksum():
    assert verified(checksummed({"a": 1}, b"body")) == ({"a": 1}, b"body")
    assert verified(None) is None


def test_a_damaged_manifest_is_refused(tmp_path):
    directory = Directory(tmp_path)
    directory.begin("j1", {"log": "x"}, TREES, {})
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace('"x"', '"y"'))
    with pytest.raises(JobError, match="damaged"):
        directory.manifest()
