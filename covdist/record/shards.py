"""``Shards``: the chunks of an array in files of several, each with an index at its start.

A chunk is written where nothing that the index names lies, and then the index, in one small write. So at any moment the
file is whole for whoever reads it, and a process may be killed at any point.
"""

from __future__ import annotations

from collections.abc import Callable

import google_crc32c
import numpy as np

from covdist.record.chunks import CRC_BYTES, LARGE, Part
from covdist.storage.pages import Pages, up_to_page
from covdist.storage.place import Folder

MOST = 255  # chunks of a file, whose index then lies in one page of memory and is written in one piece
INDEX: list[dict[str, object]] = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
_NOWHERE = 2**64 - 1  # what the index says of a chunk that is not there


class Shards:
    """Files of ``count`` chunks, by the number of the chunk."""

    def __init__(self, place: Folder, key: Callable[[int], str], count: int, chunk_bytes: int):
        self._place, self._key, self.count = place, key, count
        self._in_pages = chunk_bytes >= LARGE
        self._most = self._room(chunk_bytes + chunk_bytes // 1000 + 64)  # for a chunk with its frame
        self._number = -1  # of the file whose index is known
        self._index = np.empty((0, 2), "<u8")  # offsets and lengths

    def put(self, chunk: int, parts: list[Part]) -> int:
        """Write a chunk, and in its place in the index where it lies; return that."""
        size = sum(map(len, parts))
        start = self._place_of(chunk, size)
        self._place.write_at(self._key(chunk // self.count), start, *parts)
        self._note(chunk, start, size)
        return start

    def put_pages(self, chunk: int, pages: Pages) -> int:
        """Write a chunk of pages, as ``put`` does."""
        start = self._place_of(chunk, pages.nbytes)
        self._place.write_pages_at(self._key(chunk // self.count), start, pages)
        self._note(chunk, start, pages.nbytes)
        return start

    def _place_of(self, chunk: int, size: int) -> int:
        number, at = divmod(chunk, self.count)
        return self._free(self._of(number), at, size)

    def _note(self, chunk: int, start: int, size: int) -> None:
        number, at = divmod(chunk, self.count)
        index = self._of(number)
        index[at] = start, size
        data = index.tobytes()
        self._place.write_at(self._key(number), 0, data + google_crc32c.value(data).to_bytes(CRC_BYTES, "little"))

    def get(self, chunk: int) -> bytes:
        """Return the bytes of a chunk, none where it is not there."""
        number, at = divmod(chunk, self.count)
        start, size = map(int, self._of(number)[at])
        return b"" if start == _NOWHERE else self._place.read_at(self._key(number), start, size)

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
