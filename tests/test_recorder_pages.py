"""Large chunks go to the disk past the system's cache where it lets them, and through it elsewhere: the same files."""

import errno
import fcntl
import os
import resource
import sys
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import covdist
from covdist.kernel.library import compiled
from covdist.kernel.workspace import empty_bytes
from covdist.record.chunks import chunk_memory
from covdist.record.writer import Writer
from covdist.storage.pages import FAILED, PAGE, Pages, Parts
from covdist.storage.place import Folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux writes past its cache so")
YOUNG = "covdist.storage.turns._YOUNG"  # seconds


def pages_of(nbytes: int) -> Pages:
    memory = empty_bytes(1 << 20)[: -(-nbytes // PAGE) * PAGE]  # where a page begins
    memory[:] = np.random.default_rng(0).integers(0, 256, len(memory))
    return Pages(memory.data, nbytes)


@pytest.fixture(params=["in one call", "call by call"])
def calls(request, monkeypatch):
    """Write with the kernel's call, where there is one, or without it."""
    if request.param == "call by call":
        call_by_call(monkeypatch)


def call_by_call(monkeypatch) -> None:
    for module in ("place", "turns"):
        monkeypatch.setattr(f"covdist.storage.{module}.write_at_once", lambda *_: FAILED)


def memory_of(value: int, nbytes: int) -> np.ndarray:
    memory = chunk_memory(nbytes)
    memory[:] = value
    return memory


def refuse_open(monkeypatch) -> None:
    """Let the system be one that knows no way past its cache."""
    own = fcntl.fcntl

    def asked(file, command, *flags):
        if command == fcntl.F_SETFL and flags[0] & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return own(file, command, *flags)

    monkeypatch.setattr(fcntl, "fcntl", asked)


def refuse_write(monkeypatch) -> None:
    """Let it say so late, when a part has been written."""
    own, done = os.pwrite, []

    def asked(number, data, offset):
        if done:
            raise OSError(errno.EINVAL, "Invalid argument")
        done.append(own(number, data[:PAGE], offset))
        return done[0]

    monkeypatch.setattr(os, "pwrite", asked)


def in_parts(monkeypatch) -> None:
    own = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda number, data, offset: own(number, data[:PAGE], offset))


@pytest.mark.parametrize("system", [lambda _: None, refuse_open, refuse_write, in_parts])
def test_all_bytes_and_no_others_are_written(tmp_path, monkeypatch, system):
    place, pages = Folder(str(tmp_path), durable=False), pages_of(3 * PAGE + 5)
    call_by_call(monkeypatch)
    system(monkeypatch)
    assert place.add("a/b", pages) == (system in (refuse_open, refuse_write))  # in the system's cache
    assert place.get("a/b") == bytes(pages.parts[0])
    place.write_at("c", 0, Parts([b"be", b"fore"]))
    place.write_at("c", PAGE, pages)
    data = place.get("c") or b""
    assert data[:6] == b"before"
    assert data[PAGE : PAGE + pages.nbytes] == bytes(pages.parts[0])
    assert data[PAGE + pages.nbytes :] in (b"", bytes(pages.memory[pages.nbytes :]))


@pytest.mark.skipif(not compiled(), reason="done by the kernel")
def test_a_file_that_cannot_be_written_past_the_cache_is_begun_once(tmp_path, monkeypatch):
    monkeypatch.setattr(Folder, "_opened", lambda *_: pytest.fail("begun again"))
    memory = pages_of(3 * PAGE).memory[1 : 2 * PAGE + 1]  # a page begins elsewhere, which most systems do not take
    Folder(str(tmp_path), durable=False).add("a", Pages(memory, PAGE + 5))
    assert (tmp_path / "a").read_bytes() == bytes(memory[: PAGE + 5])


@pytest.fixture
def full_disk():
    """Let files have less than a page, as if no more of the disk were left."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (PAGE - 1, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_nothing_half_written(tmp_path, calls, full_disk):
    place = Folder(str(tmp_path), durable=False)
    with pytest.raises(OSError, match="too large"):
        place.add("a", pages_of(PAGE))
    with pytest.raises(OSError, match="too large"):
        place.add("b", Parts([b"data" * PAGE]))
    assert os.listdir(tmp_path) == []


def test_what_is_there_is_replaced_in_one_step(tmp_path, calls):
    place = Folder(str(tmp_path), durable=False)
    for size in (3, PAGE, 5, 0, 2 * PAGE + 1):
        pages = pages_of(size)
        with open(tmp_path / "a", "a+b") as reading:  # made by the first look at it
            before = reading.seek(0, os.SEEK_END)
            place.add("a", pages)
            assert reading.seek(0, os.SEEK_END) == before
        assert place.get("a") == bytes(pages.parts[0])
    place.add("folder/of/new", Parts([b"", b"ab", b"c"]))
    assert place.get("folder/of/new") == b"abc"
    os.mkdir(tmp_path / "in the way")
    place.add("in the way", Parts([b"x"]))
    assert place.get("in the way") == b"x"
    assert not [name for name in os.listdir(tmp_path) if "partial" in name]


@pytest.mark.skipif(not compiled(), reason="pages are made by the kernel")
@pytest.mark.parametrize("shard", [None, 3])
@pytest.mark.parametrize("behind", [False, True])
def test_a_log_holds_its_rows_however_they_were_written(tmp_path, monkeypatch, shard, behind):
    written = []
    own = Pages.write
    monkeypatch.setattr(Pages, "write", lambda self, *given: written.append(self.nbytes) or own(self, *given))
    monkeypatch.setattr(Writer, "is_behind", lambda self: behind)
    rows = np.random.default_rng(0).standard_normal((11, 150_001)).astype("f4")
    rows[4:6] = 0  # of which a chunk is compressed, and has room for itself alone
    with covdist.Recorder(tmp_path / "log", chunk=2, shard=shard) as rec:
        for step, row in enumerate(rows[:5]):
            rec.log(step, {"a/activation": row[None]})
        rec.flush()  # half a chunk, which is written again when it is full
        for step, row in enumerate(rows[5:], 5):
            rec.log(step, {"a/activation": row[None]})
    log = covdist.open_log(tmp_path / "log")
    assert np.array_equal(log["a/activation"], rows)
    assert bool(written) == (not behind)
    size = sum(file.stat().st_size for file in Path(tmp_path, "log").rglob("*") if file.is_file())
    assert size < 1.05 * rows.nbytes + 2 * rows[:2].nbytes  # where a chunk lay half full, another may come


@pytest.mark.parametrize("shard", [None, 3])
def test_nothing_of_other_memory_gets_into_files(tmp_path, monkeypatch, shard):
    rows, found = np.random.default_rng(0).standard_normal((5, 150_001)).astype("f4"), []
    for value in (1, 2):
        monkeypatch.setattr("covdist.record.writer.chunk_memory", partial(memory_of, value))
        with covdist.Recorder(tmp_path / str(value), chunk=2, shard=shard) as rec:
            for step, row in enumerate(rows):
                rec.log(step, {"a/activation": row[None]})
        found.append({file.name: file.read_bytes() for file in (tmp_path / str(value) / "a/activation").rglob("c*")})
    assert found[0] == found[1]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_file_is_replaced_by_way_of_another(tmp_path, monkeypatch, exchanges):
    monkeypatch.setattr(YOUNG, 0)
    if not exchanges:
        call_by_call(monkeypatch)
        monkeypatch.setattr("covdist.storage.turns.exchanged", lambda a, b: False)
    place = Folder(str(tmp_path), durable=False)
    place.put("a", b"first")
    for data in (b"a longer second", b"3rd", b"fourth"):
        with open(tmp_path / "a", "rb") as reading:
            before = os.fstat(reading.fileno()).st_size
            place.swap("a", Parts([data]), "a")
            assert len(reading.read()) == before  # who has opened it reads what it was
        assert place.get("a") == data
    place.end_swaps("a")
    assert os.listdir(tmp_path) == ["a"]


def test_who_has_just_opened_a_file_reads_all_of_it_however_often_it_is_replaced(tmp_path, monkeypatch, calls):
    monkeypatch.setattr(YOUNG, 60)
    place = Folder(str(tmp_path), durable=False)
    for number in range(3):
        place.swap("a", Parts([b"%d" % number * 5000]), "a")
    with open(tmp_path / "a", "rb") as reading:
        for number in range(3, 9):
            place.swap("a", Parts([b"%d" % number * 4000]), "a")
        assert reading.read() == b"2" * 5000
    assert place.get("a") == b"8" * 4000


def test_a_file_is_whole_whatever_its_size_was_before(tmp_path, monkeypatch, calls):
    place, rng = Folder(str(tmp_path), durable=False), np.random.default_rng(0)
    for number in range(60):
        monkeypatch.setattr(YOUNG, 60 * (number % 7 == 3))
        data = pages_of(rng.integers(4 * PAGE)) if number % 3 else Parts([rng.bytes(rng.integers(4 * PAGE))])
        place.add("a", data) if number % 11 == 10 else place.swap("a", data, "a")
        assert place.get("a") == b"".join(data.parts)
        if number % 13 == 12:
            place.end_swaps("a")


def test_who_reads_the_file_that_a_killed_process_has_left_reads_all_of_it(tmp_path, monkeypatch, calls):
    monkeypatch.setattr(YOUNG, 0)
    for number in range(3):
        place = Folder(str(tmp_path), durable=False)
        place.put("a", b"before")
        place.swap("a", Parts([b"after"]), "a")
        with open(tmp_path / "a.partial", "rb") as reading:
            Folder(str(tmp_path), durable=False).swap("a", Parts([b"%d" % number]), "a")
            assert reading.read() == b"before"


def test_a_swap_that_failed_leaves_nothing_to_the_next_one(tmp_path, monkeypatch, calls, full_disk):
    monkeypatch.setattr(YOUNG, 0)
    place = Folder(str(tmp_path), durable=False)
    for data in (b"first", b"2nd", b"3"):
        place.swap("a", Parts([data]), "a")
    with pytest.raises(OSError, match="too large"):
        place.swap("a", Parts([b"long" * PAGE]), "a")
    assert place.get("a") == b"3"
    for data in (b"five", b"6"):
        place.swap("a", Parts([data]), "a")
        assert place.get("a") == data


@pytest.mark.parametrize("steps", [range(10, 18), ()])
def test_a_log_that_is_continued_keeps_nothing_that_a_killed_process_left(tmp_path, calls, steps):
    def record(mode, steps):
        with covdist.Recorder(tmp_path / "log", mode=mode, chunk=4) as rec:
            for step in steps:
                rec.log(step, {"loss": step})
                rec.flush()

    record("x", range(10))
    for left in ("c.partial", "zarr.json.partial"):
        (tmp_path / "log" / "loss" / left).write_bytes(b"left")
    record("a", steps)
    assert not list((tmp_path / "log").rglob("*.partial"))


def test_a_closed_log_has_only_its_own_files(tmp_path):
    with covdist.Recorder(tmp_path / "log", chunk=2) as rec:
        for step in range(9):
            rec.log(step, {"a/activation": np.ones((2, 3))})
    assert not [file for file in Path(tmp_path).rglob("*") if "partial" in file.name]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets two files change places")
def test_a_small_chunk_that_fills_up_takes_two_files_by_turns(tmp_path, monkeypatch, calls):
    monkeypatch.setattr(YOUNG, 0)
    numbers, loss = set(), tmp_path / "log" / "loss"
    for mode, first in (("x", 0), ("a", 20)):
        with covdist.Recorder(tmp_path / "log", mode=mode) as rec:
            for step in range(first, first + 20):
                rec.log(step, {"loss": step})
                rec.flush()
                numbers.add((loss / "c.0").stat().st_ino)
                assert len(os.listdir(loss)) <= 4  # the metadata are two as well
        assert sorted(os.listdir(loss)) == ["c.0", "zarr.json"]
    assert 2 <= len(numbers) <= 3  # when the log was closed, one of the first two went


def test_no_file_goes_while_a_log_grows(tmp_path, monkeypatch, calls):
    monkeypatch.setattr(YOUNG, 0)
    found = {}  # by number, which no other file gets as long as this one is open
    with ExitStack() as opened, covdist.Recorder(tmp_path / "log", chunk=4) as rec:
        for step in range(40):
            rec.log(step, {"a/activation": np.ones((3, 2)), "a/gradient": step, "loss": step}, epoch=step // 20)
            rec.flush()
            files = {path.stat().st_ino: path for path in (tmp_path / "log").rglob("*") if path.is_file()}
            assert set(found) <= set(files)
            for number in set(files) - set(found):
                found[number] = opened.enter_context(open(files[number], "rb"))
        kinds = Counter(path.name if "zarr" in path.name or "partial" in path.name else "c" for path in files.values())
        assert kinds == {"c": 56, "zarr.json": 9 + 2, "zarr.json.partial": 9, "c.partial": 9}  # of 9 arrays, 2 groups


def test_an_array_that_is_widened_keeps_no_file_beside_it(tmp_path):
    with covdist.Recorder(tmp_path / "log") as rec:
        for step, value in enumerate(np.array([1, 2, 3], "i4")):
            rec.log(step, {"loss": value})
            rec.flush()
        rec.log(3, {"loss": 0.5})
    assert not list((tmp_path / "log").rglob("*.partial"))


def test_what_a_killed_recorder_has_left_beside_a_chunk_goes(tmp_path):
    with covdist.Recorder(tmp_path / "log", chunk=2) as rec:
        rec.log(0, {"a/activation": np.ones((2, 3))})  # a chunk that is full, and never written again
    Path(tmp_path, "log", "a", "activation", "c.partial").write_bytes(b"half")
    with covdist.Recorder(tmp_path / "log", mode="a") as rec:
        rec.log(1, {"a/activation": np.ones((2, 3))})
    assert not [file for file in Path(tmp_path).rglob("*") if "partial" in file.name]
