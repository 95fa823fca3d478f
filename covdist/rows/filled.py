"""``FilledStream``: a stream whose missing values are filled from the rows around them while it is read.

A shard reads its own rows once, and beyond its ends only as far as the gaps that reach across them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from dask.delayed import Delayed, delayed

from covdist.errors import NonFiniteError
from covdist.numerics.filled_block import Block, FilledBlock
from covdist.numerics.interpolation import InterpolationOptions, NearestValue, filled, first_values, last_values
from covdist.numerics.nonfinite import all_finite, holes, refuse_infinity
from covdist.numerics.screening import TILE
from covdist.rows.fold import Part, columns_of, together
from covdist.rows.neighbours import Neighbours, Places, stretches
from covdist.rows.stream import PlainStream

_COLUMN_BYTES = 32 * 8  # carried along and remembered of a column
_STRETCH_BYTES = 8 * 8 * TILE  # of a stretch as it was and filled, and where its values are missing


class FilledStream:
    """``token`` is equal for equal rows; ``first`` is 0 for x or 1 for y, and the first of its columns."""

    shared = False

    def __init__(
        self, rows: PlainStream, places: Places, how: InterpolationOptions, token: str, first: tuple[int, int] = (0, 0)
    ):
        self._stream, self._places, self._options, self._first = rows, places, how, first
        self.bounds, self.width, self.token = rows.bounds, rows.width, token
        # Beside the piece that is folded, one from beyond the shard.
        self.piece_bytes = 2 * rows.piece_bytes + _STRETCH_BYTES + _COLUMN_BYTES * rows.width

    @cached_property
    def collections(self) -> list[Delayed]:
        make = delayed(partial(Neighbours, self._stream, self._places, self._options.inf), pure=False, traverse=False)
        return [make(dask_key_name=f"around-{self.token}")]

    def keys(self, start: int, stop: int) -> list[Any]:
        return [self.collections[0].key]

    def ready(self) -> list[Any]:
        return [Neighbours(self._stream, self._places, self._options.inf)]

    def part(self, start: int, stop: int) -> FilledPart:
        part, dtype = self._stream.part(start, stop), self._stream.dtype
        return FilledPart(part, dtype, start, self._places[start:stop], self._options, self._first)


class _Stretch(NamedTuple):
    """Rows of a shard up to its row ``stop``, and the nearest values before them."""

    rows: np.ndarray
    positions: np.ndarray
    stop: int
    whole: bool  # without missing values
    before: NearestValue


class FilledPart:
    """The rows of one shard, from row ``start`` on; what is filled in has their ``dtype``."""

    def __init__(
        self,
        part: Part,
        dtype: np.dtype,
        start: int,
        places: Places,
        options: InterpolationOptions,
        first: tuple[int, int],
    ):
        self._part, self._dtype, self._start, self._places = part, dtype, start, places
        self._options, self._first = options, first

    def blocks(self, given: list[Any], least_rows: int) -> Iterator[Block]:
        """Yield complete rows as they are, others filled, together with the rows as they were.

        A stretch with missing values in its last row waits for the next one, so that few values are read twice.
        """
        (neighbours,), inf = given, self._options.inf
        waiting: _Stretch | None = None
        for stretch in self._stretches(neighbours, least_rows):
            rows, positions, stop, whole, _ = stretch
            if waiting is not None:
                yield self._filled(waiting, first_values(rows, positions, inf), neighbours, stop)
            waiting = None if whole or not holes(rows[-1], inf).any() else stretch._replace(rows=rows.copy())
            if whole:
                yield rows
            elif waiting is None:
                yield self._filled(stretch, NearestValue.none(rows.shape[1:]), neighbours, stop)
        if waiting is not None:
            yield self._filled(waiting, NearestValue.none(waiting.rows.shape[1:]), neighbours, waiting.stop)

    def _stretches(self, neighbours: Neighbours, least_rows: int) -> Iterator[_Stretch]:
        inf, stop = self._options.inf, 0
        before: NearestValue | None = None
        pieces = (piece.astype(self._dtype, copy=False) for piece in self._part.pieces())
        for rows, positions in stretches(pieces, self._places, least_rows):
            start, stop, whole = stop, stop + len(rows), all_finite(rows)
            if not whole:
                self._refuse_infinity(rows, start)
            if before is None:
                before = neighbours.before(holes(rows[0], inf), self._start)
            yield _Stretch(rows, positions, stop, whole, before)
            last = last_values(rows, positions, inf)
            before = last if whole else last.or_else(before)

    def _filled(self, stretch: _Stretch, after: NearestValue, neighbours: Neighbours, stop: int) -> FilledBlock:
        missing = holes(stretch.rows[-1], self._options.inf) & after.unknown
        after = after.or_else(neighbours.after(missing, self._start + stop))
        rows, positions, _, _, before = stretch
        return FilledBlock(filled(rows, positions, before, after, self._options), rows)

    def _refuse_infinity(self, rows: np.ndarray, start: int) -> None:
        try:
            refuse_infinity([rows], self._options.inf)
        except NonFiniteError as error:
            error.side, column = self._first
            error.row, error.column = error.row + start, error.column + column
            raise


class PrefilledStream:
    """Chunks that share work, and the same chunks filled by dask, side by side."""

    shared = True

    def __init__(self, filled: PlainStream, stream: PlainStream):
        self._both = filled, stream
        self.bounds, self.width, self.token = stream.bounds, stream.width, filled.token
        self.piece_bytes = sum(each.piece_bytes for each in self._both)
        self.collections = [collection for each in self._both for collection in each.collections]

    def keys(self, start: int, stop: int) -> list[Any]:
        return [each.keys(start, stop) for each in self._both]

    def ready(self) -> list[Any]:
        return []  # only dask can make pieces that share work

    def part(self, start: int, stop: int) -> PrefilledPart:
        return PrefilledPart([each.part(start, stop) for each in self._both])


class PrefilledPart:
    def __init__(self, parts: list[Any]):
        self._parts = parts

    def blocks(self, given: list[Any], least_rows: int) -> Iterator[Block]:
        """Yield complete rows as they are, others filled, together with the rows as they were."""
        both = [part.blocks(blocks, least_rows) for part, blocks in zip(self._parts, given, strict=True)]
        for rows, before in together(both):
            yield rows if all_finite(before) else FilledBlock(columns_of(rows), columns_of(before))
