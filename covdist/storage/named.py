"""Errors that name a file as others know it, while it is written under another name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def named(unfinished: str, path: str) -> Iterator[None]:
    """Let the system's errors of an unfinished file or folder, and of what lies in it, name what it is to be."""
    try:
        yield
    except OSError as error:
        found = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        if found.startswith(unfinished):
            error.filename = path + found.removeprefix(unfinished)
            del error.filename2  # of a rename or a link: the same
        raise
