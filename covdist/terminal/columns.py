"""Figures in columns of text, within the width of a terminal: what repeats is said once, and no word is cut."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from covdist.errors import shown

_GAP = "  "
_LEAST_FOLDED = 3
_NUMBER = re.compile(r"\d+")


class TableRow(NamedTuple):
    """A name and its figures, and rows that belong under it."""

    name: str
    cells: tuple[str, ...]
    below: tuple[TableRow, ...] = ()


def columns(first: str, header: Sequence[str], rows: Iterable[TableRow], width: int | None = None) -> str:
    """Lay out rows; what does not fit is left out from the right, so the header has the most important first.

    Rows whose names differ in their numbers alone and which agree in all figures are folded into one, and columns that
    agree in all rows are said below. A single row becomes a list.
    """
    width = width or shutil.get_terminal_size().columns
    lines = [line for row in _folded(rows) for line in (row, *row.below)]
    if len(lines) == 1:
        (row,) = lines
        pairs = zip((first, *header), (row.name, *row.cells), strict=True)
        return facts([(name, value) for name, value in pairs if value], width)
    cells = [list(column) for column in zip(*(line.cells for line in lines), strict=True)]
    common = [number for number, column in enumerate(cells) if len(set(column)) == 1]
    differing = [number for number in range(len(header)) if number not in common]
    inner = max(cell_len(first), min(max(cell_len(line.name) for line in lines), width * 2 // 5))
    kept, sizes = _fitting(differing, [[header[n], *cells[n]] for n in differing], width - inner)
    text = list(_line(first, inner, [header[n] for n in kept], sizes))
    text += [part for line in lines for part in _line(line.name, inner, [line.cells[n] for n in kept], sizes)]
    same = ", ".join(f"{header[n]} {cells[n][0]}" for n in common if cells[n][0])
    out = ", ".join(header[n] for n in differing if n not in kept)
    if same:
        text += _wrapped(f"in all rows: {same}", width)
    if out:
        text += _wrapped(f"more with --json or in a wider terminal: {out}", width)
    return "\n".join(text)


def facts(pairs: Sequence[tuple[str, str]], width: int | None = None) -> str:
    """Lay out names and values, one a line; long values go on below themselves."""
    width = width or shutil.get_terminal_size().columns
    inner = max((cell_len(name) for name, _ in pairs), default=0)
    indent = " " * (inner + len(_GAP))
    text = []
    for name, value in pairs:
        start, *rest = _wrapped(value, width - len(indent))
        text += [_padded(name, inner) + _GAP + start, *(indent + line for line in rest)]
    return "\n".join(text)


def _fitting(numbers: Sequence[int], cells: Sequence[Sequence[str]], room: int) -> tuple[list[int], list[int]]:
    """Return the first columns that fit into so much room, at least one, and their widths."""
    kept, sizes = list[int](), list[int]()
    for number, column in zip(numbers, cells, strict=True):
        size = max(map(cell_len, column))
        room -= size + len(_GAP)
        if room < 0 and kept:
            break
        kept.append(number)
        sizes.append(size)
    return kept, sizes


def _line(name: str, inner: int, cells: Sequence[str], sizes: Sequence[int]) -> Iterator[str]:
    """Yield a row; a name that is too long for its column has a line of its own."""
    figures = "".join(f"{_GAP}{' ' * (size - cell_len(cell))}{cell}" for cell, size in zip(cells, sizes, strict=True))
    if cell_len(name) > inner:
        yield name
        name = ""
    yield f"{_padded(name, inner)}{figures}".rstrip()


def _padded(text: str, size: int) -> str:
    return text + " " * (size - cell_len(text))


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False)


# ---- rows that repeat


def _folded(rows: Iterable[TableRow]) -> Iterator[TableRow]:
    alike: dict[object, list[TableRow]] = {}
    for row in rows:
        alike.setdefault((_NUMBER.sub("0", row.name), row.cells, row.below), []).append(row)
    for several in alike.values():
        if len(several) < _LEAST_FOLDED:
            yield from (row._replace(name=shown(row.name)) for row in several)
        else:
            yield several[0]._replace(name=_span(several[0].name, several[-1].name, len(several)))


def _span(first: str, last: str, count: int) -> str:
    """Return a name for several, such as "layer1 … layer8/gradient (8)"."""
    head, tail = first.split("/"), last.split("/")
    while len(head) > 1 and head[-1] == tail[-1]:
        head.pop(), tail.pop()
    return f"{shown('/'.join(head))} … {shown(last)} ({count:,})"
