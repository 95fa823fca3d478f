"""Tables of many values in the width of a terminal: the first rows and columns, the last, and a mark for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from covdist.terminal.columns import GAP, row_lines, wrapped

_MOST_ROWS, _LAST_ROWS = 20, 4  # that are printed
_MOST_COLUMNS = 60  # of which it is tried how many fit
_LONG = 12  # letters of the name of a column that stands below the table, with a number in its place
_LEFT_OUT = "…"


class Table(NamedTuple):
    corner: str
    header: list[str]
    names: list[str]  # of rows
    cells: list[list[str]]  # by rows


class Grid(NamedTuple):
    """More values than are printed; rows, columns and values are asked for by number."""

    corner: str
    shape: tuple[int, int]
    row: Callable[[int], str]
    column: Callable[[int], str]
    value: Callable[[int, int], str]


def edges(size: int, most: int = _MOST_ROWS, last: int = _LAST_ROWS) -> list[int]:
    """Return the numbers of the first and last of so many, no more than ``most``."""
    return list(range(size)) if size <= most else [*range(most - last), *range(size - last, size)]


def printed(table: Table, rows: Sequence[int], width: int) -> Iterator[str]:
    """Yield the lines of a table whose rows have these numbers; columns that do not fit stand below the others."""
    inner = _inner(table, width)
    left = list(range(len(table.header)))
    while left:
        sizes = [_size(table, column) for column in left]
        block = left[: max(_how_many(sizes, width - inner), 1)]
        yield from _laid_out(table, rows, block, width)
        left = left[len(block) :]
        if left:
            yield ""


def abbreviated(grid: Grid, width: int) -> tuple[list[str], int]:
    """Return the lines of the rows and columns that fit, and how many values are among them."""
    rows, columns = edges(grid.shape[0]), edges(grid.shape[1], _MOST_COLUMNS, 1)
    full = [grid.column(each) for each in columns]
    numbered = max(map(cell_len, full), default=0) > _LONG
    header = [f"({each + 1:,})" for each in columns] if numbered else full
    cells = [[grid.value(row, column) for column in columns] for row in rows]
    table = Table(grid.corner, header, [grid.row(row) for row in rows], cells)
    kept = _kept(table, len(columns) < grid.shape[1], width)
    lines = [*_laid_out(_marked(table, kept, columns), rows, None, width)]
    legend = [line for n in kept if numbered for line in wrapped(f"{header[n]} {full[n]}", width)]
    return [*lines, *legend], len(rows) * len(kept)


def _kept(table: Table, more: bool, width: int) -> list[int]:
    """Return all columns; where they do not fit, those from the first that do with the last, and a mark between."""
    sizes = [_size(table, column) for column in range(len(table.header))]
    room = width - _inner(table, width)
    if not more and sum(sizes) <= room:
        return list(range(len(sizes)))
    first = _how_many(sizes[:-1], room - sizes[-1] - len(GAP) - len(_LEFT_OUT))
    return [*range(first), len(sizes) - 1] if first else [0]


def _marked(table: Table, kept: Sequence[int], columns: Sequence[int]) -> Table:
    """Return a table of some columns, with a mark where numbers are left out between them."""
    gap = next((n for n in range(1, len(kept)) if columns[kept[n]] > columns[kept[n - 1]] + 1), len(kept))
    mark = [_LEFT_OUT] * (gap < len(kept))
    header, *cells = (
        [*(line[n] for n in kept[:gap]), *mark, *(line[n] for n in kept[gap:])] for line in (table.header, *table.cells)
    )
    return table._replace(header=header, cells=cells)


def _size(table: Table, column: int) -> int:
    return max(cell_len(line[column]) for line in (table.header, *table.cells)) + len(GAP)


def _how_many(sizes: Sequence[int], room: int) -> int:
    """Return how many of the first columns fit."""
    return next((n for n in range(len(sizes)) if sum(sizes[: n + 1]) > room), len(sizes))


def _inner(table: Table, width: int) -> int:
    """Return the width of the column of names, of which longer ones have lines of their own."""
    return min(max(map(cell_len, (table.corner, *table.names))), width * 2 // 5)


def _laid_out(table: Table, rows: Sequence[int], columns: Sequence[int] | None, width: int) -> Iterator[str]:
    chosen = range(len(table.header)) if columns is None else columns
    inner, sizes = _inner(table, width), [_size(table, column) - len(GAP) for column in chosen]
    yield from row_lines(table.corner, inner, [table.header[n] for n in chosen], sizes, width)
    for before, row, name, line in zip((-1, *rows), rows, table.names, table.cells, strict=False):
        if row > before + 1:
            yield _LEFT_OUT
        yield from row_lines(name, inner, [line[n] for n in chosen], sizes, width)
