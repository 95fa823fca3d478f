"""``Url``: the address of a file or folder, and what its store tells of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from typing import Any, Self
from urllib.parse import quote

import fsspec  # type: ignore[import-untyped]

from covdist.errors import LogError, shown, without_credentials
from covdist.storage.retry import patiently, statuses
from covdist.storage.secrets import clean_text, known_secrets

_TAGS = (
    "ETag", "etag", "md5Hash", "Content-MD5", "mtime", "LastModified", "last_modified", "Last-Modified", "modified",
    "created",
)  # fmt: skip
_TIMES = ("mtime", "LastModified", "last_modified", "modified", "created")
_ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError, KeyError)  # the last of zip files in old fsspec
_GONE = {404, 410}  # fsspec says of any other status, too, that a file on the web is not there
Stamp = tuple[Any, ...]  # a file's size, and when it was last written to: in ns, or as its store tells it


_shared: ContextVar[Any] = ContextVar("shared", default=None)


class Url(str):
    """An address as people may see it: its credentials, and options for fsspec, are kept beside the text."""

    full: str
    options: Mapping[str, Any]

    def __new__(cls, full: str, options: Mapping[str, Any] | None = None) -> Self:
        if isinstance(full, cls):
            return full
        self = super().__new__(cls, without_credentials(full))
        self.full, self.options = str(full), dict(options or {})
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.full, self.options)

    @property
    def web(self) -> bool:
        """Whether a web server is asked, whose folders are pages and whose files may come as a whole only."""
        return self.full.startswith(("http://", "https://"))

    @property
    def zipped(self) -> Url:
        """The address of what is in the zip file that it leads to."""
        return Url(f"zip::{self.full}", {self.full.partition("://")[0]: self.options} if self.options else None)

    @property
    def innermost(self) -> Url:
        """The address of the file at the end of a chain, such as the zip file in ``zip://x::s3://bucket/a.zip``."""
        last = self.full.rpartition("::")[2]
        return Url(last, self.options.get(last.partition("://")[0], {}) if last != self.full else self.options)

    @property
    def last(self) -> str:
        """The name of the file or folder."""
        first = self.full.partition("::")[0]
        first = first if first.rstrip("/").partition("://")[2] else self.full.rpartition("::")[2]
        return self._parted(first)[0].rstrip("/").rpartition("/")[2]

    @property
    def above(self) -> Url:
        """The address of the folder that it lies in."""
        first, chain, rest = self.full.partition("::")
        first, query = self._parted(first)
        return Url(f"{first.rstrip('/').rpartition('/')[0]}{query}{chain}{rest}", self.options)

    def below(self, *names: str) -> Url:
        """Return the address of what lies below; names may be empty."""
        first, chain, rest = self.full.partition("::")
        first = first if "://" in first else f"{first}://"
        first, query = self._parted(first)
        inner = "/".join(filter(None, (quote(name) if self.web else name for name in names)))
        first = first if first.endswith("://") else first.rstrip("/") + "/" * bool(inner)
        return Url(f"{first}{inner}{query}{chain}{rest}", self.options)

    def _parted(self, text: str) -> tuple[str, str]:
        path, mark, query = text.partition("?") if self.web else (text, "", "")
        return path, mark + query

    def at(self) -> tuple[Any, str]:
        """Return the file system of fsspec, and the path in it."""
        if (shared := _shared.get()) is not None and "::" not in self.full:
            return shared, shared._strip_protocol(self.full)
        system, path = fsspec.core.url_to_fs(self.full, **self.options)
        return system, path


def share(system: Any) -> None:
    """Have this thread ask this file system: fsspec makes one for each thread, with connections of its own."""
    _shared.set(system)


@contextmanager
def asking(url: Url) -> Iterator[None]:
    """Around requests to a store: FileNotFoundError where there is nothing, else LogError in one sentence."""
    try:
        yield
    except LogError:
        raise
    except Exception as error:  # each store raises errors of its own
        if isinstance(error, _ABSENT) and statuses(error) <= _GONE:
            raise FileNotFoundError(url) from None
        if isinstance(error, _ABSENT):
            error = error.__cause__ if isinstance(error.__cause__, Exception) else error
        said = clean_text(str(error), known_secrets(url.options))
        raise LogError(
            f"{url} cannot be looked up ({type(error).__name__}: {shown(said, 300)}): check the address, the network "
            "and your permissions, and that the package for its protocol is installed."
        ) from (error if said == str(error) else None)


def information(url: str) -> dict[str, Any]:
    """Return what its store tells of a file, without asking for its content."""
    url = Url(url)
    with asking(url):
        system, path = url.at()
        system.invalidate_cache(system._parent(path))  # what it listed before may have changed
        return dict(patiently(partial(system.info, path)))


def listed_below(url: str) -> dict[str, Stamp]:
    """Return the stamps of all files below a URL, by their paths there: one request for a thousand of them."""
    url = Url(url)
    with asking(url):
        system, root = url.at()
        system.invalidate_cache()
        start = f"{root.rstrip('/')}/"
        found = patiently(partial(system.find, root, detail=True))
    return {path.removeprefix(start): tag(told) for path, told in found.items()}


def tag(found: Mapping[str, Any]) -> Stamp:
    """Return a stamp of what a store tells of a file."""
    size = found.get("size")
    for name in _TAGS:
        if name in found:
            return size, str(found[name])
    return (size,)


def written(found: Mapping[str, Any]) -> int:
    """Return when a file was last written to, in ns since 1970; 0 where its store does not tell."""
    at = next((found[name] for name in _TIMES if name in found), 0)
    seconds = at.timestamp() if isinstance(at, datetime) else at
    return int(seconds * 1e9) if isinstance(seconds, int | float) else 0
