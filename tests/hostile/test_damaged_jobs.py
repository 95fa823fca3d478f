"""Files of a job that are something else, with right checksums: what the job is, or one sentence."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client

import covdist
from covdist.cli import main
from covdist.errors import CovdistError, JobError, ResultError
from covdist.jobs.driving import drive, opened
from covdist.jobs.job import Job, statuses_in
from covdist.jobs.so_far import so_far
from covdist.jobs.submitting import resume
from covdist.storage.checksum import checksummed, from_json, to_json, verified
from covdist.storage.place import Folder

from .damage import changes

STATE = "0-0-1"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, dashboard_address=":0", n_workers=1, threads_per_worker=1) as client:
        yield client


@pytest.fixture(scope="module", params=["raise", "maxent"])
def made(request: pytest.FixtureRequest, client: Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a job that lacks its result only."""
    place = tmp_path_factory.mktemp("jobs")
    x = np.random.default_rng(0).normal(size=(40, 3))
    np.save(place / "x.npy", np.where(x > 1, np.nan, x) if request.param == "maxent" else x)
    covdist.submit(place / "x.npy", job=place / "job", client=client, missing=request.param).wait()
    shutil.copytree(place / "job" / "result.zarr", place / "right.zarr")
    shutil.rmtree(place / "job" / "result.zarr")
    (place / "job" / "result.json").unlink()
    return place / "job"


def told(job: Path) -> None:
    """Ask for all that reads files alone."""
    for command in ("status", "jobs"):
        main(["--debug", command, str(job)], standalone_mode=False)
    found = Job(job)
    assert repr(found)
    assert found._repr_html_()
    status = found.status()
    assert 0 <= status["folded"] <= status["shards"]
    opened(found.directory)


def change(file: Path, damage: Callable[[dict[str, Any]], Any]) -> None:
    content = from_json(file.read_bytes())
    assert content is not None
    damage(content)
    file.write_bytes(to_json(content))


PLAN = r"does not say what to fold .*it\.plan is .*, expected trees of at least one shard"
MANIFESTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a tree without shards": (lambda m: m["plan"][0].__setitem__(0, 0), PLAN),
    "a tree of something else": (lambda m: m.update(plan=["x"]), r"it\.plan\[0\] is 'x', expected list"),
    "versions": (lambda m: m.update(versions=[]), r"it\.versions is \[\], expected dict"),
    "facts of files": (lambda m: m["input"]["files"].update(x={}), r"it\.input\.files\.x lacks count"),
    "how many files": (
        lambda m: next(iter(m["input"]["files"].values())).update(count="x"),
        "count is 'x', expected int",
    ),
    "which files": (lambda m: next(iter(m["input"]["files"].values())).update(sample=[]), r"sample is \[\], expected"),
    "an output": (lambda m: m["asked"].update(output=5), r"it\.asked\.output is 5"),
}


@pytest.mark.parametrize(("damage", "said"), MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_of_another_kind(damage: Callable[[Any], Any], said: str, made: Path, tmp_path: Path) -> None:
    job = Path(shutil.copytree(made, tmp_path / "job"))
    change(job / "manifest.json", damage)
    with pytest.raises(JobError, match=f"manifest.json in .*{said}"):
        told(job)


@pytest.mark.parametrize("name", ["folded", "per_second", "round", "reason", "seconds_left"])
@pytest.mark.parametrize("value", [-1, 1e308, 10**30, float("nan"), "x", [[1]], True, {}])
def test_progress_of_another_kind_is_none(name: str, value: Any, made: Path, tmp_path: Path) -> None:
    job = Path(shutil.copytree(made, tmp_path / "job"))
    change(job / "progress.json", lambda progress: progress.update({name: value}))
    told(job)


def test_history_that_is_nested_too_deeply_is_passed_over(made: Path, tmp_path: Path) -> None:
    job = Path(shutil.copytree(made, tmp_path / "job"))
    with (job / "events.jsonl").open("a") as file:
        file.write("[" * 200_000 + "\n")
    told(job)


@pytest.mark.parametrize("name", ["manifest.json", "progress.json", "events.jsonl", "lease/000001.json", "lease"])
def test_a_file_that_may_not_be_read_is_named(
    name: str, made: Path, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Path(shutil.copytree(made, tmp_path / "job"))
    states = sorted(each.read_bytes() for each in (job / "states").iterdir())
    for method in ("get", "names"):
        forbid(monkeypatch, method, name)
    doors: list[Callable[[], Any]] = [
        lambda: told(job), lambda: Job(job).wait(0), lambda: Job(job).result(), lambda: Job(job).cancel(),
        lambda: Job(job).directory.events() and Job(job).status(), lambda: statuses_in(job),
    ]  # fmt: skip
    for door in [*doors, *([] if name in ("progress.json", "events.jsonl") else [lambda: resume(job, client)])]:
        with pytest.raises(JobError, match=rf"/{name} may not be read .*: get the rights to it"):
            door()
    assert sorted(each.read_bytes() for each in (job / "states").iterdir()) == states


@pytest.mark.parametrize("name", ["manifest.json", "lease/000001.json", "lease"])
def test_a_job_that_may_not_be_read_is_listed_by_a_warning(
    name: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for job in "abc":
        shutil.copytree(made, tmp_path / job)
    for method in ("get", "names"):
        forbid(monkeypatch, method, name, "/b")
    assert [each["path"] for each in statuses_in(tmp_path)] == [str(tmp_path / "a"), str(tmp_path / "c")]
    (warned,) = caplog.records
    assert f"{tmp_path}/b/{name} may not be read" in warned.message


def test_a_job_whose_folder_may_not_be_entered_is_listed_by_a_warning(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for job in "ab":
        shutil.copytree(made, tmp_path / job)
    asked = os.stat

    def refused(path: Any, **options: Any) -> os.stat_result:
        if str(path).startswith(f"{tmp_path}/b/"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return asked(path, **options)

    monkeypatch.setattr(os, "stat", refused)
    assert [each["path"] for each in statuses_in(tmp_path)] == [str(tmp_path / "a")]
    (warned,) = caplog.records
    assert f"{tmp_path}/b/manifest.json may not be read" in warned.message
    with pytest.raises(JobError, match=r"/b/manifest\.json may not be read"):
        Job(tmp_path / "b")


def forbid(monkeypatch: pytest.MonkeyPatch, method: str, name: str, folder: str = "") -> None:
    """Let a method of folders, or of one, say what the system says to others of a file of that name."""
    right = getattr(Folder, method)

    def refused(self: Folder, asked: str) -> Any:
        if asked == name and self.root.endswith(folder):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), f"{self.root}/{asked}")
        return right(self, asked)

    monkeypatch.setattr(Folder, method, refused)


FILES = ["manifest.json", "progress.json", "events.jsonl", "lease/000001.json", STATE]
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"", "half": lambda data: data[: len(data) // 2], "zeros": lambda data: bytes(len(data)),
    "a bit": lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:], "more": lambda data: data + b"x",
    **{word: lambda data, word=word: word.encode() for word in ("null", "5", "[]", "{}", '"x"', "NaN", "1e999")},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_other_bytes_give_the_right_result_or_a_sentence(name: str, made: Path, client: Client, tmp_path: Path) -> None:
    right = covdist.load(made.parent / "right.zarr")
    for what, damage in DAMAGES.items():
        job = Path(shutil.copytree(made, tmp_path / what))
        file = job / "states" / name if name == STATE else job / name
        file.write_bytes(damage(file.read_bytes()))
        with suppress(JobError):
            told(job)
            assert drive(Job(job).directory, client) == "done"
            np.testing.assert_array_equal(Job(job).result().cov(), right.cov(), err_msg=what)


DAMAGED: dict[str, Callable[[Path], object]] = {
    "an array": lambda result: shutil.rmtree(result / "mean"),
    "a chunk": lambda result: next(each for each in (result / "mean").rglob("0")).write_bytes(b"x"),
    "the root": lambda result: (result / "zarr.json").write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_result_is_made_again_as_its_sentence_says(
    damage: Callable[[Path], object], made: Path, client: Client, tmp_path: Path
) -> None:
    job = Path(shutil.copytree(made, tmp_path / "a job"))
    assert drive(Job(job).directory, client) == "done"
    damage(job / "result.zarr")
    doors: list[Callable[[], Any]] = [
        lambda: Job(job).result(), lambda: covdist.load(job), lambda: covdist.load(job / "result.zarr")
    ]  # fmt: skip
    for door in doors:
        with pytest.raises(ResultError, match=r": remove .*, and `covdist resume .*` makes it again$") as error:
            door()
    removed, command = re.findall(r": remove (.*), and `covdist (.*)` makes", str(error.value))[0]
    shutil.rmtree(removed)
    name, path = shlex.split(command)
    assert name == "resume"
    right = covdist.load(made.parent / "right.zarr")
    np.testing.assert_array_equal(resume(path, client).wait(60).result().cov(), right.cov())


def with_headers(body: bytes, damage: Callable[[list[Any]], Any]) -> bytes:
    (length,) = struct.unpack("<Q", body[:8])
    headers = json.loads(body[8 : 8 + length])
    damage(headers)
    text = json.dumps(headers).encode()
    return struct.pack("<Q", len(text)) + text + body[8 + length :]


STATES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda body: b"",
    "half": lambda body: body[: len(body) // 2],
    "nested too deeply": lambda body: struct.pack("<Q", 100_000) + b"[" * 100_000,
    "no list": lambda body: struct.pack("<Q", 1) + b"5",
    "at infinity": lambda body: with_headers(body, lambda h: h[0].update(at=10**30)),
    "before the start": lambda body: with_headers(body, lambda h: h[0].update(at=-8)),
    "beyond the end": lambda body: with_headers(body, lambda h: h[0].update(shape=[2**40])),
    "of no dtype": lambda body: with_headers(body, lambda h: h[0].update(dtype="x")),
    "of a shape in words": lambda body: with_headers(body, lambda h: h[0].update(shape="3")),
    "without a field": lambda body: with_headers(body, lambda h: h.pop(0)),
    "without names": lambda body: with_headers(body, lambda h: h[0].update(name=None)),
}


@pytest.mark.parametrize("damage", STATES.values(), ids=STATES)
def test_a_state_that_is_none_is_folded_again(
    damage: Callable[[bytes], bytes], made: Path, client: Client, tmp_path: Path
) -> None:
    job = Path(shutil.copytree(made, tmp_path / "job"))
    for file in (job / "states").iterdir():
        found = verified(file.read_bytes())
        assert found is not None
        file.write_bytes(checksummed(found[0], damage(bytes(found[1]))))
    so_far(Job(job))
    assert drive(Job(job).directory, client) == "done"
    right = covdist.load(made.parent / "right.zarr")
    np.testing.assert_array_equal(Job(job).result().cov(), right.cov())


def test_states_in_a_link_to_itself_are_folded_again(made: Path, client: Client, tmp_path: Path) -> None:
    job = Path(shutil.copytree(made, tmp_path / "job"))
    shutil.rmtree(job / "states")
    (job / "states").symlink_to("states")
    assert so_far(Job(job)) == {}
    assert drive(Job(job).directory, client) == "done"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["manifest.json", "progress.json", "lease/000001.json"])
def test_any_part_of_a_file_is_something_else(name: str, made: Path, tmp_path: Path) -> None:
    content = from_json((made / name).read_bytes())
    job = Path(shutil.copytree(made, tmp_path / "job"))
    for _, said in changes(content):
        (job / name).write_bytes(to_json(said) if isinstance(said, dict) else json.dumps(said).encode())
        with suppress(CovdistError):
            told(job)
