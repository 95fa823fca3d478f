"""Job folders as file systems, other versions and other people leave them: ignored, made again, or refused."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from distributed import Client

import covdist
from covdist.errors import CovdistError, JobError
from covdist.folding.selection import Selection
from covdist.jobs import submitting
from covdist.jobs.asked import read_manifest
from covdist.jobs.directory.directory import Directory
from covdist.jobs.job import jobs_in
from covdist.jobs.machine.tree import Node
from covdist.jobs.states import dump_state
from covdist.jobs.trees import question
from covdist.limits import changed
from covdist.storage.checksum import from_json, to_json
from covdist.storage.lease import LONGEST, Lease
from tests.jobs.clusters import until

STRANGE = [
    ".nfs0000000000000001", ".DS_Store", "Thumbs.db", "0-0-1~", "0-0-1 (conflicted copy)", "lost+found", "0-0", "a-b-c",
    "00-0-1", "0-0-1-0", "-1-0-1", "٠-٠-١", "0-0-1-99999999999999999999", "7-0-1", "000001.json~", "1.json",
    "0000001.json", "000009 (conflicted copy).json", "999999999999999999999.json", "٠٠٠٠٠٩.json",
]  # fmt: skip
ROWS = np.random.default_rng(0).normal(1e3, 1, (4_000, 3))
Harm = Callable[[Path], object]


@pytest.fixture(scope="module", autouse=True)
def many_shards() -> Iterator[None]:
    with changed(least_shard_seconds=1e-9, state_bytes_per_second=1e12):
        yield


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, dashboard_address="127.0.0.1:0", n_workers=1, threads_per_worker=2) as found:
        yield found


@pytest.fixture(scope="module")
def finished(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("finished")
    zarr.create_array(place / "x.zarr", data=ROWS, chunks=(500, 3))
    path = Path(covdist.submit(place / "x.zarr", job=place / "job", client=client).wait().path)
    assert covdist.Job(path).status()["shards"] > 4
    until(lambda: Directory(path).owners.current().released)  # the driver gives it back after the result is there
    return path


@pytest.fixture
def half(finished: Path, tmp_path: Path) -> Path:
    """The same job before its last merge: the root and a few others are missing."""
    path = Path(shutil.copytree(finished, tmp_path / "job"))
    shutil.rmtree(path / "result.zarr")
    (path / "result.json").unlink()
    (shards,) = (tree.shards for tree in Directory(path).trees())
    (path / "states" / f"0-0-{shards}").unlink()
    (path / "states" / "0-1-2").unlink()
    return path


def goes_on(path: Path, client: Client, finished: Path) -> None:
    """Assert that a job ends with the bits that it had without a break."""
    job = submitting.resume(path, client).wait()
    assert dump_state(job.result().state) == dump_state(covdist.load(finished).state)
    assert job.status()["status"] == "done"


def edit(file: Path, **content: Any) -> None:
    file.write_bytes(to_json({**from_json(file.read_bytes()), **content}))


def edit_asked(path: Path, **selection: Any) -> None:
    asked = from_json((path / "manifest.json").read_bytes())["asked"]
    edit(path / "manifest.json", asked={**asked, "selection": {**asked["selection"], **selection}})


def lacking(file: Path, name: str) -> None:
    content = from_json(file.read_bytes())
    del content[name]
    file.write_bytes(to_json(content))


# ---- what is not ours


def test_strange_names_are_ignored(half, client, finished):
    for folder in ("states", "lease", "cancel"):
        (half / folder / ".Trash").mkdir(parents=True)
        for name in STRANGE:
            (half / folder / name).write_bytes(b"?")
    assert covdist.Job(half).status()["status"] == "stopped"
    goes_on(half, client, finished)
    assert all((half / "lease" / name).read_bytes() == (half / "states" / name).read_bytes() for name in STRANGE)


def test_strange_folders_among_jobs_are_left_out(half, finished, caplog):
    for name, text in {"web": '{"name": "an app"}', "list": "[]", "empty": ""}.items():
        (half.parent / name).mkdir()
        (half.parent / name / "manifest.json").write_text(text)
    assert [job.path for job in jobs_in(half.parent)] == [str(half)]
    assert sum("is damaged" in record.message for record in caplog.records) == 3


@pytest.mark.parametrize(("name", "node"), [("0-4-8", Node(0, 4, 8)), ("1-0-2-7", Node(1, 0, 2, 7)), ("0-0-01", None)])
def test_names_of_nodes(name, node):
    assert Node.named(name) == node
    assert node is None or node.name == name


# ---- what is in the way of our files


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "kept").write_text("somebody's")


def a_circle(path: Path) -> None:
    path.symlink_to(path.name)


THINGS: list[Harm] = [a_folder, a_circle, os.mkfifo, lambda path: path.symlink_to("/dev/zero")]


@pytest.mark.parametrize("put", THINGS, ids=["folder", "circle", "pipe", "device"])
def test_what_is_no_file_is_made_again(half, client, finished, put):
    for name in ("states/0-0-1", "states/0-1-2", "result.json", "progress.json", "events.jsonl", "lease/000002.json"):
        (half / name).unlink(missing_ok=True)
        put(half / name)
    assert covdist.Job(half).status()["status"] == "lost"  # of the last driver nothing is known
    goes_on(half, client, finished)
    assert covdist.Job(half).directory.owners.current().term == 3
    assert put is not a_folder or {text.read_text() for text in half.rglob("*.aside/kept")} == {"somebody's"}


def test_files_in_place_of_folders(half, client, finished):
    for name in ("states", "lease"):
        shutil.rmtree(half / name)
        (half / name).write_text("?")
    goes_on(half, client, finished)


@pytest.mark.parametrize(
    "put", [a_folder, a_circle, lambda path: path.write_text("?")], ids=["folder", "circle", "file"]
)
def test_something_in_place_of_the_result(half, client, finished, put):
    put(half / "result.zarr")
    goes_on(half, client, finished)


def test_a_result_that_was_removed_is_made_again(finished, client, tmp_path):
    path = Path(shutil.copytree(finished, tmp_path / "job"))
    shutil.rmtree(path / "result.zarr")
    goes_on(path, client, finished)


def test_a_manifest_that_is_a_folder(half, client):
    (half / "manifest.json").unlink()
    (half / "manifest.json").mkdir()
    with pytest.raises(JobError, match="not a job directory"):
        covdist.Job(half)


# ---- leases of other versions and of wrong clocks


def lease(now: float, **others: object) -> dict[str, Any]:
    return {**asdict(Lease(7, "host (process 1)", "n", now + 20.0)), **others}


@pytest.mark.parametrize(
    "others",
    [
        {"until": 3e10}, {"until": float("inf")}, {"until": float("nan")}, {"until": 10**400}, {"until": "late"},
        {"until": None}, {"owner": 3}, {"term": 3}, {"term": "7"}, {"released": True, "priority": 1},
    ],
    ids=str,
)  # fmt: skip
def test_leases_that_hold_nobody_up(tmp_path, others):
    directory = Directory(tmp_path)
    (tmp_path / "lease").mkdir()
    (tmp_path / "lease" / "000007.json").write_bytes(to_json(lease(100.0, **others)))
    directory.owners.check_free(101.0)
    assert directory.owners.acquire(101.0, 30.0).term == 8


@pytest.mark.parametrize("number", ["999999", "1000000", "99999999999"])
def test_terms_of_any_size_follow_each_other(tmp_path, number):
    directory = Directory(tmp_path)
    directory.owners.acquire(100.0, 30.0)
    (tmp_path / "lease" / f"{number}.json").write_text("?")
    lease = directory.owners.acquire(101.0, 30.0)
    assert (lease.term, directory.owners.current()) == (int(number) + 1, lease)
    assert directory.owners.renew(lease, 110.0, 30.0).until == 140.0


def test_a_lease_with_a_field_of_a_newer_version_holds(half, client):
    (half / "lease" / "000007.json").write_bytes(to_json(lease(time.time(), priority=3)))
    assert covdist.Job(half).status()["status"] == "waiting"
    with pytest.raises(JobError, match=r"driven by host \(process 1\).* ends in \d+ seconds"):
        submitting.resume(half, client)


def test_a_lease_without_later_fields_holds(tmp_path):
    directory = Directory(tmp_path)
    (tmp_path / "lease").mkdir()
    first = {name: value for name, value in lease(100.0).items() if name not in ("released", "process")}
    (tmp_path / "lease" / "000007.json").write_bytes(to_json(first))
    assert directory.owners.current() == Lease(7, "host (process 1)", "n", 120.0)


def test_clocks():
    held = Lease(1, "a", "n", 1000.0)
    assert [held.over(now) for now in (399.0, 400.0, 999.0, 1000.0)] == [True, False, False, True]
    assert LONGEST == 600
    assert [held.due(now, 30.0) for now in (500.0, 969.0, 970.0, 979.0, 980.0)] == [True, True, False, False, True]


# ---- manifests that were edited, or that another version wrote


@pytest.mark.parametrize(
    ("options", "done"),
    [({"missing": "drop"}, True), ({"halflife": 100.0}, True), ({"precision": "fast"}, False)],
    ids=["drop, done", "halflife, done", "fast, half"],
)
def test_an_edited_question_is_not_answered_from_the_states_of_another(half, finished, client, tmp_path, options, done):
    path = Path(shutil.copytree(finished, tmp_path / "done")) if done else half
    edit_asked(path, **options)
    log = covdist.Job(path).status()["log"]
    with pytest.raises(JobError, match=r"was edited|holds job"):
        covdist.submit(log, job=path, client=client)
    found = submitting.resume(path, client).wait().result()
    expected = covdist.submit(log, job=tmp_path / "anew", client=client, **options).wait().result()
    assert dump_state(found.state) == dump_state(expected.state)
    assert found.layout.provenance == expected.layout.provenance
    assert covdist.Job(path).id == covdist.Job(tmp_path / "anew").id


def test_an_edited_input_plan_or_name(half, client, finished):
    edit(half / "manifest.json", plan=[[3, 2, 1]])
    with pytest.raises(JobError, match="cuts rows otherwise"):
        submitting.resume(half, client)
    edit(half / "manifest.json", plan=from_json((finished / "manifest.json").read_bytes())["plan"], job="0" * 16)
    goes_on(half, client, finished)


@pytest.mark.parametrize("name", ["job", "asked", "plan", "input", "format"])
def test_a_manifest_without_a_field_is_refused(half, client, name):
    lacking(half / "manifest.json", name)
    refused(half, client, "manifest.json")


@pytest.mark.parametrize(
    "content",
    [
        {"asked": {}}, {"asked": {"log": "x"}}, {"asked": []}, {"plan": [[1, 2]]}, {"plan": [[1, 2, 3, 4]]},
        {"plan": 3}, {"plan": [["1", "2", "3"]]}, {"input": {}}, {"format": 2},
        {"input": {"arrays": {"x": "***"}, "files": {}}},
    ],
    ids=str,
)  # fmt: skip
def test_a_manifest_of_another_shape_is_refused(half, client, content):
    edit(half / "manifest.json", **content)
    refused(half, client, "manifest.json")


def refused(path: Path, client: Client, words: str) -> None:
    for call in (lambda: covdist.Job(path), lambda: submitting.resume(path, client)):
        with pytest.raises(JobError, match=words):
            call()
    assert not jobs_in(path.parent)


def test_options_of_a_newer_version_are_refused_by_name(half, client):
    edit_asked(half, colour="red")
    refused(half, client, r"asks for colour, which covdist .* does not know, and was written by covdist 0")


def test_a_manifest_with_one_field_more_or_versions_less(half, client, finished):
    edit(half / "manifest.json", comment="from the night run")
    lacking(half / "manifest.json", "versions")
    goes_on(half, client, finished)


def test_a_policy_that_this_version_lacks(half, client):
    edit_asked(half, missing="guess")
    with pytest.raises(CovdistError, match="missing='guess' is unknown"):
        submitting.resume(half, client)


# ---- names of layers are no credentials


def test_layers_with_names_like_credentials(client, tmp_path):
    (tmp_path / "log").mkdir()
    names = ["token_embedding", "access", "key", "auth_head", "secret"]
    for name in names:
        np.save(tmp_path / "log" / f"{name}.npy", ROWS)
    job = covdist.submit(tmp_path / "log", job=tmp_path / "job", client=client).wait()
    assert sorted(job.result()) == sorted(names)
    assert "***" not in (tmp_path / "job" / "manifest.json").read_text()
    assert submitting.resume(job.path, client).status()["status"] == "done"


def test_every_question_can_be_read(tmp_path):
    asked = question("x.npy", Selection(dim="sample", halflife=3.0, state=("full", "higher")), "fill", "out", True)
    Directory(tmp_path).begin("j", asked, [], {"arrays": {}, "files": {}})
    assert read_manifest(Directory(tmp_path))["asked"] == asked
