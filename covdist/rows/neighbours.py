"""``Neighbours``: the nearest values before and after some rows of a stream, found by reading on from there.

Runs of missing values are remembered: a long gap is looked through once in each direction, not once a shard.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from covdist.numerics.interpolation import NearestValue, first_values, last_values
from covdist.numerics.screening import TILE
from covdist.rows.fold import columns_of, gathered
from covdist.rows.stream import PlainStream

_LEAST_ROWS = 64  # fewer cost less to look at than to keep account of
Places = np.ndarray | range  # positions of the rows; a range where they are the rows' numbers


def between(places: Places, start: int, stop: int) -> np.ndarray:
    """Return the positions of rows ``start`` to ``stop``, float64."""
    cut = places[start:stop]
    return np.arange(cut.start, cut.stop, dtype=np.float64) if isinstance(cut, range) else cut


def stretches(pieces: Iterator[np.ndarray], places: Places, least_rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut pieces into rows (rows, columns) that stay in the cache, with their positions.

    A stretch has at least ``least_rows`` where its piece has them.
    """
    number = 0
    for piece in gathered(pieces, least_rows):
        rows = columns_of(piece)
        height = max(least_rows, TILE // max(rows.shape[1], 1))
        for start in range(0, len(rows), height):
            stretch = rows[start : start + height]
            yield stretch, between(places, number, number + len(stretch))
            number += len(stretch)


class MissingRuns(NamedTuple):
    """Per column a run of rows without a value, and the value after it; arrays (columns,).

    Rows count in the direction of the look: backwards they are negative.
    """

    start: np.ndarray  # int64
    stop: np.ndarray  # int64, exclusive
    after: NearestValue  # unknown where nobody has looked beyond the run

    @classmethod
    def none(cls, width: int) -> MissingRuns:
        limits = np.iinfo(np.int64)
        return cls(np.full(width, limits.max), np.full(width, limits.min), NearestValue.none((width,)))

    def covers(self, row: int) -> np.ndarray:
        """Return in which columns a look from ``row`` on starts within the run, or at its end."""
        return (self.start <= row) & (row <= self.stop)

    def joined(self, other: MissingRuns, columns: np.ndarray) -> MissingRuns:
        """Return these runs, in some columns joined with others, or replaced by those that do not touch."""
        touching = columns & (self.start <= other.stop) & (other.start <= self.stop)
        start = np.where(touching, np.minimum(self.start, other.start), np.where(columns, other.start, self.start))
        stop = np.where(touching, np.maximum(self.stop, other.stop), np.where(columns, other.stop, self.stop))
        after = other.after.of_columns(columns).or_else(self.after.of_columns(touching | ~columns))
        return MissingRuns(start, stop, after)

    def seen(self, row: int, stop: int, first: NearestValue) -> MissingRuns:
        """Return the runs that are known after a look at rows ``row`` to ``stop``, given the first values there."""
        empty = first.unknown
        looked = MissingRuns(np.full(len(empty), row), np.full(len(empty), stop), NearestValue.none(empty.shape))
        after = self.after.or_else(first.of_columns(~empty & self.covers(row)))
        return self._replace(after=after).joined(looked, empty)


class Neighbours:
    """One for each computation and worker, so that shards share what the looks of others have seen."""

    def __init__(self, stream: PlainStream, places: Places, inf: str):
        self._stream, self._places, self._inf = stream, places, inf
        # Ahead and behind; the runs are replaced, never changed, since threads share them.
        self._runs = {look: MissingRuns.none(stream.width) for look in ("ahead", "behind")}

    def after(self, wanted: np.ndarray, row: int) -> NearestValue:
        """Return the first values from ``row`` on of the columns ``wanted``, bool (columns,)."""
        return self._nearest("ahead", wanted, row, int(self._stream.bounds[-1]))

    def before(self, wanted: np.ndarray, row: int) -> NearestValue:
        """Return the last values before ``row`` of the columns ``wanted``, bool (columns,)."""
        return self._nearest("behind", wanted, -row, 0)

    def _nearest(self, look: str, wanted: np.ndarray, row: int, end: int) -> NearestValue:
        read, nearest = self._ahead if look == "ahead" else self._behind, NearestValue.none(wanted.shape)
        here = MissingRuns.none(len(wanted))  # runs on the way
        while wanted.any() and row < end:
            known = self._runs[look]
            covered = known.covers(row)
            here = here.joined(known, covered)
            values = here.after.of_columns(wanted & covered)
            nearest, wanted = nearest.or_else(values), wanted & values.unknown
            stop = int(np.where(covered, here.stop, row)[wanted].min(initial=end))
            if stop == row:
                stop, values = read(row, wanted)
                here = here.seen(row, stop, values)
                nearest, wanted = nearest.or_else(values.of_columns(wanted)), wanted & values.unknown
            row = stop
        self._runs[look] = self._runs[look].joined(here, here.start <= here.stop)
        return nearest

    def _ahead(self, row: int, wanted: np.ndarray) -> tuple[int, NearestValue]:
        """Return where a look at the next rows stops, and the first values there."""
        bounds, first = self._stream.bounds, NearestValue.none(wanted.shape)
        end = int(bounds[np.searchsorted(bounds, min(row + _LEAST_ROWS, bounds[-1]))])
        for rows, positions in self._rows(row, end):
            first = first.or_else(first_values(rows, positions, self._inf))
            row += len(rows)
            if not (wanted & first.unknown).any():
                break
        return row, first

    def _behind(self, row: int, wanted: np.ndarray) -> tuple[int, NearestValue]:
        bounds, last = self._stream.bounds, NearestValue.none(wanted.shape)
        start = int(bounds[np.searchsorted(bounds, max(-row - _LEAST_ROWS, 0), side="right") - 1])
        for rows, positions in self._rows(start, -row):
            last = last_values(rows, positions, self._inf).or_else(last)
        return -start, last

    # Few rows at a time: readers fetch ahead whatever they are asked for.
    def _rows(self, start: int, stop: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return stretches(self._stream.part(start, stop).pieces(), self._places[start:stop], _LEAST_ROWS)
