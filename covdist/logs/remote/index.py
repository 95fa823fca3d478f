"""``Index``: what was read of many files behind a URL to open them, kept in the user's folder for such things.

It is believed of a file whose size and etag, or time, are those that a listing tells now. A damaged one is as good as
none.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

from covdist.limits import limits
from covdist.logs.remote.urls import Stamp, Url
from covdist.storage.checksum import checksummed, verified
from covdist.storage.place import Folder
from covdist.storage.secrets import clean

_FORMAT = 1
_SETTLED = 60_000_000_000  # ns: a younger file may be written again without another time, or by another clock
_OFF = ("0", "off", "no")


class Extent(NamedTuple):
    """Some bytes of a file, and where they begin."""

    start: int
    data: bytes


class Read(NamedTuple):
    """What was read of a file when it had a stamp."""

    stamp: Stamp
    pieces: tuple[Extent, ...]


class Index:
    """What was read of the files below a URL, by their paths there."""

    def __init__(self, root: Url):
        self.settled = time.time_ns() - _SETTLED
        # Two stores may have the same addresses; credentials do not tell them apart, and stay out of it.
        self._about = json.dumps([root, clean(root.options)], sort_keys=True, default=str)
        self._name = hashlib.blake2b(self._about.encode(), digest_size=16).hexdigest()
        self._folder = index_folder()

    def get(self, file: str) -> Read | None:
        """Return what is known of a file."""
        return self._files.get(file)

    @cached_property
    def _files(self) -> dict[str, Read]:
        if self._folder is None:
            return {}
        path = os.path.join(self._folder, self._name)
        try:
            if os.path.getsize(path) > limits().index_bytes:
                return {}
            description, body = verified(Folder(self._folder).get(self._name)) or ({}, memoryview(b""))
            if description["format"] != _FORMAT or description["about"] != self._about:
                return {}
            found = dict(_files(description["files"], zlib.decompress(body)))
            os.utime(path)  # the newest stay longest
            return found
        except (OSError, ValueError, TypeError, KeyError, zlib.error):
            return {}

    def replace(self, files: Mapping[str, Read]) -> None:
        """Keep this instead, as far as there is room."""
        if self._folder is None or files == self._files:
            return
        with suppress(OSError):
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            body = b"".join(piece.data for read in files.values() for piece in read.pieces)
            told = [[name, read.stamp, [[p.start, len(p.data)] for p in read.pieces]] for name, read in files.items()]
            description = {"format": _FORMAT, "about": self._about, "files": told}
            data = checksummed(description, zlib.compress(body, 1))
            if len(data) <= limits().index_bytes:
                Folder(self._folder, durable=False).put(self._name, data)
                _make_room(self._folder)


def index_folder() -> str | None:
    """Return where indexes are kept; None where ``COVDIST_INDEX=off``, or where nobody knows of such a folder."""
    if os.environ.get("COVDIST_INDEX", "").lower() in _OFF:
        return None
    home = os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    found = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
    folder = found if os.path.isabs(found) else home  # as the standard has it
    return os.path.join(folder, "covdist", "index") if os.path.isabs(folder) else None


def _files(told: Iterable[Any], body: bytes) -> Iterator[tuple[str, Read]]:
    at = 0
    for name, stamp, lengths in told:
        pieces = []
        for start, length in lengths:
            pieces.append(Extent(start, body[at : at + length]))
            at += length
        yield name, Read(tuple(stamp), tuple(pieces))
    if at != len(body):
        raise ValueError("it was cut off")


def _make_room(folder: str) -> None:
    """Remove what was not used for the longest time, also of writers that were killed, until the rest fits."""
    with os.scandir(folder) as entries:
        found = [(each.stat(), each.path) for each in entries if each.is_file(follow_symlinks=False)]
    left = sum(told.st_size for told, _ in found)
    for told, path in sorted(found, key=lambda each: each[0].st_mtime_ns):
        if left <= limits().index_bytes:
            return
        with suppress(OSError):
            os.unlink(path)
        left -= told.st_size
