"""``Neighbours``: the values nearest to some rows of a stream, before and after them, found by reading on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from covdist.numerics.interpolation import NearestValue, first_values, last_values
from covdist.numerics.screening import TILE
from covdist.rows.fold import columns_of, gathered
from covdist.rows.missing_run import MissingRun
from covdist.rows.stream import PlainStream

_LEAST_ROWS = 64  # fewer cost less to look at than to keep account of
Places = np.ndarray | range  # where rows lie; a range where that is their number


def between(places: Places, start: int, stop: int) -> np.ndarray:
    """Return where rows ``start`` to ``stop`` lie, float64."""
    cut = places[start:stop]
    return np.arange(cut.start, cut.stop, dtype=np.float64) if isinstance(cut, range) else cut


def stretches(pieces: Iterator[np.ndarray], least_rows: int = 1) -> Iterator[np.ndarray]:
    """Cut pieces into rows (rows, columns) that stay in the cache, at least ``least_rows`` where a piece has them."""
    for piece in pieces:
        rows = columns_of(piece)
        height = max(least_rows, TILE // max(rows.shape[1], 1))
        for start in range(0, len(rows), height):
            yield rows[start : start + height]


class Neighbours:
    """One a computation and worker, so that what was looked for in one shard is known in the next.

    Parameters
    ----------
    stream : PlainStream
    places : array (rows,) or range
    inf : str
        "raise" or "missing".
    """

    def __init__(self, stream: PlainStream, places: Places, inf: str):
        self._stream, self._places, self._inf = stream, places, inf
        nowhere = MissingRun.none(stream.width)
        self._known = {1: nowhere, -1: nowhere}  # ahead and behind; replaced, never changed: threads share them

    def after(self, wanted: np.ndarray, row: int) -> NearestValue:
        """Return the first values from ``row`` on of the columns ``wanted``, bool (columns,)."""
        return self._nearest(1, wanted, row, int(self._stream.bounds[-1]))

    def before(self, wanted: np.ndarray, row: int) -> NearestValue:
        """Return the last values before ``row`` of the columns ``wanted``, bool (columns,)."""
        return self._nearest(-1, wanted, -row, 0)

    def _nearest(self, way: int, wanted: np.ndarray, at: int, end: int) -> NearestValue:
        """Look one way; rows behind count as negative."""
        known, here, found = self._known[way], MissingRun.none(len(wanted)), NearestValue.none(wanted.shape)
        looks: Iterator[tuple[int, NearestValue]] | None = None
        while wanted.any() and at < end:
            here = here.joined(known, at)
            told = here.covers(at) & here.ended
            found, wanted = found.or_else(here.after.of_columns(wanted & told)), wanted & ~told
            nearest = int(np.where(here.covers(at), here.stop, at)[wanted].min(initial=end))
            if nearest > at:
                at, looks = nearest, None
                continue
            looks = looks or (self._ahead(at) if way == 1 else self._behind(at))
            stop, values = next(looks)
            here = here.seen(at, stop, values)
            found, wanted, at = found.or_else(values.of_columns(wanted)), wanted & values.unknown, stop
        here = here.at_end(at) if at == end else here
        self._known[way] = self._known[way].but(here.start <= here.stop, here)
        return found

    def _ahead(self, start: int) -> Iterator[tuple[int, NearestValue]]:
        """Look on from a row, yielding how far, and the first values there."""
        bounds = self._stream.bounds
        while start < bounds[-1]:
            end = int(bounds[np.searchsorted(bounds, min(start + _LEAST_ROWS, bounds[-1]))])
            for stop, rows in self._rows(start, end):
                yield stop, first_values(rows, between(self._places, stop - len(rows), stop), self._inf)
            start = end

    def _behind(self, at: int) -> Iterator[tuple[int, NearestValue]]:
        bounds = self._stream.bounds
        while at < 0:
            begin = int(bounds[np.searchsorted(bounds, max(-at - _LEAST_ROWS, 0), side="right") - 1])
            last = NearestValue.none((self._stream.width,))
            for stop, rows in self._rows(begin, -at):
                last = last_values(rows, between(self._places, stop - len(rows), stop), self._inf).or_else(last)
            at = -begin
            yield at, last

    # A few rows are asked for at a time: readers fetch ahead what they are asked for.
    def _rows(self, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        for rows in stretches(gathered(self._stream.part(start, stop).pieces(), _LEAST_ROWS)):
            start += len(rows)
            yield start, rows
