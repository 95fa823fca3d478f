"""A Zarr array whose chunks lie in shards, in a zip file or behind a URL."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from covdist.logs.chunk_bytes import BROKEN
from covdist.logs.grid import Index
from covdist.logs.paths import below, is_url, open_inside
from covdist.logs.remote.urls import Stamp, information, listed_below, tag, written
from covdist.logs.stamps import changed, stamp
from covdist.logs.zarr.files import StoredChunks, stamps_in

_TRIES = 10
NOWHERE = 2**64 - 1  # the offset of a chunk that a shard lacks


@dataclass(frozen=True, eq=False)
class ZarrSource(StoredChunks):
    """Reads ranges of bytes; a chunk that is missing inside a shard reads as the fill value."""

    place: str  # path or URL of the store
    inner: str  # the array's path in it

    def stamps_of(self, keys: Sequence[str]) -> list[Stamp | None]:
        if not is_url(self.place):
            return stamps_in(os.path.join(self.place, self.inner), keys)
        found = listed_below(below(self.place, self.inner))
        return [found.get(key) for key in keys]

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        outer = tuple(i * size // whole for i, size, whole in zip(index, self.chunks, self.in_file, strict=True))
        key = self.key(outer)
        try:
            data, written_at = self._settled(key, index)
            self.check(outer, written_at)
            if data is None:
                return self.filled(index)
            return self.layout.array(np.frombuffer(data, np.uint8), self.dtype)[self.part(index)]
        except (FileNotFoundError, KeyError):
            self.check(outer)
            return self.absent(key, index)
        except BROKEN as error:
            self.check(outer)
            raise self.broken(key, error) from error

    def _settled(self, key: str, index: Index) -> tuple[bytes | None, int]:
        """Return the bytes of a chunk, and when its file was written to, which must not have been meanwhile."""
        for _ in range(_TRIES):  # of a shard that grows we may have parts that do not fit
            before = self._stamp(key)
            try:
                data = self._encoded(key, index, before)
            except BROKEN:
                if self._stamp(key) == before:
                    raise
                continue
            if self._stamp(key) == before:
                return data, before[1]
        raise changed(self.name, key, "it is written to again and again")

    def _stamp(self, key: str) -> tuple[Stamp, int]:
        """Return the stamp of one of the array's files, and when it was written to, as far as its store tells."""
        if self.opened.stamp is None or not self.opened.described:
            return (), 0
        if not is_url(self.place):
            found = stamp(os.path.join(self.place, self.inner, key))
            return found, found[1]
        told = information(below(self.place, self.inner, key))
        return tag(told), written(told)

    def _encoded(self, key: str, index: Index, found: object) -> bytes | None:
        """Return the bytes of a chunk, None where its shard lacks it; KeyError where its file is not in the store."""
        most, start, size = self.layout.encoded_size, 0, None
        if self.layout.index is not None:
            offsets = shard_index(self, key, found)
            start, size = map(int, offsets[tuple(i % n for i, n in zip(index, offsets.shape[:-1], strict=True))])
            if start == size == NOWHERE:
                return None
            if size > most or start >= 2**63:
                raise ValueError(
                    f"its shard says that it has {size:,} bytes at {start:,}, where at most {most:,} are expected"
                )
        data = self.read(key, start, most + 1 if size is None else size)
        if len(data) > most or size not in (None, len(data)):
            raise ValueError(f"it has {len(data):,} bytes where {size or most:,} are expected")
        return data

    def read(self, key: str, start: int, most: int) -> bytes:
        """Read a range of bytes of a file of the array; KeyError or FileNotFoundError where there is none."""
        if os.path.isdir(self.place):
            folder = os.path.join(self.place, self.inner)
            with open_inside(folder, key, self.follow_links) as file:
                file.seek(max(start, -file.seek(0, os.SEEK_END)), os.SEEK_END if start < 0 else os.SEEK_SET)
                return file.read(most)
        from covdist.logs.zarr.stores import read

        return read(self.place, self.token, f"{self.inner}/{key}".lstrip("/"), start, most)


@functools.lru_cache(maxsize=16)
def shard_index(source: ZarrSource, key: str, found: object) -> np.ndarray:
    """Read the index of a shard with this stamp: offsets and lengths of its chunks."""
    index = source.layout.index
    assert index is not None
    data = source.read(key, 0 if index.first else -index.size, index.size)
    if len(data) != index.size:
        raise ValueError(f"it has {len(data):,} bytes where its index alone has {index.size:,}")
    return index.layout.array(np.frombuffer(data, np.uint8), np.dtype("<u8"))
