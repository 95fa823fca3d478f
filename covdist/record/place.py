"""Where a recorder puts its files: a local folder, or a URL that fsspec knows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import fsspec  # type: ignore[import-untyped]

METADATA = "zarr.json"


class Place(Protocol):
    """A store of files; a file is either wholly there as last put, or as it was before."""

    def put(self, key: str, *parts: Any) -> None:
        """Write a file from buffers of bytes, in one step that cannot be seen half done."""

    def get(self, key: str) -> bytes | None:
        """Return a file's bytes, None where there is none."""

    def used(self) -> bool:
        """Tell whether anything is there already."""

    def metadata_keys(self) -> Iterator[str]:
        """Return the keys of all metadata files."""


def place_at(path: str | os.PathLike[str]) -> Place:
    """Return the place a path or URL names; nothing is written yet."""
    text = os.fspath(path)
    if text.startswith("file://"):
        return Folder(unquote(urlsplit(text).path))
    return Remote(*fsspec.core.url_to_fs(text)) if "://" in text else Folder(text)


@dataclass(frozen=True)
class Folder:
    """A local folder. A killed process loses nothing that was put; a power cut may (no fsync)."""

    root: str

    def put(self, key: str, *parts: Any) -> None:
        """Write beside the file, then rename over it."""
        path = os.path.join(self.root, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(f"{path}.tmp", "wb", buffering=0) as file:
            for part in parts:
                _write_all(file, part)
        os.replace(f"{path}.tmp", path)

    def get(self, key: str) -> bytes | None:
        """Read a whole file."""
        try:
            with open(os.path.join(self.root, key), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def used(self) -> bool:
        """Tell whether the folder exists, empty or not."""
        return os.path.lexists(self.root)

    def metadata_keys(self) -> Iterator[str]:
        """Walk the folder."""
        for folder, _, files in os.walk(self.root):
            if METADATA in files:
                yield os.path.relpath(os.path.join(folder, METADATA), self.root).replace(os.sep, "/")


@dataclass(frozen=True)
class Remote:
    """A prefix of an fsspec file system."""

    system: Any
    root: str

    def put(self, key: str, *parts: Any) -> None:
        """Put one object; object stores show it whole or not at all."""
        path = f"{self.root}/{key}"
        self.system.makedirs(path.rpartition("/")[0], exist_ok=True)
        self.system.pipe_file(path, b"".join(parts))

    def get(self, key: str) -> bytes | None:
        """Fetch one object."""
        try:
            return bytes(self.system.cat_file(f"{self.root}/{key}"))
        except FileNotFoundError:
            return None

    def used(self) -> bool:
        """Ask the file system."""
        return bool(self.system.exists(self.root))

    def metadata_keys(self) -> Iterator[str]:
        """List all objects below the prefix."""
        for path in self.system.find(self.root):
            if path.endswith(f"/{METADATA}"):
                yield path.removeprefix(f"{self.root}/")


def _write_all(file: Any, part: Any) -> None:
    view = memoryview(part).cast("B")
    while view.nbytes:
        view = view[file.write(view) :]
