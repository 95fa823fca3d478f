"""``Shard``: a run of consecutive rows and the accumulator they are folded into; what one task carries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from covdist.engine.threads import of_task, sharing
from covdist.errors import NonFiniteError
from covdist.kernel.library import check_same, kind
from covdist.rows.readers import ArrayReader, SourceReader


class Reader(Protocol):
    """Picklable and unchanged by reading: dask keeps it as long as the state that came of it."""

    def pieces(self, first: int, last: int) -> Iterator[np.ndarray]:
        """Yield rows as (rows, columns), or (rows,) of a vector; each valid until the next one."""


class Blocks(Protocol):
    """One array's share of a shard, as an accumulator takes it; ``given`` is what dask made for it."""

    def blocks(self, given: list[Any], least_rows: int) -> Iterator[Any]: ...


class Part:
    """One array's share of a shard: pieces ``first`` to ``last``, from which ``skip`` rows on ``rows`` count."""

    def __init__(self, reader: Any, first: int, last: int, skip: int, rows: int):
        self.reader, self.first, self.last, self.skip, self.rows = reader, first, last, skip, rows

    def like(self, source: object) -> Part:
        """Return the same share of another source, where a ``SourceReader`` reads it."""
        return Part(self.reader.like(source), self.first, self.last, self.skip, self.rows)

    def beside(self, other: Blocks) -> tuple[Part, list[slice]] | None:
        """Return the share that holds this one's columns and another's, and where they lie, if one reading does."""
        if not (isinstance(other, Part) and isinstance(other.reader, SourceReader)):
            return None
        alike = (self.first, self.last, self.skip, self.rows) == (other.first, other.last, other.skip, other.rows)
        both = self.reader.beside(other.reader) if alike and isinstance(self.reader, SourceReader) else None
        return None if both is None else (Part(both[0], self.first, self.last, self.skip, self.rows), both[1])

    def pieces(self, given: list[Any] | None = None) -> Iterator[np.ndarray]:
        reader: Reader = self.reader.given(given) if given else self.reader
        skip, left = self.skip, self.rows
        for piece in reader.pieces(self.first, self.last):
            rows = piece[skip : skip + left]
            skip, left = 0, left - len(rows)
            yield rows

    def blocks(self, given: list[Any], least_rows: int) -> Iterator[np.ndarray]:
        """Yield the rows, at least ``least_rows`` at a time but for the last."""
        pieces = self.pieces(given)
        return pieces if isinstance(self.reader, ArrayReader) else gathered(pieces, least_rows)  # an array is one piece


class AnyAccumulator(Protocol):
    """Folds rows in place, whatever its state is; see ``covdist.state.base.Accumulator``."""

    @property
    def least_rows(self) -> int: ...

    def add(self, *blocks: Any, **vectors: Any) -> None: ...

    def state(self) -> object: ...


Accumulate = Callable[..., AnyAccumulator]


class Shard:
    """Opaque on purpose: dask neither looks for tasks in it nor takes what it carries for dependencies."""

    def __init__(
        self, accumulator: Accumulate, start: int, blocks: Mapping[str, Blocks], vectors: Mapping[str, Blocks]
    ):
        self.accumulator, self.start, self.blocks, self.vectors = accumulator, start, blocks, vectors
        self.kernel = kind()  # of the client, from all of whose shards the same bits are expected


def fold(shard: Shard, given: list[list[Any]], of: str = "rows") -> object:
    """Fold a shard's rows, holding one piece of each array and one accumulator.

    ``given`` is what dask made for each block, then for each vector: a list, since dask looks for keys in lists alone.
    ``of`` is "columns" where the streams are of columns.
    """
    check_same(shard.kernel)
    with sharing(of_task):
        return folded(shard, given, of)


def folded(shard: Shard, given: list[list[Any]], of: str = "rows") -> object:
    """As ``fold``, by the kernel and the threads of this process."""
    accumulator, at = shard.accumulator(), shard.start
    try:
        for blocks, vectors in _steps(shard, given, accumulator.least_rows):
            accumulator.add(*blocks, **vectors, **_numbers(accumulator, at, blocks[0]))
            at += len(blocks[0])
        return accumulator.state()  # some keep rows until then
    except NonFiniteError as error:
        raise located(error, list(shard.blocks)[error.side], shard.start, of) from None


def _steps(shard: Shard, given: list[list[Any]], least_rows: int) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Yield blocks and vectors of the same rows; chunks in which two blocks lie are read once."""
    parts = [*shard.blocks.values()]
    both = parts[0].beside(parts[1]) if len(parts) == 2 and isinstance(parts[0], Part) else None
    if both is not None:
        parts, given = [both[0]], given[1:]
    streams = [
        each.blocks(made, least_rows) for each, made in zip([*parts, *shard.vectors.values()], given, strict=True)
    ]
    for pieces in together(streams):
        blocks = [columns_of(piece) for piece in pieces[: len(parts)]]
        if both is not None:
            blocks = [blocks[0][:, cut] for cut in both[1]]
        yield blocks, dict(zip(shard.vectors, pieces[len(parts) :], strict=True))


def folded_at_once(accumulate: Accumulate, blocks: Mapping[str, np.ndarray], vectors: Mapping[str, np.ndarray]) -> Any:
    """As ``folded``, of rows that lie in memory in one piece: with a shard and its parts it takes 15 us more."""
    accumulator = accumulate()
    try:
        given = [*map(columns_of, blocks.values())]
        accumulator.add(*given, **vectors, **_numbers(accumulator, 0, given[0]))
        return accumulator.state()
    except NonFiniteError as error:
        raise located(error, list(blocks)[error.side], 0, "rows") from None


def _numbers(accumulator: AnyAccumulator, first: int, block: Any) -> dict[str, np.ndarray]:
    """Return the places of rows among all, by the name that accumulators know, for one that asks for them."""
    return {"number": np.arange(first, first + len(block))} if getattr(accumulator, "numbered", False) else {}


def columns_of(rows: Any) -> Any:
    return rows if rows.ndim == 2 else rows[:, None]


def gathered(pieces: Iterator[np.ndarray], least_rows: int) -> Iterator[np.ndarray]:
    """Copy pieces of fewer rows together, since a fold has a price per call."""
    held: np.ndarray = np.empty(0)
    filled = 0
    for piece in pieces:
        while len(piece):
            if filled == 0 and len(piece) >= least_rows:
                yield piece
                break
            if filled == 0:
                held = np.empty((least_rows, *piece.shape[1:]), piece.dtype) if held.size == 0 else held
            # A mask turns whole numbers into floats with NaN, in some chunks alone.
            held = held.astype(np.promote_types(held.dtype, piece.dtype), copy=False)
            taken = min(least_rows - filled, len(piece))
            held[filled : filled + taken] = piece[:taken]
            filled, piece = filled + taken, piece[taken:]
            if filled == least_rows:
                yield held
                filled = 0
    if filled:
        yield held[:filled]


def together(streams: list[Iterator[Any]]) -> Iterator[list[Any]]:
    """Cut streams of pieces at each other's borders, so that all pieces of a step cover the same rows."""
    if len(streams) == 1:
        yield from ([piece] for piece in streams[0] if len(piece))
        return
    current: list[Any] = [np.empty(0)] * len(streams)
    while True:
        for i, stream in enumerate(streams):
            while not len(current[i]):
                piece = next(stream, None)
                if piece is None:
                    return
                current[i] = piece
        height = min(len(piece) for piece in current)
        yield [piece[:height] for piece in current]
        current = [piece[height:] for piece in current]


def located(error: NonFiniteError, name: str, start: int, of: str) -> NonFiniteError:
    """Return the error with the name of the array, and its place in all of it."""
    row, column = (start + error.row, error.column) if of == "rows" else (error.row, start + error.column)
    message = (
        f"{name} holds {error} at row {row}, column {column} ({error.amount} NaN or infinite values in that "
        f"block of {of}), but {error.advice}"
    )
    return NonFiniteError(message, row=row, column=column, amount=error.amount, side=error.side, advice=error.advice)
