"""How large chunks are, so that the buffers of all arrays fit into the memory that a recorder has."""

from __future__ import annotations

from collections.abc import Collection

WRITER = 1 / 8  # of the room, for chunks that the writer has, at least
_CHUNKS = 0.7  # for those of arrays; the rest is for coordinates and other narrow ones, and for the writer
_MEAN = 3 / 4  # of the shares


def chunk_limit(room: int, arrays: int, new: Collection[list[int]]) -> int:
    """Return the bytes that a chunk may have at most, by the bytes of a row of new arrays that grow together."""
    # Arrays that grow together are flushed together, when the widest has filled a chunk.
    chunks = arrays + sum(sum(widths) / max(widths) for widths in new)
    return max(1, int(_CHUNKS * room / (_MEAN * chunks + 1 - _MEAN)))


def share(number: int) -> float:
    """Return a part of (1/2, 1] of the limit, another for each track: those full at once would wait for the writer."""
    return 1 - number * 0.618 % 1 / 2  # multiples of the golden ratio are spread evenly, however many there are
