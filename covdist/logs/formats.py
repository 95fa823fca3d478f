"""The interface of a format, and the look-up of the one that fits a path."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from covdist import plugins
from covdist.errors import LogError
from covdist.logs.paths import is_url
from covdist.logs.source import Nodes, Source


class Format(Protocol):
    """A module or package ``covdist/logs/<format>``; any that has these four names is used.

    All formats are imported when a log is opened, so a format imports an optional package in ``read`` only. It may
    also have ``adopt(value) -> Source | None``: a source for an object that another library opened, to read it faster.
    """

    READS: str  # for messages: what it reads
    RANK: int  # order in which formats are asked: 0 if a marker file decides, 1 if the ends of file names do

    def recognises(self, path: str) -> bool:
        """Return whether there is a log of this format at a local path or URL, without reading arrays."""

    def read(self, path: str, missing_chunks: str, follow_links: bool) -> Nodes:
        """Read the headers of all arrays below the path, and open no links unless told to."""


@cache
def formats() -> tuple[Format, ...]:
    """Return the formats of this package in the order in which they are asked."""
    found = [cast(Format, module) for module in plugins.modules("logs") if hasattr(module, "recognises")]
    return tuple(sorted(found, key=lambda each: (each.RANK, each.READS)))


def read(path: str, missing_chunks: str, follow_links: bool) -> Nodes:
    """Read the headers below a path with the first format that recognises it."""
    if not is_url(path) and not os.path.exists(path):
        raise LogError(f"{path} does not exist: give the path of a log.")
    known = formats()
    for each in known:
        if each.recognises(path):
            return each.read(path, missing_chunks, follow_links)
    reads = "; ".join(each.READS for each in known)
    if is_url(path):
        raise LogError(f"{path} does not exist, or holds no log: covdist reads {reads}.")
    raise LogError(f"{path} is no log: covdist reads {reads}, and found {_description(path)}.")


def adopted(value: Any) -> Source | None:
    """Return the source that a format has for an object that another library opened."""
    sources = (each.adopt(value) for each in formats() if hasattr(each, "adopt"))
    return next((source for source in sources if source is not None), None)


def _description(path: str) -> str:
    if not os.path.isdir(path):
        return f"a file of {os.path.getsize(path)} bytes ending in {Path(path).suffix or 'no suffix'!r}"
    names = sorted(os.listdir(path))
    if not names:
        return "an empty folder"
    return f"a folder of {len(names)} entries such as {', '.join(map(repr, names[:3]))}"
