"""``FilledStream``: a stream whose holes are filled from the rows around them while it is read.

A shard reads its own rows once, and beyond its ends only as far as the gaps do that reach across them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from dask.delayed import delayed

from covdist.errors import NonFiniteError
from covdist.numerics.filled_block import Block, FilledBlock
from covdist.numerics.interpolation import InterpolationOptions, NearestValue, filled, first_values, last_values
from covdist.numerics.nonfinite import all_finite, holes, refuse_infinity
from covdist.numerics.screening import TILE
from covdist.rows.fold import Part, columns_of, gathered, together
from covdist.rows.neighbours import Neighbours, Places, between, stretches
from covdist.rows.stream import PlainStream

_COLUMN_BYTES = 32 * 8  # what is carried along and remembered of a column
_STRETCH_BYTES = 8 * 8 * TILE  # of a stretch as it was and filled, and where its holes are


class FilledStream:
    """``token`` is equal for equal rows; ``place`` is 0 for x or 1 for y, and the first of its columns."""

    shared = False

    def __init__(
        self,
        stream: PlainStream,
        places: Places,
        how: InterpolationOptions,
        token: str,
        place: tuple[int, int] = (0, 0),
    ):
        self._stream, self._places, self._how, self._place = stream, places, how, place
        self.bounds, self.width, self.token = stream.bounds, stream.width, token
        # Beside the piece that is folded, one from beyond the shard.
        self.piece_bytes = 2 * stream.piece_bytes + _STRETCH_BYTES + _COLUMN_BYTES * stream.width
        around = delayed(partial(Neighbours, stream, places, how.inf), pure=False, traverse=False)
        self.collections = [around(dask_key_name=f"around-{token}")]

    def keys(self, start: int, stop: int) -> list[Any]:
        """Return the key of what dask makes for all shards."""
        return [self.collections[0].key]

    def ready(self) -> list[Any]:
        """Return what dask would make."""
        return [Neighbours(self._stream, self._places, self._how.inf)]

    def part(self, start: int, stop: int) -> FilledPart:
        return FilledPart(self._stream.part(start, stop), start, self._places[start:stop], self._how, self._place)


@dataclass(frozen=True)
class _Held:
    """Rows with holes, and the values before them."""

    rows: np.ndarray
    places: np.ndarray
    before: NearestValue


class FilledPart:
    """The rows of one shard, from row ``start`` on."""

    def __init__(self, part: Part, start: int, places: Places, how: InterpolationOptions, place: tuple[int, int]):
        self._part, self._start, self._places, self._how, self._place = part, start, places, how, place

    def blocks(self, given: list[Any], least_rows: int) -> Iterator[Block]:
        """Yield rows without holes as they are, others together with what they were."""
        (around,) = given
        waiting: _Held | None = None  # for the values after it
        before: NearestValue | None = None
        last: tuple[np.ndarray, int] | None = None  # a row without holes since, and its number
        stop = 0
        for rows in stretches(gathered(self._part.pieces(), least_rows), least_rows):
            start, stop = stop, stop + len(rows)
            if all_finite(rows):
                if waiting is not None:
                    yield self._filled(waiting, self._values(rows[:1], start), around, stop)
                    waiting = None
                last = rows[-1:].copy(), stop - 1
                yield rows
                continue
            self._refuse_infinity(rows, start)
            places = between(self._places, start, stop)
            if waiting is not None:
                yield self._filled(waiting, first_values(rows, places, self._how.inf), around, stop)
                waiting = None
            if last is not None:
                before, last = self._values(*last), None
            if before is None:
                before = around.before(holes(rows[0], self._how.inf), self._start)
            held = _Held(rows, places, before)
            before = last_values(rows, places, self._how.inf).or_else(before)
            if holes(rows[-1], self._how.inf).any():
                waiting = replace(held, rows=rows.copy())
            else:
                yield self._filled(held, NearestValue.none(rows.shape[1:]), around, stop)
        if waiting is not None:
            yield self._filled(waiting, NearestValue.none(waiting.rows.shape[1:]), around, stop)

    def _values(self, row: np.ndarray, number: int) -> NearestValue:
        return first_values(row, between(self._places, number, number + 1), self._how.inf)

    def _filled(self, held: _Held, after: NearestValue, around: Neighbours, read: int) -> FilledBlock:
        """Fill what is held, given the next values among the rows up to ``read``."""
        wanted = holes(held.rows[-1], self._how.inf) & after.unknown
        after = after.or_else(around.after(wanted, self._start + read))
        return FilledBlock(filled(held.rows, held.places, held.before, after, self._how), held.rows)

    def _refuse_infinity(self, rows: np.ndarray, start: int) -> None:
        try:
            refuse_infinity([rows], self._how.inf)
        except NonFiniteError as error:
            error.side, column = self._place
            error.row, error.column = error.row + start, error.column + column
            raise


class PrefilledStream:
    """Chunks that share work, and the same filled by dask, side by side."""

    shared = True

    def __init__(self, filled: PlainStream, stream: PlainStream):
        self._both = filled, stream
        self.bounds, self.width, self.token = stream.bounds, stream.width, filled.token
        self.piece_bytes = sum(each.piece_bytes for each in self._both)
        self.collections = [collection for each in self._both for collection in each.collections]

    def keys(self, start: int, stop: int) -> list[Any]:
        """Return the keys of the chunks, filled and as they were."""
        return [each.keys(start, stop) for each in self._both]

    def ready(self) -> list[Any]:
        """Return nothing: dask alone can make pieces that share work."""
        return []

    def part(self, start: int, stop: int) -> PrefilledPart:
        return PrefilledPart([each.part(start, stop) for each in self._both])


class PrefilledPart:
    """One shard's share of both."""

    def __init__(self, parts: list[Any]):
        self._parts = parts

    def blocks(self, given: list[Any], least_rows: int) -> Iterator[Block]:
        """Yield rows without holes as they are, others together with what they were."""
        both = [part.blocks(blocks, least_rows) for part, blocks in zip(self._parts, given, strict=True)]
        for rows, before in together(both):
            yield rows if all_finite(before) else FilledBlock(columns_of(rows), columns_of(before))
