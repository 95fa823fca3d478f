"""Stamps of files, by which a file that has changed since it was opened is noticed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO

from covdist.errors import LogError
from covdist.logs.paths import open_file

_TICKS = 5  # CLOCK_REALTIME_COARSE, by which file systems tell the time: ticks of 1 to 10 ms
Stamp = tuple[int, int]  # a file's size, and when it was last written to


@contextmanager
def opening() -> Iterator[int]:
    """Yield the time in ns, and end when whatever is written from then on bears a later one."""
    now = time.time_ns()
    yield now
    if sys.platform == "linux":  # others tell the time of files more finely
        while time.clock_gettime_ns(_TICKS) <= now:
            time.sleep(0.0005)


def stamp(file: int | str) -> Stamp:
    """Return the stamp of a path or an open file."""
    stat = os.fstat(file) if isinstance(file, int) else os.stat(file)
    return stat.st_size, stat.st_mtime_ns


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
