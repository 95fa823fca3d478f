"""A job directory on an object store, or whatever else fsspec knows."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import fsspec  # type: ignore[import-untyped]

from covdist.storage.retry import patiently, statuses

PARTIAL = ".partial"
_PRECONDITION_FAILED = 412


class Remote:
    """A prefix of an object store, which shows an object whole or not at all."""

    def __init__(self, url: str, options: dict[str, Any]):
        self.url, self._options = url.rstrip("/"), options

    def __repr__(self) -> str:
        return self.url  # never the options: they may hold credentials

    def put(self, name: str, data: bytes) -> None:
        """Put one object."""
        self._put(name, data)

    def create(self, name: str, data: bytes) -> bool:
        """Put an object that must not exist: S3 and its like refuse a second one (``If-None-Match``)."""
        try:
            self._put(name, data, mode="create")
        except OSError as error:
            if not isinstance(error, FileExistsError) and _PRECONDITION_FAILED not in statuses(error):
                raise
            # An answer may have got lost, and the second try met the object of the first.
            return self.get(name) == data
        return True

    def append(self, name: str, data: bytes) -> None:
        """Put the object again, with more at its end."""
        self.put(name, (self.get(name) or b"") + data)

    def get(self, name: str) -> bytes | None:
        """Fetch one object."""
        system, path = self._at(name)
        try:
            return bytes(patiently(partial(system.cat_file, path)))
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Remove one object."""
        system, path = self._at(name)
        with suppress(FileNotFoundError):
            patiently(partial(system.rm_file, path))

    def names(self, folder: str) -> list[str]:
        """List a folder."""
        system, path = self._at(folder)
        try:
            found = patiently(partial(system.ls, path, detail=False))
        except FileNotFoundError:
            return []
        return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in found if not name.endswith(PARTIAL))

    def _put(self, name: str, data: bytes, **options: Any) -> None:
        system, path = self._at(name)
        try:
            patiently(partial(system.pipe_file, path, data, **options))
        except FileNotFoundError:  # not an object store, but a file system with real folders
            system.makedirs(system._parent(path), exist_ok=True)
            patiently(partial(system.pipe_file, path, data, **options))

    def _at(self, name: str) -> tuple[Any, str]:
        # A listing that a file system remembers hides what other processes have written since.
        options = {"use_listings_cache": False, **self._options}
        system, path = fsspec.core.url_to_fs(f"{self.url}/{name}", **options)
        return system, path
