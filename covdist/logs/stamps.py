"""Stamps of files, by which a file that has changed since it was opened is noticed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from io import FileIO
from typing import Any

import fsspec  # type: ignore[import-untyped]

from covdist.errors import LogError
from covdist.logs.paths import is_url, open_file

_TICKS = 5  # CLOCK_REALTIME_COARSE, by which file systems tell the time: ticks of 1 to 10 ms
_TAGS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
_TIMES = ("mtime", "LastModified", "last_modified", "created")
Stamp = tuple[Any, ...]  # a file's size, and when it was last written to: in ns, or as its store tells it


@contextmanager
def opening() -> Iterator[int]:
    """Yield the time in ns, and end when whatever is written from then on bears a later one."""
    now = time.time_ns()
    yield now
    if sys.platform == "linux":  # others tell the time of files more finely
        while time.clock_gettime_ns(_TICKS) <= now:
            time.sleep(0.0005)


def stamp(file: int | str) -> Stamp:
    """Return the stamp of an open file, a path or a URL; FileNotFoundError where there is none."""
    if isinstance(file, str) and is_url(file):
        return tag(information(file))
    stat = os.fstat(file) if isinstance(file, int) else os.stat(file)
    return stat.st_size, stat.st_mtime_ns


def information(url: str) -> dict[str, Any]:
    """Return what its store tells of a file, without asking for its content."""
    system, path = fsspec.core.url_to_fs(url)
    system.invalidate_cache(system._parent(path))  # what it listed before may have changed
    return dict(system.info(path))


def listed_below(url: str) -> dict[str, Stamp]:
    """Return the stamps of all files below a URL, by their paths there: one request for a thousand of them."""
    system, root = fsspec.core.url_to_fs(url)
    system.invalidate_cache()
    start = f"{root.rstrip('/')}/"
    return {path.removeprefix(start): tag(told) for path, told in system.find(root, detail=True).items()}


def tag(found: Mapping[str, Any]) -> Stamp:
    """Return a stamp of what a store tells of a file."""
    return (found.get("size"), *(str(found[name]) for name in _TAGS if name in found))[:2]


def written(found: Mapping[str, Any]) -> int:
    """Return when a file was last written to, in ns since 1970; 0 where its store does not tell."""
    at = next((found[name] for name in _TIMES if name in found), 0)
    seconds = at.timestamp() if isinstance(at, datetime) else at
    return int(seconds * 1e9) if isinstance(seconds, int | float) else 0


def content(file: str) -> bytes:
    """Return the bytes of a file at a path or URL."""
    if is_url(file):
        system, path = fsspec.core.url_to_fs(file)
        return bytes(system.cat_file(path))
    with open_file(file, follow_links=True) as opened:
        return opened.read()


@contextmanager
def open_unchanged(path: str, before: Stamp, name: str) -> Iterator[FileIO]:
    """Open a file as ``open_file`` does; LogError if its stamp is another one when all has been read."""
    try:
        file = open_file(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise changed(name, path, "it is no longer there") from error
    with file:
        try:
            yield file
        finally:
            # At the end, so that what was written while we read is noticed too: 5 µs a chunk.
            if (now := stamp(file.fileno())) != before:
                raise changed(name, path, "it was cut off afterwards" if now < before else "it was written to")


def changed(name: str, path: str, how: str) -> LogError:
    """Return the error for what is no longer what was opened."""
    return LogError(f"{name}: {path} has changed since it was opened, {how}: open the log again.")
