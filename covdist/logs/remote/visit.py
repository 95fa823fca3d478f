"""``Visit``: one opening of a log behind a URL, which asks its store for many files at a time, and nothing twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any

from covdist.errors import LogError
from covdist.logs.remote.index import Extent, Index, Read
from covdist.logs.remote.urls import Stamp, Url, information, tag, written

_MANY = 100  # files, of which what was read is kept for the next opening
_MOST_KEPT = 1 << 16  # bytes of a file: whoever reads more reads more than a header


@dataclass
class Head:
    """A file while it is opened: what its store tells of it, and the parts of it that have been read."""

    url: Url
    listed: Mapping[str, Any] | None  # what a listing tells of it
    blocks: OrderedDict[int, bytes] = field(default_factory=OrderedDict)
    pieces: dict[int, bytes] = field(default_factory=dict)  # by where they begin

    @cached_property
    def told(self) -> Mapping[str, Any]:
        """What its store tells of it."""
        return information(self.url) if self.listed is None else self.listed

    @cached_property
    def stamp(self) -> Stamp:
        """Its stamp by that."""
        return tag(self.told)

    def at(self, place: int) -> bytes:
        """Return what has been read from a place on."""
        for start, data in self.pieces.items():
            if start <= place < start + len(data):
                return data[place - start :]
        return b""

    def keep(self, place: int, data: bytes) -> None:
        """Remember what has been read."""
        if len(data) > len(self.pieces.get(place, b"")):
            self.pieces[place] = data

    @property
    def read(self) -> Read:
        """What has been read, with the stamp that it had; nothing of a file of which much was read."""
        whole = sum(map(len, self.pieces.values())) <= _MOST_KEPT
        return Read(self.stamp, tuple(Extent(*each) for each in sorted(self.pieces.items())) if whole else ())


class Visit:
    """What is known of files and folders below a root: what their store has listed, and what was read of them."""

    def __init__(self, root: Url):
        self.root = root
        self.listings: dict[Url, tuple[list[str], list[str]]] = {}  # names of files and of folders
        self._told: dict[str, Mapping[str, Any]] = {}  # by listings, of files
        self._first: tuple[Url, Mapping[str, Any]] | None = None  # of these
        self._heads: dict[str, Head] = {}  # of files that are open, by their full addresses
        self._read: dict[str, Read] = {}
        self._unsettled: set[str] = set()
        self._lock = Lock()

    def tell(self, folder: Url, listed: Mapping[str, Mapping[str, Any]]) -> None:
        """Take what a folder's listing tells of what is in it, by name."""
        start = folder.rstrip("/")
        for name, told in listed.items():
            if name and told.get("size") is not None and len(tag(told)) > 1 and told["type"] != "directory":
                self._told[f"{start}/{name}"] = told
                self._first = self._first or (folder.below(name), told)

    def head(self, url: Url) -> Head | None:
        """Return a file that is being opened; None of others."""
        return self._heads.get(url.full)

    @contextmanager
    def opening(self, url: Url) -> Iterator[None]:
        """Within, however often a file is opened, its store is asked once for its stamp and for each part."""
        told = self._told.get(url) if self._trusted else None
        head = self._heads[url.full] = Head(url, told)
        name = url.removeprefix(self.root)
        known = None if told is None else self._read.get(name) or self._index.get(name)
        if known is not None and known.stamp == head.stamp:
            head.pieces.update((piece.start, piece.data) for piece in known.pieces)
        try:
            yield
        finally:
            del self._heads[url.full]
        if told is not None:
            self._read[name] = head.read
            if not 0 < written(told) < self._index.settled:
                self._unsettled.add(name)

    def close(self) -> None:
        """Keep what was read of files for the next opening."""
        settled = {name: read for name, read in self._read.items() if name not in self._unsettled and read.pieces}
        if len(settled) >= _MANY:
            self._index.replace(settled)

    @cached_property
    def _index(self) -> Index:
        return Index(self.root)

    @property
    def _trusted(self) -> bool:
        with self._lock:  # that one of many threads asks
            return self._listings_tell_what_files_do

    @cached_property
    def _listings_tell_what_files_do(self) -> bool:
        """Whether the stamp of the first file is the one in its folder's listing, which saves a request for each."""
        if self._first is None:
            return False
        url, told = self._first
        try:
            return tag(information(url)) == tag(told)
        except (FileNotFoundError, LogError):
            return False


_current: ContextVar[Visit | None] = ContextVar("visit", default=None)


def visit() -> Visit | None:
    """Return the opening that this thread works for."""
    return _current.get()


def join(mine: Visit | None) -> None:
    """Have this thread work for an opening, from now on."""
    _current.set(mine)


@contextmanager
def visiting(root: Url) -> Iterator[None]:
    """Open a log; what is learnt of many files is kept when all has been read."""
    mine, before = Visit(root), visit()
    join(mine)
    try:
        yield
    finally:
        join(before)
    mine.close()


@contextmanager
def asked_once(place: str) -> Iterator[None]:
    """Within, the store of a file behind a URL is asked once for its stamp, and for each part of it."""
    now = visit()
    with nullcontext() if now is None else now.opening(Url(place)):
        yield
