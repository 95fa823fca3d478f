"""What a recorder says where the system refuses its writes, and that the rows that were stored stay."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import covdist
from covdist.errors import ResultError
from covdist.logs.opening import open_log
from covdist.record.recorder import Recorder
from covdist.storage.place import Folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system")
GO_ON = r': free some, and go on after the rows that are stored with Recorder\(path, mode="a"\)\.$'
CLOSED = r"^log is closed"
FULL = r"log cannot be written \(no space is left on its disk\)"
WAYS = {
    "small": {"chunk_bytes": 2000},
    "in the caller's thread": {"memory": 1 << 20},
    "shards": {"chunk_bytes": 2000, "shard": 16},
    "a rank": {"chunk_bytes": 2000, "rank": 1},
    "large": {"chunk_bytes": 80_000},
    "frames": {"chunk_bytes": 1_200_000},
}
each_way = pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of 8 MiB, in which the test works."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    monkeypatch.chdir(place)
    try:
        yield place
    finally:
        monkeypatch.chdir("/")
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def rows_of(step: int) -> dict[str, np.ndarray]:
    noise = np.random.default_rng(step).normal(size=(1, 1000))
    noise[:, 0] = step
    return {"fc/a": noise, "loss": noise[0, 0]}


def record(rec: Recorder, steps: range, flush: int) -> None:
    """Record steps, some of them with a flush."""
    for step in steps:
        rec.log(step, rows_of(step))
        if step % flush == 0:
            rec.flush()


def steps_in(log: str) -> list[int]:
    """Return the steps of a log, all of whose rows are whole."""
    fc = open_log(log)["fc"].ds
    steps = fc["sample_step"].values.tolist()
    np.testing.assert_array_equal(fc["a"], np.concatenate([rows_of(step)["fc/a"] for step in steps]))
    return steps


def fill(disk: Path, left: int = 0) -> Path:
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - left))
    return filler


@each_way
@pytest.mark.parametrize("use", ["log", "flush", "close"])
def test_a_full_disk_ends_it_in_one_sentence(options, use, disk):
    rec = Recorder("log", **options)
    record(rec, range(3), 1)
    fill(disk, 100_000)

    def go_on() -> None:
        record(rec, range(3, 20 if use == "close" else 1000), 1 if use == "flush" else 1001)
        rec.close()

    with pytest.raises(ResultError, match=f"^{FULL}{GO_ON}"):
        go_on()
    for call in (rec.flush, partial(rec.log, 3, rows_of(3))):
        with pytest.raises(ResultError, match=CLOSED):
            call()
    rec.close()
    assert steps_in("log")[:3] == [0, 1, 2]


@each_way
@pytest.mark.parametrize("left", range(0, 200_000, 12_000))
def test_it_goes_on_where_it_was_when_there_is_room_again(options, left, disk, monkeypatch):
    """No row that a flush has promised is lost, and none is there twice."""
    promised, flush = list[int](), Recorder.flush
    monkeypatch.setattr(Recorder, "flush", lambda rec: [flush(rec), promised.append(rec._tracks.nbytes)])
    rec = Recorder("log", **options)
    record(rec, range(2), 1)
    filler = fill(disk, left)
    with pytest.raises(ResultError, match=FULL):
        record(rec, range(2, 1000), 3)
    filler.unlink()
    found = steps_in("log")
    assert found == [*range(len(found))]
    with Recorder("log", **options, mode="a") as rec:
        assert rec._tracks.nbytes >= max(promised)
        record(rec, range(len(found), len(found) + 5), 2)
    assert steps_in("log") == [*range(len(found) + 5)]


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_rows_stay_where_there_is_no_room_to_widen_them(dtype, disk):
    with Recorder("log", chunk_bytes=2000) as rec:
        for step in range(50):
            rec.log(step, {"fc/a": np.full((2, 1000), step, np.float32)})
    fill(disk, 100_000)
    rec, noise = Recorder("log", chunk_bytes=2000, mode="a"), np.random.default_rng(5).normal(size=(500, 1000))
    with pytest.raises(ResultError, match=f"{FULL}{GO_ON}"):
        rec.log(50, {"fc/a": (1e6 * noise).astype(dtype)})
    np.testing.assert_array_equal(open_log("log")["fc/a"][:100, 0], np.repeat(np.arange(50), 2))


def test_files_that_may_not_be_so_large(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    rec = Recorder("log", chunk_bytes=80_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 10, before[1]))
    try:
        with pytest.raises(
            ResultError, match=r"^log cannot be written \(a file of it is larger .*\): raise that limit, and"
        ):
            record(rec, range(100), 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("options", [{}, {"rank": 1}, {"stats": 2}], ids=["alone", "a rank", "stats"])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("log", "its file system is read-only"),
        ("file/log", "Not a directory"),
        ("n" * 300, "File name too long"),
        ("n" * 252, "File name too long"),
    ],
    ids=["read-only", "below a file", "long", "long with what is beside it"],
)
def test_it_is_not_begun_where_it_cannot_be(options, path, reason, disk):
    if options.get("stats") and len(path) == 252:
        pytest.skip("writes nothing beside it")
    (disk / "file").touch()
    if path == "log":
        read_only(disk)
    with pytest.raises(ResultError, match=rf"^{path} cannot be written \({reason}\): choose another place\.$"):
        Recorder(path, **options)
    assert [each.name for each in disk.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("options", "files"),
    [({}, 0), ({}, 1), ({"rank": 1}, 0), ({"rank": 1}, 1), ({"rank": 1}, 2), ({"stats": 2}, 0)],
)
def test_nothing_is_in_the_way_where_there_was_no_room_to_begin(options, files, tmp_path, monkeypatch):
    left, create = [files], Folder._opened

    def counted(self, path, flags):
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device", path)
        left[0] -= 1
        return create(self, path, flags)

    monkeypatch.setattr(Folder, "_opened", counted)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ResultError, match=f"^{FULL}: choose another place, or free some"):
        Recorder("log", **options)
    left[0] = 1000
    Recorder("log", **options).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_folder_without_permission(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Recorder("another").close()  # imports what another user may not read
    os.seteuid(65534)  # since root may do all
    try:
        for options in ({}, {"rank": 1}, {"stats": 2}):
            with pytest.raises(
                ResultError, match=r"^log cannot be written \(Permission denied\): choose another place\.$"
            ):
                Recorder("log", **options)
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("use", ["flush", "close"])
def test_a_file_system_that_becomes_read_only(use, disk):
    rec = Recorder("log")
    record(rec, range(3), 1)
    rec.log(3, rows_of(3))
    read_only(disk)
    with pytest.raises(
        ResultError, match=r"^log cannot be written \(its file system is read-only\): see to that, and go"
    ):
        getattr(rec, use)()
    rec.close()
    assert steps_in("log") == [0, 1, 2]


@pytest.mark.parametrize("options", [{}, {"stats": 2}], ids=["log", "stats"])
def test_the_error_that_ends_a_block_is_the_users_own(options, disk):
    def train() -> None:
        with Recorder("log", **options) as rec:
            for step in range(5):
                rec.log(step, {"a": np.ones((2, 20))})
            rec.flush()
            rec.log(5, {"a": np.ones((2, 20))})
            fill(disk)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        train()
    assert caught.value.__notes__ == [
        "log cannot be written (no space is left on its disk): free some, and go on after the rows that are stored "
        'with Recorder(path, mode="a").'
    ]


@pytest.mark.parametrize("use", ["log", "flush", "close"])
def test_statistics_end_in_the_same_sentence(use, disk):
    rec = Recorder("log", stats=2)
    for step in range(5):
        rec.log(step, {"a": np.ones((2, 20))})
    rec.flush()
    filler = fill(disk)
    rec.log(6, {"a": np.ones((2, 20))})
    with pytest.raises(ResultError, match=f"^{FULL}{GO_ON}"):
        rec.log(8, {"a": np.ones((2, 20))}) if use == "log" else getattr(rec, use)()
    for call in (rec.flush, lambda: rec.log(10, {"a": np.ones((2, 20))})):
        with pytest.raises(ResultError, match=CLOSED):
            call()
    rec.close()
    assert covdist.load("log")["a"].count.sum() == 8
    filler.unlink()
    with Recorder("log", stats=2, mode="a") as rec:
        rec.log(6, {"a": np.ones((2, 20))})
    assert covdist.load("log")["a"].count.sum() == 10


AT_EXIT = """
import shutil, numpy as np
from covdist.record.recorder import Recorder
recorders = [Recorder(path) for path in ("full/a", "full/b", "room/c")]
for rec in recorders:
    rec.log(0, {"a": np.ones((2, 20))})
with open("full/filler", "wb") as file:
    file.write(bytes(shutil.disk_usage("full").free))
"""


def test_a_process_ends_and_closes_the_others(tmp_path, disk):
    (tmp_path / "full").symlink_to(disk)
    (tmp_path / "room").mkdir()
    done = subprocess.run([sys.executable, "-c", AT_EXIT], cwd=tmp_path, capture_output=True, text=True, timeout=200)
    for name in "ab":
        assert f"ResultError: full/{name} cannot be written (no space is left on its disk)" in done.stderr
    assert open_log(tmp_path / "room" / "c")["a"].shape == (2, 20)


def test_hooks_end_in_the_same_sentence(disk):
    torch = pytest.importorskip("torch")
    from covdist.record.torch import watch

    model = torch.nn.Linear(1000, 1000)
    rec = Recorder("log", chunk_bytes=2000)
    fill(disk, 100_000)
    with watch(model, rec, what=("input",)) as hooks:

        def train(steps: int) -> None:
            for _ in range(steps):
                model(torch.randn(2, 1000))
                hooks.step()

        with pytest.raises(ResultError, match=f"^{FULL}{GO_ON}"):
            train(1000)
        with pytest.raises(ResultError, match=CLOSED):
            train(1)
