"""Where the chunks of an array go: ``Files`` of one each, or ``Shards`` of several, with an index at their start.

In shards a chunk is written where nothing that the index names lies, and then the index, in one small write. So at any
moment the file is whole for whoever reads it, and a process may be killed at any point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import google_crc32c
import numpy as np

from covdist.record.chunks import CRC_BYTES, LARGE
from covdist.storage.pages import Data, Parts, up_to_page
from covdist.storage.place import Folder, Place

MOST = 255  # chunks of a file, whose index then lies in one page of memory and is written in one piece
INDEX: list[dict[str, object]] = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
_NOWHERE = 2**64 - 1  # what the index says of a chunk that is not there


class Written(NamedTuple):
    """Where a chunk was written, and whether the system's cache of files may hold it."""

    name: str
    start: int
    cached: bool


class Files:
    """Files of one chunk each."""

    count = None  # of chunks in a file, as the metadata tell it

    def __init__(self, place: Place, key: Callable[[int], str], spare: str):
        self._place, self._key, self._spare = place, key, spare
        self._last = ""  # name of the chunk that was written last
        self._beside = False  # whether there may be a spare file, with which the chunk that fills up takes turns

    def put(self, chunk: int, data: Data) -> Written:
        """Write a chunk; a small one that fills up and is written again and again takes two files by turns."""
        name = self._key(chunk)
        if name == self._last and data.nbytes < LARGE:
            self._beside = True
            self._place.swap(name, data, self._spare)
            return Written(name, 0, True)
        self._last = name
        return Written(name, 0, self._place.add(name, data))

    def get(self, chunk: int) -> bytes:
        """Return the bytes of a chunk, none where it is not there."""
        return self._place.get(self._key(chunk)) or b""

    def forget(self, chunk: int) -> None:
        """Go on with the chunk before this one; the chunks from this one on are replaced by others."""
        self._last = self._key(chunk - 1) if chunk else ""
        self._beside = True  # of a process that was killed

    def finish(self) -> None:
        """Leave nothing but the chunks."""
        if self._beside:
            self._place.end_swaps(self._spare)


class Shards:
    """Files of ``count`` chunks, by the number of the chunk."""

    def __init__(self, place: Folder, key: Callable[[int], str], count: int, chunk_bytes: int):
        self._place, self._key, self.count = place, key, count
        self._in_pages = chunk_bytes >= LARGE
        self._most = self._room(chunk_bytes + chunk_bytes // 1000 + 64)  # for a chunk with its frame
        self._number = -1  # of the file whose index is known
        self._index = np.empty((0, 2), "<u8")  # offsets and lengths

    def put(self, chunk: int, data: Data) -> Written:
        """Write a chunk, and in its place in the index where it lies."""
        number, at = divmod(chunk, self.count)
        name, index = self._key(number), self._of(number)
        start = self._free(index, at, data.nbytes)
        cached = self._place.write_at(name, start, data)
        index[at] = start, data.nbytes
        body = index.tobytes()
        self._place.write_at(name, 0, Parts([body, google_crc32c.value(body).to_bytes(CRC_BYTES, "little")]))
        return Written(name, start, cached)

    def get(self, chunk: int) -> bytes:
        """Return the bytes of a chunk, none where it is not there."""
        number, at = divmod(chunk, self.count)
        start, size = map(int, self._of(number)[at])
        return b"" if start == _NOWHERE else self._place.read_at(self._key(number), start, size)

    def finish(self) -> None:
        """Do nothing: the file holds all there is."""

    def forget(self, chunk: int) -> None:
        """Take the room of the chunks from this one on, in its file, for others."""
        number, at = divmod(chunk, self.count)
        self._of(number)[at:] = _NOWHERE

    def _of(self, number: int) -> np.ndarray:
        if number != self._number:
            self._number, self._index = number, np.full((self.count, 2), _NOWHERE, "<u8")
            data = self._place.read_at(self._key(number), 0, self._head)
            body, crc = data[:-CRC_BYTES], int.from_bytes(data[-CRC_BYTES:], "little")
            # Of a file that was begun when its process was killed no chunk is counted.
            if len(data) == self._head and google_crc32c.value(body) == crc:
                self._index = np.frombuffer(body, "<u8").reshape(self.count, 2).copy()
        return self._index

    @property
    def _head(self) -> int:
        return self.count * 16 + CRC_BYTES

    def _free(self, index: np.ndarray, at: int, size: int) -> int:
        """Return the first place with room for a chunk.

        One that fills up is written several times. What it leaves has room for a full one, so that no gaps remain.
        """
        end, size = self._room(self._head), self._room(size)
        lengths = {int(start): int(length) for start, length in index if start != _NOWHERE}
        if (before := int(index[at, 0])) in lengths:
            lengths[before] = max(lengths[before], self._most)
        for start, length in sorted(lengths.items()):
            if start - end >= size:
                return end
            end = max(end, self._room(start + length))
        return end

    def _room(self, size: int) -> int:
        """Return the bytes that so many take: of large chunks whole pages, at both ends."""
        return up_to_page(size) if self._in_pages else size
