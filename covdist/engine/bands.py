"""Bands: a matrix wider than a worker, cut into rectangles of tiles, each folded by a task of its own. No dask.

Only the upper triangle is computed. Where a worker's memory allows, a band is as wide as the triangle is there, so
that few bands read the rows; else bands are nearly square.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from covdist.engine.plan import Plan, Work, core_seconds

_TILES, _LEAST_TILES = 64, 32  # along one side: squares on the diagonal add 1/64 of the work, at most 1/32
_SMALL, _LARGE = 256, 2048  # columns of a tile: files of 512 KiB to 32 MiB where possible
_LEAST_BYTES, _MOST_BYTES = 3 << 27, 1 << 30
_ROWS = 512  # a band of so many rows computes ten times longer than it reads and converts its columns
_MOST_SECONDS = 7200.0  # work that the death of a worker may cost
_SHARED_BYTES = 1 << 27


class Band(NamedTuple):
    """Rows ``start`` to ``stop`` of the matrix, and of those its columns ``first`` to ``last``."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def height(self) -> int:
        return self.stop - self.start

    @property
    def width(self) -> int:
        return self.last - self.first

    @property
    def cells(self) -> int:
        return self.height * self.width


def tile_side(columns: int) -> int:
    """Columns of a tile, so that tiles of one size cover the matrix with little beyond it."""
    side = min(_LARGE, max(-(-columns // _TILES), min(_SMALL, -(-columns // _LEAST_TILES))))
    return -(-columns // -(-columns // side))


def band_bytes(columns: int) -> int:
    """What the matrix of a band may take by default."""
    return min(max(_LEAST_BYTES, 8 * _ROWS * columns), _MOST_BYTES)


@lru_cache(maxsize=1024)
def cut_bands(columns: int, side: int, most_bytes: int) -> tuple[Band, ...]:
    """Cut the upper triangle into bands of nearly equal area, each at most ``most_bytes`` or one tile.

    Bands that are as wide as the triangle are a multiple of eight, to keep two, four and eight workers busy to the end.
    """
    tiles, most = -(-columns // side), max(1, most_bytes // (8 * side * side))
    cut = _cut(tiles, most)
    if tiles <= most:
        target = min(tiles, -(-len(cut) // 8) * 8)
        low, high = 0, most
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if middle < tiles or len(_cut(tiles, middle)) > target else (low, middle)
        cut = _cut(tiles, high)
    return tuple(Band(*(min(edge * side, columns) for edge in band)) for band in cut)


def _cut(tiles: int, most: int) -> list[tuple[int, int, int, int]]:
    """Cut the triangle from its top, in units of tiles."""
    bands = []
    start = 0
    while start < tiles:
        left = tiles - start
        height = min(left, most // left if left <= most else math.isqrt(most))
        parts = -(-left // (most // height))
        edges = [start + left * i // parts for i in range(parts + 1)]
        bands += [(start, start + height, first, last) for first, last in pairwise(edges)]
        start += height
    return bands


def band_plan(mean: Work, bands: int) -> Plan:
    """Plan so many bands; ``mean`` holds the mean of their work, but the largest of their sizes in memory.

    A band is one task, unless it would take hours or its pieces would not fit.
    """
    shards = math.ceil(core_seconds(mean) / _MOST_SECONDS)
    if mean.shared:
        shards = max(shards, math.ceil(mean.pieces * mean.piece_bytes / _SHARED_BYTES))
    return Plan(mean, max(1, min(shards, mean.pieces)), 2, bands, strategy="tiles")
