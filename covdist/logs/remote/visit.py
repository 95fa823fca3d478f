"""``Visit``: one opening of a log behind a URL, which asks its store for many files at a time, and nothing twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property, partial
from threading import Lock
from typing import Any

from covdist.logs.remote.index import Index, Piece, Read
from covdist.logs.remote.urls import Url, asking, information, tag, written
from covdist.storage.retry import patiently

_MANY = 100  # files, of which what was read is kept for the next opening
_MOST_KEPT = 1 << 16  # bytes of a file: whoever reads more reads more than a header


@dataclass
class Head:
    """A file while it is opened: what its store tells of it, and the parts of it that have been read."""

    url: Url
    listed: Mapping[str, Any] | None
    blocks: OrderedDict[int, bytes] = field(default_factory=OrderedDict)
    pieces: dict[int, bytes] = field(default_factory=dict)

    @cached_property
    def told(self) -> Mapping[str, Any]:
        """What its store tells of it."""
        return information(self.url) if self.listed is None else self.listed

    def at(self, place: int) -> bytes:
        """Return what has been read from a place on."""
        found = (data[place - start :] for start, data in self.pieces.items() if start <= place < start + len(data))
        return max(found, key=len, default=b"")

    def keep(self, place: int, data: bytes) -> None:
        """Remember what has been read."""
        if len(data) > len(self.pieces.get(place, b"")):
            self.pieces[place] = data

    @property
    def read(self) -> Read:
        """What has been read, with the stamp that it had; nothing of a file of which much was read."""
        whole = sum(map(len, self.pieces.values())) <= _MOST_KEPT
        return Read(tag(self.told), tuple(Piece(*each) for each in sorted(self.pieces.items())) if whole else ())


class Visit:
    """What is known of files and folders below a root: what their store has listed, and what was read of them."""

    def __init__(self, root: Url):
        self.root = root
        self._listings: dict[Url, list[dict[str, Any]]] = {}
        self._told: dict[Url, dict[str, Any]] = {}  # by the listings
        self._heads: dict[Url, Head] = {}  # of files that are open
        self._read: dict[str, Read] = {}
        self._lock = Lock()

    def listing(self, url: Url) -> list[dict[str, Any]]:
        """Return what fsspec lists for a folder."""
        if url not in self._listings:
            self._listings[url] = listing(url)
        return self._listings[url]

    def tell(self, url: Url, told: dict[str, Any]) -> None:
        """Take what a listing tells of a file."""
        if told.get("size") is not None and len(tag(told)) > 1:
            self._told[url] = told

    def head(self, url: Url) -> Head | None:
        """Return a file that is being opened; None of others."""
        return self._heads.get(url)

    @contextmanager
    def opening(self, url: Url) -> Iterator[None]:
        """Within, however often a file is opened, its store is asked once for its stamp and for each part."""
        told = self._told.get(url) if self._trusted else None
        head = self._heads[url] = Head(url, told)
        name = url.removeprefix(self.root)
        if told is not None and (known := self._index.get(name)) and known.stamp == tag(told):
            head.pieces.update(known.pieces)
        try:
            yield
        finally:
            del self._heads[url]
        if told is not None and written(told) < self._index.settled and head.read.pieces:
            self._read[name] = head.read

    def close(self) -> None:
        """Keep what was read of files for the next opening."""
        if len(self._read) >= _MANY:
            self._index.replace(self._read)

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
        first = next(iter(self._told), None)
        try:
            return first is not None and tag(information(first)) == tag(self._told[first])
        except FileNotFoundError:
            return False


def listing(url: Url) -> list[dict[str, Any]]:
    """Ask for what is in a folder."""
    with asking(url):
        system, path = url.at()
        system.invalidate_cache(path)  # what it listed before may have grown
        return list(patiently(partial(system.ls, path, detail=True)))


_current: ContextVar[Visit | None] = ContextVar("visit", default=None)


def visit() -> Visit | None:
    """Return the opening that this thread works for."""
    return _current.get()


@contextmanager
def visiting(root: Url) -> Iterator[None]:
    """Open a log; what is learnt of many files is kept when all has been read."""
    mine = Visit(root)
    before = _current.set(mine)
    try:
        yield
    finally:
        _current.reset(before)
    mine.close()


@contextmanager
def asked_once(place: str) -> Iterator[None]:
    """Within, the store of a file behind a URL is asked once for its stamp, and for each part of it."""
    now = visit()
    with nullcontext() if now is None else now.opening(Url(place)):
        yield


def join(mine: Visit | None) -> None:
    """Have this thread work for an opening, from now on."""
    _current.set(mine)
