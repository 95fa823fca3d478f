"""The thread that writes the chunks of a Recorder: it holds nothing up, loses nothing, and says what fails."""

from __future__ import annotations

import errno
import sys
import threading
import time

import numpy as np
import pytest

from covdist.errors import ResultError
from covdist.logs.opening import open_log
from covdist.record import writer
from covdist.record.chunks import Loose, _filled, chunk_memory
from covdist.record.recorder import Recorder
from covdist.record.runs import write_runs
from covdist.record.writer import Writer
from covdist.storage.place import Folder

LARGE = 100_000  # bytes of a put, which a full chunk has and no metadata


def row(step: int) -> np.ndarray:
    return np.random.default_rng(step).standard_normal(40_000, "f4")


def record(rec: Recorder, steps: range) -> None:
    for step in steps:
        rec.log(step, {"fc1/gradient": row(step), "fc2/gradient": -row(step), "loss": step}, epoch=step // 3)


def check(path: object, steps: int) -> None:
    log = open_log(path)
    for name, sign in (("fc1", 1), ("fc2", -1)):
        np.testing.assert_array_equal(log[name]["gradient"], [sign * row(step) for step in range(steps)])
        np.testing.assert_array_equal(log[name]["step"], range(steps))


class Gate:
    """Holds up, or fails, what writes large files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.open, self.reached, self.error = threading.Event(), threading.Event(), None
        for name in ("add", "swap"):
            monkeypatch.setattr(Folder, name, self._gated(getattr(Folder, name)))

    def _gated(self, real):
        def write(place, key, data, *spare):
            if data.nbytes > LARGE:
                self.reached.set()
                self.open.wait(200)
                if self.error:
                    raise self.error
            return real(place, key, data, *spare)

        return write


def test_slow_storage_does_not_hold_up_training(tmp_path, monkeypatch):
    gate = Gate(monkeypatch)
    with Recorder(tmp_path / "log", chunk_bytes=5 * 160_000) as rec:
        record(rec, range(12))  # chunks of both layers are full
        assert gate.reached.wait(200)
        gate.open.set()
        record(rec, range(12, 30))
    check(tmp_path / "log", 30)


def test_what_waits_is_bounded(tmp_path, monkeypatch):
    gate = Gate(monkeypatch)
    with Recorder(tmp_path / "log", chunk_bytes=160_000, memory="4MiB") as rec:
        training = threading.Thread(target=record, args=(rec, range(30)))
        training.start()
        assert gate.reached.wait(200)
        training.join(0.5)
        assert training.is_alive()
        assert rec._tracks.taken <= 4 << 20
        gate.open.set()
        training.join(200)
        assert not training.is_alive()
    check(tmp_path / "log", 30)


@pytest.mark.parametrize("use", ["log", "flush", "close"])
def test_a_write_that_fails_is_told_at_the_next_call(tmp_path, monkeypatch, use):
    gate = Gate(monkeypatch)
    rec = Recorder(tmp_path / "log", chunk_bytes=5 * 160_000)
    gate.open.set()
    record(rec, range(4))
    rec.flush()
    gate.open.clear()
    gate.error = OSError(errno.ENOSPC, "No space left on device")
    record(rec, range(4, 12))
    gate.open.set()
    with pytest.raises(ResultError, match=r"log cannot be written \(no space is left on its disk\): free some, and"):
        record(rec, range(12, 1000)) if use == "log" else getattr(rec, use)()
    with pytest.raises(ResultError, match="is closed"):
        rec.log(1000, {"loss": 0})
    rec.close()
    gate.error = None
    check(tmp_path / "log", 4)
    with Recorder(tmp_path / "log", mode="a") as rec:
        record(rec, range(4, 7))
    check(tmp_path / "log", 7)


class CrashError(Exception):
    pass


@pytest.mark.parametrize("amount", range(3, 60, 7))
def test_a_crash_at_any_write_leaves_whole_steps(tmp_path, monkeypatch, amount):
    left = [amount]

    def counted(real):
        def write(self, name, *given):
            if left[0] == 0:
                raise CrashError
            left[0] -= 1
            return real(self, name, *given)

        return write

    for name in ("put", "add", "swap"):
        monkeypatch.setattr(Folder, name, counted(getattr(Folder, name)))
    rec = Recorder(tmp_path / "log", chunk_bytes=2 * 160_000)
    with pytest.raises(CrashError):
        record(rec, range(1000))
    left[0] = -1
    with Recorder(tmp_path / "log", mode="a") as rec:
        steps = {name: track.length for (name, _), track in rec._tracks.by_dim.items()}
    if "fc1" in steps and "fc2" in steps:
        check_each(tmp_path / "log", steps)


def check_each(path: object, steps: dict[str, int]) -> None:
    log = open_log(path)
    for name, sign in (("fc1", 1), ("fc2", -1)):
        assert log[name]["gradient"].shape[0] == steps[name]
        np.testing.assert_array_equal(log[name]["gradient"], [sign * row(step) for step in range(steps[name])])


@pytest.mark.parametrize("memory", ["1MiB", "64MiB"])
def test_arrays_may_be_changed_after_the_call(tmp_path, memory):
    buffer = np.empty(40_000, "f4")
    with Recorder(tmp_path / "log", chunk_bytes=1, memory=memory) as rec:
        for step in range(9):
            buffer[:] = step
            rec.log(step, {"fc1/gradient": buffer})
            buffer[:] = -1
    np.testing.assert_array_equal(open_log(tmp_path / "log")["fc1/gradient"][:, 0], range(9))


def test_memory_is_used_again(tmp_path):
    found = []
    with Recorder(tmp_path / "log", chunk_bytes=2 * 160_000) as rec:
        for step in range(0, 40, 4):
            record(rec, range(step, step + 4))
            rec._writer.wait()
            found.append(rec._tracks.taken)
    assert max(found[2:]) <= 2 * max(found[:2])
    check(tmp_path / "log", 40)


@pytest.mark.parametrize(("arrays", "memory"), [(10, "4MiB"), (12, "3500KiB")])
def test_chunks_that_fill_at_once_get_the_memory_of_those_before(tmp_path, monkeypatch, arrays, memory):
    new = []
    monkeypatch.setattr(writer, "chunk_memory", lambda size: new.append(size) or chunk_memory(size))
    rows = np.random.default_rng(0).normal(size=(64, 512)).astype("f4")
    with Recorder(tmp_path / "log", chunk=64, memory=memory) as rec:
        for step in range(20):
            if step == 10:
                before = new.count(rows.nbytes)
            rec.log(step, {f"layer{number}/activation": rows for number in range(arrays)})
            rec._writer.wait()
            assert rec._tracks.taken <= rec._options.room
    assert new.count(rows.nbytes) == before


def test_garbage_that_the_thread_itself_collects_is_closed(tmp_path):
    rec = Recorder(tmp_path / "log", chunk_bytes=5 * 160_000)
    record(rec, range(3))
    writer = rec._writer
    writer.submit(lambda: writer.finish(rec.close), LARGE)  # as the collector of cycles may do in the midst of a job
    writer._thread.join(200)
    assert not writer._thread.is_alive()
    check(tmp_path / "log", 3)


def test_threads_end_with_their_recorders(tmp_path):
    before = threading.active_count()
    for number in range(3):
        rec = Recorder(tmp_path / str(number))
        record(rec, range(2))
        if number:
            rec.close()
        del rec
    with pytest.raises(ResultError):
        Recorder(tmp_path / "0")
    assert not [thread for thread in threading.enumerate() if thread.name == "covdist-writer"]
    assert threading.active_count() <= before + 3  # those that renew leases look up now and then
    check(tmp_path / "0", 2)


def test_jobs_are_done_in_order():
    done: list[int] = []
    writer = Writer("log", 1 << 20, lambda: None)
    for number in range(100):
        writer.submit(lambda number=number: done.append(number), (0, LARGE, 1 << 21)[number % 3])
    writer.end()
    assert done == list(range(100))


@pytest.fixture
def turns():
    """Count how often another thread, which waits for the interpreter's lock all the time, has taken it."""
    before, ended, taken = sys.getswitchinterval(), threading.Event(), [0]

    def take():
        while not ended.is_set():
            taken[0] += 1
            time.sleep(0)

    sys.setswitchinterval(100)  # seconds after which the lock must be given back
    other = threading.Thread(target=take)
    other.start()
    yield taken
    ended.set()
    other.join()
    sys.setswitchinterval(before)


def test_coordinates_are_copied_without_letting_another_thread_go_on(turns):
    epochs, runs = np.empty(9000, np.int64), [({"epoch": np.asarray(number)}, 1000) for number in range(8)]
    chunk, before = Loose(epochs), turns[0]
    for _ in range(2000):
        write_runs(runs, "epoch", chunk, 0)
        _filled(chunk.data(0, 64_000), epochs.nbytes)
    assert turns[0] == before
    assert epochs[:8000].tolist() == np.repeat(range(8), 1000).tolist()
