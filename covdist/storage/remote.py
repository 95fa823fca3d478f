"""``Remote``: files on an object store, or on another file system that fsspec knows."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import fsspec  # type: ignore[import-untyped]

from covdist.errors import DataError
from covdist.storage.pages import Data
from covdist.storage.retry import patiently, statuses

PARTIAL = ".partial"


class Remote:
    """All objects below a URL, with storage options for fsspec; object stores never show half-written ones."""

    def __init__(self, url: str, options: dict[str, object]):
        self.url, self._options = url.rstrip("/"), options

    def __repr__(self) -> str:
        return self.url  # never the options: they may hold credentials

    def put(self, name: str, *parts: bytes | memoryview) -> None:
        self._put(name, b"".join(parts))

    def add(self, name: str, data: Data) -> bool:
        """Put an object; the system's cache holds nothing of it."""
        self.put(name, *data.parts)
        return False

    def swap(self, name: str, data: Data, spare: str) -> None:
        self.put(name, *data.parts)

    def end_swaps(self, spare: str) -> None:
        """Do nothing: an object is replaced without another."""

    def let_go(self, name: str, offset: int, size: int) -> None:
        """Do nothing: what is put is not in the system's cache."""

    def create(self, name: str, data: bytes) -> bool:
        """Put an object that must not exist yet; object stores refuse a second one (``If-None-Match``)."""
        try:
            self._put(name, data, mode="create")
        except OSError as error:
            if not isinstance(error, FileExistsError) and 412 not in statuses(error):  # Precondition Failed
                raise
            # The first answer may have been lost, so that a retry met the object of the first try.
            return self.get(name) == data
        return True

    def begin(self, name: str, data: bytes) -> None:
        """Put the first object, unless it exists."""
        self.create(name, data)

    def append(self, name: str, data: bytes) -> None:
        """Replace the object by a longer one."""
        self.put(name, self.get(name) or b"", data)

    def get(self, name: str) -> bytes | None:
        system, path = self._at(name)
        try:
            return bytes(patiently(partial(system.cat_file, path)))
        except (FileNotFoundError, IsADirectoryError):
            return None

    def holds(self, *names: str) -> bool:
        return all(patiently(partial(system.exists, path)) for system, path in map(self._at, names))

    def remove(self, name: str) -> None:
        system, path = self._at(name)
        with suppress(FileNotFoundError):
            patiently(partial(system.rm_file, path))

    def prune(self, folder: str) -> None:
        """Do nothing: object stores have no empty folders."""

    def names(self, folder: str) -> list[str]:
        system, path = self._at(folder)
        try:
            paths = patiently(partial(system.ls, path, detail=False))
        except FileNotFoundError:
            return []
        return sorted(posixpath.basename(path.rstrip("/")) for path in paths if not path.endswith(PARTIAL))

    def walk(self) -> Iterator[str]:
        system, root = self._at("")
        root = root.rstrip("/")
        return (path.removeprefix(f"{root}/") for path in patiently(partial(system.find, root)))

    def exists(self) -> bool:
        system, root = self._at("")
        return bool(patiently(partial(system.exists, root.rstrip("/"))))

    def _put(self, name: str, data: bytes, **options: str) -> None:
        system, path = self._at(name)
        try:
            patiently(partial(system.pipe_file, path, data, **options))
        except FileNotFoundError:  # not an object store, but a file system with real folders
            system.makedirs(posixpath.dirname(path), exist_ok=True)
            patiently(partial(system.pipe_file, path, data, **options))

    def _at(self, name: str) -> tuple[fsspec.AbstractFileSystem, str]:
        # A cached listing would hide files that other processes have written since.
        try:
            return fsspec.core.url_to_fs(f"{self.url}/{name}", **{"use_listings_cache": False, **self._options})
        except (ValueError, ImportError) as error:
            raise DataError(
                f"{self.url} cannot be reached ({error}): check its protocol, and that fsspec's package for it is "
                "installed"
            ) from error
