"""Stamps of files, by which a file that has changed since it was opened is noticed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO

from covdist.errors import LogError
from covdist.logs.paths import OpenFile, is_url, open_file
from covdist.logs.remote.files import RemoteFile
from covdist.logs.remote.urls import Stamp as Stamp
from covdist.logs.remote.urls import information, tag, written

_TICKS = 5  # CLOCK_REALTIME_COARSE, by which file systems tell the time: ticks of 1 to 10 ms


@contextmanager
def opening() -> Iterator[int]:
    """Yield the time in ns, and end when whatever is written from then on bears a later one."""
    now = time.time_ns()
    yield now
    if sys.platform == "linux":  # others tell the time of files more finely
        while time.clock_gettime_ns(_TICKS) <= now:
            time.sleep(0.0005)


def stamp(file: OpenFile | str) -> Stamp:
    """Return the stamp of an open file, a path or a URL; FileNotFoundError where there is none."""
    if isinstance(file, str):
        return dated(file)[0]
    if isinstance(file, RemoteFile):
        return file.stamp
    stat = os.fstat(file.fileno())
    return stat.st_size, stat.st_mtime_ns


def dated(path: str) -> tuple[Stamp, int]:
    """Return the stamp of a path or URL, and when it was last written to in ns since 1970, as ``stamp`` does."""
    if is_url(path):
        told = information(path)
        return tag(told), written(told)
    stat = os.stat(path)
    return (stat.st_size, stat.st_mtime_ns), stat.st_mtime_ns


def content(file: str) -> bytes:
    """Return the bytes of a file at a path or URL."""
    with open_file(file, follow_links=True) as opened:
        return opened.read() or b""


@contextmanager
def open_unchanged(path: str, before: Stamp, name: str) -> Iterator[OpenFile]:
    """Open a file as ``open_file`` does; LogError if its stamp is another one when all has been read."""
    try:
        file = open_file(path, size=before[0])
    except (FileNotFoundError, NotADirectoryError) as error:
        raise changed(name, path, "it is no longer there") from error
    with file:
        try:
            yield file
        finally:
            # At the end, so that what was written while we read is noticed too: 5 µs a chunk, or a request.
            try:
                now = stamp(file if isinstance(file, FileIO) else path)
            except FileNotFoundError as error:
                raise changed(name, path, "it is no longer there") from error
            if now != before:
                raise changed(name, path, "it was cut off afterwards" if now[0] < before[0] else "it was written to")


def changed(name: str, path: str, how: str) -> LogError:
    """Return the error for what is no longer what was opened."""
    return LogError(f"{name}: {path} has changed since it was opened, {how}: open the log again.")
