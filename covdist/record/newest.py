"""``Newest``: what of a log stays in the system's cache of files, so that the log does not fill the memory.

Pages that it frees are used again for the next chunks. In virtual machines whose memory is had page by page, writing to
one that was never used costs up to ten times as much.
"""

from __future__ import annotations

from collections import deque

from covdist.storage.place import Place

LEAST = 1 << 20  # bytes of chunks that count
_KEPT = 64 << 20  # bytes of the newest chunks


class Newest:
    """The last chunks that were written."""

    def __init__(self) -> None:
        self._chunks: deque[tuple[Place, str, int, int]] = deque()
        self._bytes = 0

    def add(self, place: Place, name: str, start: int, size: int) -> None:
        """Have a chunk written to the disk, and those forgotten by now that came long before it."""
        place.let_go(name, start, size)
        self._chunks.append((place, name, start, size))
        self._bytes += size
        while self._bytes > _KEPT:
            place, name, start, size = self._chunks.popleft()
            place.let_go(name, start, size)
            self._bytes -= size
