"""Links, pipes and devices where files of a log should be."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.hostile.case import VALUES, Case, group, v2, v3

SECRET = VALUES + 1000
Put = Callable[[Path, Path], None]  # makes something at the first path; the second is the folder outside


def _link(to: str) -> Put:
    return lambda place, outside: place.symlink_to(to)


def _out(name: str) -> Put:
    return lambda place, outside: place.symlink_to(outside / name)


def _pipe(place: Path, outside: Path) -> None:
    os.mkfifo(place)


def _socket(place: Path, outside: Path) -> None:
    here = os.getcwd()
    os.chdir(place.parent)  # names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(place.name)
    finally:
        os.chdir(here)


def _device(place: Path, outside: Path) -> None:
    os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # as /dev/zero


def _folder(place: Path, outside: Path) -> None:
    place.mkdir()


FILES: dict[str, Put] = {
    "out": _out("chunk"), "zero": _link("/dev/zero"), "stdin": _link("/dev/stdin"), "random": _link("/dev/urandom"),
    "self": lambda place, outside: place.symlink_to(place.name), "broken": _link("nowhere"), "fifo": _pipe,
    "socket": _socket, "folder": _folder, "link-to-fifo": _out("pipe"), "proc": _link("/proc/self/mem"),
}  # fmt: skip
FOLDERS: dict[str, Put] = {
    "out": _out("array"), "root": _link("/"), "here": _link("."), "up": _link(".."), "proc": _link("/proc"),
    "self": lambda place, outside: place.symlink_to(place.name),
}  # fmt: skip
if os.geteuid() == 0:
    FILES["device"] = _device


def cases() -> Iterator[Case]:
    for name, put in FILES.items():
        fast = name in ("out", "fifo", "zero")
        either = "either" if name == "broken" else "refused"  # as a missing file
        yield Case(f"chunk-{name}", partial(_chunk, put), fast=fast)
        yield Case(f"chunk-v2-{name}", partial(_chunk_v2, put))
        yield Case(f"metadata-{name}", partial(_metadata, put), fast=fast)
        yield Case(f"metadata-below-{name}", partial(_metadata_below, put), either)
        yield Case(f"zarray-{name}", partial(_zarray, put), either)
        yield Case(f"zattrs-{name}", partial(_zattrs, put), either)
        layer = "read" if name == "folder" else "refused"  # a folder is a layer, whatever it is called
        yield Case(f"npy-{name}", partial(_numpy, put, "x.npy"), layer, fast=fast)
        yield Case(f"npz-{name}", partial(_numpy, put, "x.npz"), layer)
        yield Case(f"beside-npy-{name}", partial(_beside_numpy, put), "read", fast=name == "fifo")
        yield Case(f"beside-{name}", partial(_beside, put), "either")
        yield Case(f"consolidated-{name}", partial(_consolidated, put), "either")
        if name not in ("out", "folder", "broken"):
            yield Case(f"itself-{name}", partial(_itself, put, ""))
            yield Case(f"itself-npy-{name}", partial(_itself, put, ".npy"))
            yield Case(f"itself-zip-{name}", partial(_itself, put, ".zip"))
    for name, put in FOLDERS.items():
        yield Case(f"chunks-{name}", partial(_chunks, put), fast=name == "out")
        found = "either" if name == "self" else "refused"  # leads nowhere, so nobody knows that it is no file
        yield Case(f"array-{name}", partial(_array, put), found, fast=name in ("root", "here"))
        yield Case(f"numpy-below-{name}", partial(_numpy_below, put), found)


def outside(folder: Path) -> Path:
    """Make what no log may lead to; the test watches that nothing in it is opened."""
    place = folder.parent / "outside"
    place.mkdir(parents=True)
    (place / "chunk").write_bytes(SECRET.tobytes())
    v3(place / "array", {"c/0/0": SECRET.tobytes()})
    np.save(place / "array" / "x.npy", SECRET)
    os.mkfifo(place / "pipe")
    return place


def _chunk(put: Put, folder: Path) -> Path:
    v3(folder / "log", {})
    (folder / "log" / "c" / "0").mkdir(parents=True)
    put(folder / "log" / "c" / "0" / "0", outside(folder / "log"))
    return folder / "log"


def _chunk_v2(put: Put, folder: Path) -> Path:
    v2(folder / "log", {})
    put(folder / "log" / "0.0", outside(folder / "log"))
    return folder / "log"


def _metadata(put: Put, folder: Path) -> Path:
    v3(folder / "log")
    (folder / "log" / "zarr.json").unlink()
    put(folder / "log" / "zarr.json", outside(folder / "log"))
    return folder / "log"


def _metadata_below(put: Put, folder: Path) -> Path:
    group(folder / "log")
    v3(folder / "log" / "good")
    v3(folder / "log" / "a")
    (folder / "log" / "a" / "zarr.json").unlink()
    put(folder / "log" / "a" / "zarr.json", outside(folder / "log"))
    return folder / "log"


def _zarray(put: Put, folder: Path) -> Path:
    v2(folder / "log" / "a")
    (folder / "log" / ".zgroup").write_text('{"zarr_format": 2}')
    v2(folder / "log" / "b")
    (folder / "log" / "b" / ".zarray").unlink()
    put(folder / "log" / "b" / ".zarray", outside(folder / "log"))
    return folder / "log"


def _zattrs(put: Put, folder: Path) -> Path:
    v2(folder / "log")
    put(folder / "log" / ".zattrs", outside(folder / "log"))
    return folder / "log"


def _consolidated(put: Put, folder: Path) -> Path:
    v2(folder / "log" / "a")
    (folder / "log" / ".zgroup").write_text('{"zarr_format": 2}')
    put(folder / "log" / ".zmetadata", outside(folder / "log"))
    return folder / "log"


def _numpy(put: Put, name: str, folder: Path) -> Path:
    (folder / "log").mkdir(parents=True)
    np.save(folder / "log" / "good.npy", VALUES)
    put(folder / "log" / name, outside(folder / "log"))
    return folder / "log"


def _beside_numpy(put: Put, folder: Path) -> Path:
    (folder / "log").mkdir(parents=True)
    np.save(folder / "log" / "good.npy", VALUES)
    put(folder / "log" / "notes.txt", outside(folder / "log"))
    return folder / "log"


def _beside(put: Put, folder: Path) -> Path:
    group(folder / "log")
    v3(folder / "log" / "a")
    put(folder / "log" / "notes", outside(folder / "log"))
    put(folder / "log" / "a" / "notes", folder / "outside")
    return folder / "log"


def _itself(put: Put, suffix: str, folder: Path) -> Path:
    folder.mkdir(parents=True)
    put(folder / f"log{suffix}", outside(folder / "log"))
    return folder / f"log{suffix}"


def _chunks(put: Put, folder: Path) -> Path:
    v3(folder / "log", {})
    place = outside(folder / "log")
    put(folder / "log" / "c", place)
    return folder / "log"


def _array(put: Put, folder: Path) -> Path:
    group(folder / "log")
    v3(folder / "log" / "good")
    put(folder / "log" / "a", outside(folder / "log"))
    return folder / "log"


def _numpy_below(put: Put, folder: Path) -> Path:
    (folder / "log").mkdir(parents=True)
    np.save(folder / "log" / "good.npy", VALUES)
    put(folder / "log" / "a", outside(folder / "log"))
    return folder / "log"
