"""Stores of zarr that a caller opened, which only that object can read: its sources take it along."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

import cloudpickle  # type: ignore[import-untyped]
from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore, WrapperStore, ZipStore

from covdist.errors import DataError, LogError, shown
from covdist.logs.paths import address
from covdist.logs.remote.urls import Stamp, Url, information, tag
from covdist.logs.zarr.arrays import ZarrSource
from covdist.logs.zarr.files import MARKERS
from covdist.logs.zarr.stores import bytes_in
from covdist.storage.secrets import clean_text, known_secrets

_OF_THIS_PROCESS = ("asynchronous", "loop")


@dataclass(frozen=True, eq=False)
class Carried:
    """A store and its name in messages; pickled once for all arrays that go to a worker together."""

    store: Store
    called: str
    token: str  # of this opening: nothing tells whether two stores hold the same

    def __reduce__(self) -> tuple[Any, ...]:
        try:
            data = cloudpickle.dumps(self.store)
        except Exception as error:  # of any type
            return _LeftBehind, (self.called, self.said(error))
        return _restored, (data, self.called, self.token)

    def bytes_in(self, key: str, start: int, most: int) -> bytes | None:
        """Read a range of bytes, as ``stores.bytes_in``; LogError in one sentence where the store fails."""
        try:
            return bytes_in(self.store, key, start, most)
        except Exception as error:  # stores raise errors of any type
            raise LogError(
                f"cannot be read from the {self.called} ({self.said(error)}): check the store, or try again."
            ) from None

    def said(self, error: Exception) -> str:
        """Return an error of the store as people may see it."""
        secrets = known_secrets(getattr(getattr(_innermost(self.store), "fs", None), "storage_options", {}))
        return f"{type(error).__name__}: {shown(clean_text(str(error), secrets), 300)}"


class _LeftBehind(NamedTuple):
    """In the place of a store that cannot be pickled. Whoever reads says so: distributed hides why it cannot send."""

    called: str
    why: str

    def bytes_in(self, key: str, start: int, most: int) -> bytes | None:
        """Raise LogError, which says why there is nothing to read from."""
        raise LogError(
            f"cannot be read, since a {self.called} cannot be sent to other processes ({self.why}): compute with "
            "threads, or save the log where its path or URL can be opened."
        )


def _restored(data: bytes, called: str, token: str) -> Carried:
    return Carried(cloudpickle.loads(data), called, token)


@dataclass(frozen=True, eq=False)
class CarriedSource(ZarrSource):
    """Reads chunks from the store that it takes along, which tells of no changes."""

    carried: Carried | _LeftBehind

    def stamps_of(self, keys: Sequence[str]) -> list[Stamp | None]:
        return [None] * len(keys)

    def read(self, key: str, start: int, most: int) -> bytes:
        whole = f"{self.inner}/{key}".lstrip("/")
        try:
            found = self.carried.bytes_in(whole, start, most)
        except LogError as error:
            raise LogError(f"{self.name}: chunk {key} {error}") from None
        if found is None:
            raise KeyError(whole)
        return found


def path_or_carried(value: Any) -> str | Carried | None:
    """Return the path of a store that has one, else the store, to be carried; None if the value is not a store."""
    if not isinstance(value, Store):
        return None
    called, inner = type(value).__name__, _innermost(value)
    if isinstance(inner, ZipStore) and not inner.read_only:  # a copy of it would empty the file
        raise DataError(f"path is a {called} that is open for writing: close it, and pass the path of the zip file.")
    if type(value) is LocalStore:
        return str(value.root)
    if type(value) is ZipStore:
        return str(value.path)
    if type(value) is FsspecStore and (url := _url_of(value)):
        return url
    return Carried(value, called, uuid4().hex)


def _url_of(store: FsspecStore) -> Url | None:
    """Return the URL that leads to the same objects, if that tells when they change."""
    system = getattr(store.fs, "sync_fs", store.fs)
    options = {key: value for key, value in system.storage_options.items() if key not in _OF_THIS_PROCESS}
    try:
        json.dumps(options)  # an object in it may be one of a kind
        url = Url(system.unstrip_protocol(store.path), options)
        again, path = url.at()
        if type(again) is not type(system) or path.strip("/") != store.path.strip("/") or address(url) is not url:
            return None
        return url if any(map(_is_told, (url.below(marker) for marker in MARKERS))) else None
    except Exception:  # of any type: it is read as it is
        return None


def _is_told(url: Url) -> bool:
    try:
        return len(tag(information(url))) > 1
    except FileNotFoundError:
        return False


def _innermost(store: Store) -> Store:
    while isinstance(store, WrapperStore):
        store = store._store
    return store
