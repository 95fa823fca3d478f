"""Stores of zarr: zip files and what is behind URLs."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Any
from zipfile import ZipInfo

from zarr.abc.store import ByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.abc.store import Store as AnyStore
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, ZipStore

from covdist.errors import LogError
from covdist.logs.files._zip_members import DAMAGED, archive
from covdist.logs.paths import address, is_url, open_file
from covdist.logs.remote.folders import sorted_names
from covdist.logs.remote.urls import Url
from covdist.logs.zarr.metadata import MOST_BYTES, parsed
from covdist.storage.retry import patiently

Store = FsspecStore | ZipStore
_ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError, KeyError)  # the last of zip files in old fsspec
METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


class RemoteStore(FsspecStore):
    """What is behind a URL; no more of a file of metadata is read than metadata have."""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        if byte_range is not None or key.rpartition("/")[2] not in METADATA:
            return await super().get(key, prototype, byte_range)
        found = await super().get(key, prototype, RangeByteRequest(0, MOST_BYTES + 1))
        if found is not None:
            parsed(found.to_bytes(), key)
        return found

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        if "http" in self.fs.protocol:  # a page, which quotes names
            url = Url(f"{self.path}/{prefix}".rstrip("/"))
            for names in sorted_names(url, url.full, await self.fs._ls(url.full, detail=True)):
                for name in names:
                    yield name
            return
        # At the root of a file system zarr asks for "/fc1", which that of a zip file takes for the name of no folder.
        if self.path:
            async for name in super().list_dir(prefix):
                yield name
            return
        try:
            found = await self.fs._ls(prefix.rstrip("/"), detail=False)
        except FileNotFoundError:
            return
        for path in found:
            yield path.rstrip("/").rpartition("/")[2]


def open_store(place: str) -> Store:
    """Return the store at a URL or in a zip file, whose metadata are no larger than metadata are."""
    if is_url(place):
        return _remote(place)
    for info in _members(place):
        if info.filename.rpartition("/")[2] in METADATA and info.file_size > MOST_BYTES:
            raise LogError(
                f"{place}: {info.filename} has {info.file_size:,} bytes, more than metadata of a log has "
                f"({MOST_BYTES:,}): restore it, or take its attributes out."
            )
    return sync(ZipStore.open(place, mode="r"))


def _members(place: str) -> list[ZipInfo]:
    try:
        with open_file(place, follow_links=True) as file, archive(file) as opened:
            return opened.infolist()
    except DAMAGED as error:
        raise LogError(
            f"{place} is not a readable zip file ({error}): it was cut off or damaged, copy or write it again."
        ) from error


def _remote(place: str) -> FsspecStore:
    url = address(place)
    options = dict(url.options)
    store = RemoteStore.from_url(url.full, storage_options=options, read_only=True, allowed_exceptions=_ABSENT)
    getattr(store.fs, "sync_fs", store.fs).invalidate_cache()  # what it listed before may have grown
    return store


def names_in(store: AnyStore, path: str) -> list[str]:
    """Return what is at a path of a store, in order."""

    async def listed() -> list[str]:
        return sorted([name async for name in store.list_dir(path)])

    return sync(listed())


def read(place: str, token: str, key: str, start: int, most: int) -> bytes:
    """Read a range of bytes, from the end where ``start`` is negative; KeyError where the store lacks the key."""
    found = bytes_in(_store(place, token), key, start, most)
    if found is None:
        raise KeyError(key)
    return found


def bytes_in(store: AnyStore, key: str, start: int, most: int) -> bytes | None:
    """Read a range of bytes, from the end where ``start`` is negative; None where the store lacks the key."""
    wanted: Any = SuffixByteRequest(-start) if start < 0 else RangeByteRequest(start, start + most)
    whole = default_buffer_prototype()
    found = patiently(lambda: sync(store.get(key, whole, wanted)))
    return None if found is None else found.to_bytes()


@functools.lru_cache(maxsize=64)
def _store(place: str, token: str) -> Store:
    """Open a store once per process; if it is written anew at the same place, its arrays' tokens differ."""
    return open_store(place)
