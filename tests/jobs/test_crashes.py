"""A job directory holds whole files or none, wherever a process ends while it writes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from covdist.jobs.directory.directory import Directory
from covdist.storage.place import Place, place_at
from tests.jobs.faults import points
from tests.jobs.memory import Crash
from tests.jobs.test_directory import NODE, TREES

Write = Callable[[Place], object]


def crash_everywhere(tmp_path: Path, prepare: Write, write: Write, check: Callable[[Place], None]) -> int:
    """Crash at every fault point of a write, then let a reader look, then write once more."""
    folder = tmp_path / "whole"
    prepare(place_at(folder))
    with points() as counted:
        write(place_at(folder))
    for at in range(counted.passed):
        place = place_at(tmp_path / f"crashed-{at}")
        prepare(place)
        with points(at), pytest.raises(Crash):
            write(place)
        check(place)
        write(place)
        assert place.names("") == ["name"]
    return counted.passed


def test_a_crash_while_replacing_leaves_the_old_or_the_new(tmp_path):
    def check(place: Place) -> None:
        assert place.get("name") in (b"old", b"new content")

    passed = crash_everywhere(tmp_path, lambda p: p.put("name", b"old"), lambda p: p.put("name", b"new content"), check)
    assert passed >= 5


def test_a_crash_while_creating_leaves_nothing_or_all(tmp_path):
    def check(place: Place) -> None:
        assert place.get("name") in (None, b"new content")

    crash_everywhere(tmp_path, lambda p: None, lambda p: p.create("name", b"new content"), check)


def test_a_crash_while_appending_loses_at_most_what_is_appended(tmp_path):
    def check(place: Place) -> None:
        assert (place.get("name") or b"").startswith(b"one\n")

    crash_everywhere(tmp_path, lambda p: p.append("name", b"one\n"), lambda p: p.append("name", b"two\n"), check)


@pytest.mark.parametrize("cut", range(len('{"event": "second"}\n')))
def test_events_go_on_after_a_line_cut_short(tmp_path, cut):
    directory = Directory(tmp_path)
    directory.note([{"event": "first"}])
    with open(tmp_path / "events.jsonl", "a") as file:
        file.write('{"event": "second"}\n'[:cut])
    directory.note([{"event": "third"}])
    assert [line["event"] for line in directory.events()] in (["first", "third"], ["first", "second", "third"])


STEPS: list[Callable[[Directory], object]] = [
    lambda d: d.begin("j1", {"log": "x"}, TREES, {}),
    lambda d: d.owners.acquire(0.0, 10.0),
    lambda d: d.save("j1", NODE, b"state"),
    lambda d: d.note([{"event": "saved"}]),
    lambda d: d.set_progress({"folded": 1}),
    lambda d: d.finish("j1", {"path": "out"}),
]


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_a_crash_at_any_point_leaves_a_job_to_go_on_with(tmp_path, step):
    def begun(name: str) -> Directory:
        directory = Directory(tmp_path / name)
        for earlier in STEPS[:step]:
            earlier(directory)
        return directory

    directory = begun("whole")
    with points() as counted:
        STEPS[step](directory)
    for at in range(counted.passed):
        directory = begun(f"crashed-{at}")
        with points(at), pytest.raises(Crash):
            STEPS[step](directory)
        assert directory.load("j1", NODE) in (None, b"state")
        assert directory.result("j1") in (None, {"path": "out", "job": "j1"})
        for later in [STEPS[0], lambda d: d.owners.acquire(11.0, 10.0), *STEPS[2:]]:
            later(directory)
        assert directory.result("j1") == {"path": "out", "job": "j1"}
        assert directory.load("j1", NODE) == b"state"


def test_a_write_that_fails_says_so_and_leaves_what_was(tmp_path):
    place = place_at(tmp_path)
    place.put("name", b"old")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            place.put("name", b"new")
    assert place.get("name") == b"old"
    assert os.listdir(tmp_path) == ["name"]


@pytest.mark.parametrize("at_once", [1, 7, 10**6])
def test_a_file_of_many_parts(tmp_path, monkeypatch, at_once):
    """The system takes 1,024 parts at most, and may take less than it is given."""
    real, parts = os.writev, [bytes([n % 256]) * (n % 5) for n in range(3000)]

    def writev(number: int, buffers: list[memoryview]) -> int:
        return real(number, [b"".join(buffers)[:at_once]])

    monkeypatch.setattr(os, "writev", writev)
    place_at(tmp_path).put("name", *parts)
    assert place_at(tmp_path).get("name") == b"".join(parts)
    monkeypatch.undo()
    place_at(tmp_path).put("again", *parts)
    assert place_at(tmp_path).get("again") == b"".join(parts)


def full(number: int) -> None:
    raise OSError(28, "No space left on device")
