"""The interface of a format, and the look-up of the one that fits a path."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from covdist import plugins
from covdist.errors import LogError
from covdist.logs.paths import is_url
from covdist.logs.source import Entry, Nodes, Source, Unreadable


class Format(Protocol):
    """A module or package ``covdist/logs/<format>`` of whole logs; any that has these four names is used.

    All formats are imported when a log is opened, so a format imports an optional package in ``read`` only. It may
    also have ``adopt(value) -> Source | None``: a source for an object that another library opened, to read it faster;
    and ``behind(value)``: for a store of another library, its path, or else what reads its headers for a
    ``missing_chunks``; None for other values.
    """

    READS: str  # for messages: what it reads
    RANK: int  # order in which formats are asked: 0 if a marker file decides, 9 for any folder of files

    def recognises(self, path: str) -> bool:
        """Return whether there is a log of this format at a local path or URL, without reading arrays."""

    def read(self, path: str, missing_chunks: str, follow_links: bool) -> Nodes:
        """Read the headers of all arrays below the path, and open no links unless told to."""


class FileFormat(Protocol):
    """A module ``covdist/logs/files/<format>`` of single files; any that has these four names is used.

    It imports an optional package in ``variables`` and in its sources only.
    """

    READS: str  # for messages: what it reads
    ENDS: tuple[str, ...]  # of the names of such files, for those that are damaged from the first byte on

    def begins(self, head: bytes) -> bool:
        """Return whether a file is of this format by its first 512 bytes, or all of a shorter one."""

    def variables(self, path: str, stem: str, prefix: str) -> Mapping[str, Entry | Unreadable]:
        """Read the headers of a file's arrays: its only one by ``stem``, of several each by its key after ``prefix``.

        Names may have slashes: those before the last are layers. Raises LogError if none can be read.
        """


@cache
def formats() -> tuple[Format, ...]:
    """Return the formats of this package in the order in which they are asked."""
    found = [cast(Format, module) for module in plugins.modules("logs") if hasattr(module, "recognises")]
    return tuple(sorted(found, key=lambda each: (each.RANK, each.READS)))


@cache
def file_formats() -> tuple[FileFormat, ...]:
    """Return the formats of single files."""
    return tuple(cast(FileFormat, module) for module in plugins.modules("logs") if hasattr(module, "begins"))


def read(path: str, missing_chunks: str, follow_links: bool) -> Nodes:
    """Read the headers below a path with the first format that recognises it."""
    if not is_url(path) and not os.path.exists(path):
        raise LogError(f"{path} does not exist: give the path of a log.")
    known = formats()
    for each in known:
        if each.recognises(path):
            return each.read(path, missing_chunks, follow_links)
    if not is_url(path) and os.path.isfile(os.path.join(path, "manifest.json")):
        raise LogError(f"{path} is a job's folder, not a log: `covdist status`, show and report read it.")
    reads = "; ".join([each.READS for each in known] + [each.READS for each in file_formats()])
    if is_url(path):
        raise LogError(f"{path} does not exist, or holds no log: covdist reads {reads}.")
    raise LogError(f"{path} is not a log: covdist reads {reads}, and found {_description(path)}.")


def adopted(value: Any) -> Source | None:
    """Return the source that a format has for an object that another library opened."""
    sources = (each.adopt(value) for each in formats() if hasattr(each, "adopt"))
    return next((source for source in sources if source is not None), None)


def behind(value: Any) -> str | Callable[[str], Nodes] | None:
    """Return the path of a store that another library opened, else what reads its headers; None for other values."""
    found = (each.behind(value) for each in formats() if hasattr(each, "behind"))
    return next((each for each in found if each is not None), None)


def _description(path: str) -> str:
    if not os.path.isdir(path):
        return f"a file of {os.path.getsize(path)} bytes ending in {Path(path).suffix or 'no suffix'!r}"
    names = sorted(os.listdir(path))
    if not names:
        return "an empty folder"
    return f"a folder of {len(names)} entries such as {', '.join(map(repr, names[:3]))}"
