"""What is written to a disk that takes no more ends in one sentence of what was to be written, and leaves nothing."""

from __future__ import annotations

import asyncio
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

import covdist
from covdist.results.saving import save
from covdist.storage.pages import Parts
from covdist.storage.place import place_at

from . import logs
from .calling import call, output, sentence
from .running import told

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system")
VALUES = np.random.default_rng(5).normal(size=(300, 200))  # 300 KB are a matrix of its columns and more
FULL = "no space is left on its disk"
TOO_LARGE = "a file of it is larger than its file system, or the limit that `ulimit -f` shows, allows"


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log, and results of one state, of many columns, and of both sides of a layer."""
    folder, m = tmp_path_factory.mktemp("given"), covdist.moments(VALUES)
    logs.one(folder / "log.zarr", VALUES)
    m.save(folder / "result.zarr")
    m.export(folder / "s.npz", "fid")
    covdist.moments(VALUES.reshape(6, -1), state="variances").save(folder / "wide.zarr")
    covdist.moments(VALUES, by=np.arange(300) % 2).save(folder / "groups.zarr")
    save({"fc/input": m, "fc/gradient": m}, folder / "layer.zarr")
    return folder


def _mounted(place: Path, *options: str) -> bool:
    return subprocess.run(["mount", *options, str(place)], capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if not _mounted(place, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        pytest.skip("may not mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files of at most 4 KiB."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python 3.11 does not see that it was cut
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 10, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


WAYS: dict[str, Callable[[Path, str], list[object]]] = {
    "run": lambda given, to: ["run", given / "log.zarr", "-o", f"{to}.zarr"],
    "import": lambda given, to: ["import", given / "s.npz", "--as", "fid", "--count", 300, "-o", f"{to}.zarr"],
    "merge": lambda given, to: ["merge", given / "result.zarr", given / "result.zarr", "-o", f"{to}.zarr"],
    "convert": lambda given, to: ["convert", given / "log.zarr", f"{to}.zarr"],
    "read .zarr": lambda given, to: ["read", given / "result.zarr", "cov", "-o", f"{to}.zarr"],
    "read moments": lambda given, to: ["read", given / "groups.zarr", "within", "group", "-o", f"{to}.zarr"],
    "read .npy": lambda given, to: ["read", given / "result.zarr", "cov", "-o", f"{to}.npy"],
    "read .csv": lambda given, to: ["read", given / "result.zarr", "cov", "-o", f"{to}.csv"],
    "report": lambda given, to: ["report", given / "result.zarr", "-o", f"{to}.html"],
    "plot": lambda given, to: ["show", given / "result.zarr", "--plot", f"{to}.png"],
    **{
        format: lambda given, to, format=format: ["export", given / "result.zarr", "--as", format, "-o", f"{to}.out"]
        for format in ("fid", "fadtk", "mom2", "npz", "netcdf", "quip")
    },
    "imatrix": lambda given, to: ["export", given / "wide.zarr", "--as", "imatrix", "--name", "w", "-o", f"{to}.gguf"],
    "kronfluence": lambda given, to: ["export", given / "layer.zarr", "--as", "kronfluence", "-o", f"{to}_ekfac"],
}
each_way = pytest.mark.parametrize("words", WAYS.values(), ids=WAYS)


def refused(words: list[object], reason: str, missing: str = "pip install") -> None:
    """Call a command that writes, the last of whose words is where to."""
    folder = Path(str(words[-1])).parent
    before = sorted(folder.iterdir())
    done = call(*words)
    if missing in done.stderr or "No module" in done.stderr:
        pytest.skip(done.stderr)
    assert told(done, 1).startswith(f"covdist: {words[-1]} cannot be written ({reason}): choose another place")
    assert sorted(folder.iterdir()) == before


@pytest.fixture
def full(disk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with 48 KB left, for which nobody looks before."""
    monkeypatch.setattr("covdist.results.store.check_room", lambda *_: None)
    (disk / "filler").write_bytes(bytes(1_000_000))  # of 1,048,576
    return disk


@each_way
def test_a_full_disk(words, given, full):
    refused(words(given, f"{full}/to"), FULL)


def test_a_full_disk_on_which_workers_write(given, full):
    tiles = ["--max-columns", 9, "--beyond", "tiles"]
    refused(["run", given / "log.zarr", *tiles, "-o", f"{full}/to.zarr"], FULL)


@each_way
def test_files_that_may_not_be_so_large(words, given, tmp_path, limited):
    refused(words(given, f"{tmp_path}/to"), TOO_LARGE)


@pytest.mark.parametrize("way", ["run", "merge", "convert", "read .zarr", "read moments"])
def test_nothing_is_left_of_files_that_come_after_the_one_that_fails(way, given, tmp_path, limited, monkeypatch):
    """Zarr writes several at a time."""
    write, large = LocalStore.set, list[str]()

    async def late(self: LocalStore, key: str, value: Buffer) -> None:
        large.extend([key] if len(value) > 4 << 10 else [])
        await asyncio.sleep(0 if [key] == large else 0.05)
        await write(self, key, value)

    monkeypatch.setattr(LocalStore, "set", late)
    refused(WAYS[way](given, f"{tmp_path}/to"), TOO_LARGE)
    time.sleep(0.2)
    assert not list(tmp_path.iterdir())


@each_way
def test_a_file_system_that_is_only_read(words, given, disk, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: True)  # or each is refused before it begins
    assert _mounted(disk, "-o", "remount,ro")
    refused(words(given, f"{disk}/to"), "its file system is read-only")


def test_an_update_names_the_result_as_it_was_named(disk, monkeypatch):
    """And not what is written beside it; the old one stays."""
    log, result = logs.one(disk / "log.zarr", VALUES[:40, :60]).path, disk / "results" / "result.zarr"
    result.parent.mkdir()
    output("run", log, "-o", result)
    zarr.open_group(log)["fc1/gradient"].append(VALUES[40:90, :60])
    before = covdist.load(result).cov()
    (disk / "latest").symlink_to(result)
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - (16 << 10)))
    monkeypatch.chdir(disk)
    for name in (result, "latest"):
        found = sentence("run", log, "--update", name)
        assert found.startswith(f"covdist: {name} cannot be written (no space is left on its disk): it is as it was")
        assert [each.name for each in result.parent.iterdir()] == ["result.zarr"]
    np.testing.assert_array_equal(covdist.load(result).cov(), before)
    (disk / "filler").unlink()
    output("run", log, "--update", "latest")
    assert (disk / "latest").is_symlink()
    assert covdist.load(result).count == 90


@pytest.mark.parametrize(
    "write",
    [
        lambda at: at.put("file", b"1"),
        lambda at: at.create("file", b"1"),
        lambda at: at.swap("file", Parts([b"1"]), "spare"),
    ],
    ids=["put", "create", "swap"],
)
def test_a_small_file_goes_by_its_name(write, disk):
    assert _mounted(disk, "-o", "remount,ro")
    with pytest.raises(OSError, match="Read-only") as caught:
        write(place_at(disk))
    assert caught.value.filename == str(disk / "file")
    assert "partial" not in str(caught.value)


def test_a_new_folder_goes_by_its_name(disk):
    assert _mounted(disk, "-o", "remount,ro")
    with pytest.raises(OSError, match="Read-only") as caught:
        place_at(disk / "job").begin("manifest.json", b"{}")
    assert str(caught.value).endswith(f"'{disk / 'job'}'")
