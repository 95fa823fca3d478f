"""``Surroundings``: the values nearest to some rows of a stream, before and after them, found by reading on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from covdist.engine.shard import columns_of
from covdist.engine.streams import Stream
from covdist.state.barren import Barren
from covdist.state.census import TILE
from covdist.state.gaps import Carried, edges

Places = np.ndarray | range  # where rows lie; a range where that is their number


def between(places: Places, start: int, stop: int) -> np.ndarray:
    """Return where rows ``start`` to ``stop`` lie, float64."""
    cut = places[start:stop]
    return np.arange(cut.start, cut.stop, dtype=np.float64) if isinstance(cut, range) else cut


def stretches(pieces: Iterator[np.ndarray], least_rows: int = 1) -> Iterator[np.ndarray]:
    """Cut pieces into rows (rows, columns) that stay in the cache, at least ``least_rows`` where a piece has them."""
    for piece in pieces:
        rows = columns_of(piece)
        height = max(least_rows, 2 * TILE // max(rows.shape[1], 1))
        for start in range(0, len(rows), height):
            yield rows[start : start + height]


class Surroundings:
    """One a computation and worker, so that what was looked for in one shard is known in the next.

    Parameters
    ----------
    stream : Stream
    places : array (rows,) or range
    inf : str
        "raise" or "missing".
    """

    def __init__(self, stream: Stream, places: Places, inf: str):
        self._stream, self._places, self._inf = stream, places, inf
        nowhere = Barren.none(stream.width)
        self._barren = {1: nowhere, -1: nowhere}  # ahead and behind; replaced, never changed: threads share them

    def after(self, wanted: np.ndarray, row: int) -> Carried:
        """Return the first values from ``row`` on of the columns ``wanted``, bool (columns,)."""
        return self._nearest(1, wanted, row, int(self._stream.bounds[-1]))

    def before(self, wanted: np.ndarray, row: int) -> Carried:
        """Return the last values before ``row`` of the columns ``wanted``, bool (columns,)."""
        return self._nearest(-1, wanted, -row, 0)

    def _nearest(self, way: int, wanted: np.ndarray, at: int, end: int) -> Carried:
        """Look one way, at twice as many pieces each time; rows behind count as negative."""
        barren, found, pieces = self._barren[way], Carried.none(wanted.shape), 1
        while wanted.any():
            known = barren.known(at)
            found, wanted = found.or_else(barren.after.of_columns(wanted & known)), wanted & ~known
            at = int(np.where(barren.covers(at), barren.stop, at)[wanted].min(initial=end))
            if at == end:
                barren = barren.at_end(end)
                break
            stop, nearest = self._ahead(at, pieces, wanted) if way == 1 else self._behind(at, pieces)
            barren, pieces = barren.seen(at, stop, nearest), 2 * pieces
            found, wanted, at = found.or_else(nearest.of_columns(wanted)), wanted & nearest.unknown, stop
        self._barren[way] = barren
        return found

    def _ahead(self, at: int, pieces: int, wanted: np.ndarray) -> tuple[int, Carried]:
        bounds, first = self._stream.bounds, Carried.none(wanted.shape)
        last = int(np.searchsorted(bounds, at, side="right")) - 1 + pieces
        for start, stop, rows in self._rows(at, int(bounds[min(last, len(bounds) - 1)])):
            first = first.or_else(edges(rows, between(self._places, start, stop), self._inf)[0])
            at = stop
            if not (wanted & first.unknown).any():
                break
        return at, first

    def _behind(self, at: int, pieces: int) -> tuple[int, Carried]:
        bounds, last = self._stream.bounds, Carried.none((self._stream.width,))
        begin = int(bounds[max(int(np.searchsorted(bounds, -at)) - pieces, 0)])
        for start, stop, rows in self._rows(begin, -at):
            last = edges(rows, between(self._places, start, stop), self._inf)[1].or_else(last)
        return -begin, last

    def _rows(self, start: int, stop: int) -> Iterator[tuple[int, int, np.ndarray]]:
        for rows in stretches(self._stream.part(start, stop).pieces()):
            yield start, start + len(rows), rows
            start += len(rows)
