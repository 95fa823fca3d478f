"""What a module of this package offers to be a format, and how formats are found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, cast

from covdist import plugins
from covdist.errors import LogError
from covdist.logs.tree import Nodes


class Format(Protocol):
    """A module ``covdist/logs/<format>.py``; having these four names is all it takes to be found."""

    READS: str  # what messages say it reads
    RANK: int  # asked in this order: 0 where a marker file decides, 1 where the ends of file names do

    def recognises(self, path: str) -> bool:
        """Tell from names alone whether the path is of this format."""

    def read(self, path: str, missing_chunks: str) -> Nodes:
        """Read the headers of all arrays below the path."""


def formats() -> list[Format]:
    """Return the formats of this package in the order in which they are asked."""
    found = [cast(Format, module) for module in plugins.modules("logs") if hasattr(module, "recognises")]
    return sorted(found, key=lambda each: (each.RANK, each.READS))


def read(path: str, missing_chunks: str) -> Nodes:
    """Read the headers below a path with the first format that recognises it."""
    if "://" not in path and not os.path.exists(path):
        raise LogError(f"{path} does not exist: give the path of a log.")
    known = formats()
    for each in known:
        if each.recognises(path):
            return each.read(path, missing_chunks)
    reads = "; ".join(each.READS for each in known)
    raise LogError(f"{path} is no log: covdist reads {reads}, and found {_found(path)}.")


def _found(path: str) -> str:
    if "://" in path:
        return "none of these at that address"
    if not os.path.isdir(path):
        return f"a file of {os.path.getsize(path)} bytes ending in {Path(path).suffix or 'no suffix'!r}"
    names = sorted(os.listdir(path))
    if not names:
        return "an empty folder"
    return f"a folder of {len(names)} entries such as {', '.join(map(repr, names[:3]))}"
