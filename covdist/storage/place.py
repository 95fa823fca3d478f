"""Where a job directory is: a local folder, or a URL that fsspec knows. A file is there whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from covdist.storage.remote import PARTIAL, Remote


class Place(Protocol):
    """A store of small files, by names such as ``states/0-1-2``."""

    def put(self, name: str, data: bytes) -> None:
        """Write or replace a file in one step."""

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that must not exist, in one step; of several that try, one is told True."""

    def append(self, name: str, data: bytes) -> None:
        """Add to a file; after a crash a part of ``data`` may be there."""

    def get(self, name: str) -> bytes | None:
        """Return a file's bytes, or nothing."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def names(self, folder: str) -> list[str]:
        """Return the names of the whole files in a folder, sorted, without the folder."""


def place_at(path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Place:
    """Return the place that a path or URL names; nothing is written yet."""
    text = os.fspath(path)
    if text.startswith("file://"):
        return Folder(unquote(urlsplit(text).path))
    return Remote(text, dict(options or {})) if "://" in text else Folder(os.path.abspath(text))


class Folder:
    """A local folder. What has been put survives a power cut."""

    def __init__(self, root: str):
        self.root = root

    def __repr__(self) -> str:
        return self.root

    def put(self, name: str, data: bytes) -> None:
        path = self._path(name)
        with self._written(path, data) as partial:
            os.replace(partial, path)

    def create(self, name: str, data: bytes) -> bool:
        path = self._path(name)
        with self._written(path, data) as partial:
            try:
                os.link(partial, path)  # unlike a rename it refuses to replace
            except FileExistsError:
                return False
        return True

    def append(self, name: str, data: bytes) -> None:
        path = self._path(name)
        with open(path, "a+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                # A crash may have left a line without its end.
                data = data if file.read(1) == b"\n" else b"\n" + data
            _write_all(file, data)

    def get(self, name: str) -> bytes | None:
        try:
            with open(os.path.join(self.root, name), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def remove(self, name: str) -> None:
        _remove(os.path.join(self.root, name))

    def names(self, folder: str) -> list[str]:
        try:
            found = os.listdir(os.path.join(self.root, folder))
        except FileNotFoundError:
            return []
        return sorted(name for name in found if not name.endswith(PARTIAL))

    def _path(self, name: str) -> str:
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    @contextmanager
    def _written(self, path: str, data: bytes) -> Iterator[str]:
        partial = f"{path}.{uuid.uuid4().hex}{PARTIAL}"
        try:
            with open(partial, "xb", buffering=0) as file:
                _write_all(file, data)
                os.fsync(file.fileno())
            yield partial
        finally:
            _remove(partial)
        _sync_folder(os.path.dirname(path))


def _write_all(file: Any, data: bytes) -> None:
    view = memoryview(data)
    while view.nbytes:
        view = view[file.write(view) :]


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _sync_folder(path: str) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
