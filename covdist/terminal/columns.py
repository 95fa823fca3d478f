"""Figures in columns of text, within the width of a terminal: what repeats is said once, and no word is cut."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from rich.cells import cell_len, chop_cells

from covdist.errors import shown

GAP = "  "
_LEAST_FOLDED = 3
_LEAST_WIDTH = 20  # of a terminal: in a narrower one nothing can be read
_LEAST_SAID_ONCE = 8  # letters that names begin with in common
_NUMBER = re.compile(r"\d+")
_PART = re.compile(r"[^/._\- ]*[/._\- ]+|[^/._\- ]+")  # of a name, which may end a line


class TableRow(NamedTuple):
    """A name and its figures, and rows that belong under it."""

    name: str
    cells: tuple[str, ...]
    below: tuple[TableRow, ...] = ()


def columns(first: str, header: Sequence[str], rows: Iterable[TableRow], width: int | None = None) -> str:
    """Lay out rows; what does not fit is left out from the right, so the header has the most important first.

    Rows whose names differ in their numbers alone and which agree in all figures are folded into one, and columns that
    agree in all rows are said below, as is what long names begin with in common. A single row becomes a list.
    """
    width = terminal_width(width)
    lines = [line for row in _folded(rows) for line in (row, *row.below)]
    if len(lines) == 1:
        (row,) = lines
        pairs = zip((first, *header), (row.name, *row.cells), strict=True)
        return facts([(name, value) for name, value in pairs if value], width)
    cells = [list(column) for column in zip(*(line.cells for line in lines), strict=True)]
    common = [number for number, column in enumerate(cells) if len(set(column)) == 1]
    differing = [number for number in range(len(header)) if number not in common]
    names = [line.name for line in lines]
    begin = _beginning(names) if max(map(cell_len, names)) > width * 2 // 5 else ""
    names = [name.removeprefix(begin) for name in names]
    shown_cells = [[header[n], *cells[n]] for n in differing]
    inner = _room_for(first, names, shown_cells, width)
    kept, sizes = _fitting(differing, shown_cells, width - inner)
    text = list(row_lines(first, inner, [header[n] for n in kept], sizes, width))
    for name, line in zip(names, lines, strict=True):
        text += row_lines(name, inner, [line.cells[n] for n in kept], sizes, width)
    same = ", ".join(f"{header[n]} {cells[n][0]}" for n in common if cells[n][0])
    out = ", ".join(header[n] for n in differing if n not in kept)
    if begin:
        text += wrapped(f"all names begin with {begin}", width)
    if same:
        text += wrapped(f"in all rows: {same}", width)
    if out:
        text += wrapped(f"more with --json or in a wider terminal: {out}", width)
    return "\n".join(text)


def facts(pairs: Sequence[tuple[str, str]], width: int | None = None) -> str:
    """Lay out names and values, one a line; long values go on below themselves, those of long names below the name."""
    width = terminal_width(width)
    inner = max((size for name, _ in pairs if (size := cell_len(name)) <= width * 2 // 5), default=len(GAP))
    indent = " " * (inner + len(GAP))
    text = []
    for name, value in pairs:
        row = padded(name, inner) + GAP + value
        lines = [indent + line for line in wrapped(value, width - len(indent))]
        if cell_len(row) <= width:
            text.append(row)
        elif cell_len(name) > inner:
            text += [*wrapped(name, width), *lines]
        else:
            text += [padded(name, inner) + lines[0][inner:], *lines[1:]]
    return "\n".join(text)


def wrapped(text: str, width: int | None = None) -> list[str]:
    """Return a text in lines between words; a word that is wider than a line goes on below itself."""
    return list(_filled([f"{word} " for word in text.split()], terminal_width(width))) or [""]


def terminal_width(width: int | None) -> int:
    """Return the columns that a terminal has, where none are given."""
    return max(width or shutil.get_terminal_size().columns, _LEAST_WIDTH)


def _filled(pieces: Iterable[str], width: int) -> Iterator[str]:
    """Yield lines of so many pieces as fit."""
    line = ""
    for piece in pieces:
        if line and cell_len((line + piece).rstrip()) > width:
            yield line.rstrip()
            line = ""
        *full, rest = chop_cells(piece, width)
        yield from full
        line += rest
    if line.strip():
        yield line.rstrip()


def _beginning(names: Sequence[str]) -> str:
    """Return the whole parts that all names begin with, where they are worth a line of their own."""
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(min(names), max(names), strict=False))
    common = "".join(letter for letter, _ in alike)
    begin = common[: max(common.rfind(mark) for mark in "/._") + 1]
    return begin if len(begin) >= _LEAST_SAID_ONCE else ""


def _room_for(first: str, names: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> int:
    """Return the width of the column of names: that of its head alone where the next one needs the rest."""
    inner = max(cell_len(first), min(max(map(cell_len, names)), width * 2 // 5))
    beside = max(map(cell_len, cells[0])) + len(GAP) if cells else 0
    return inner if inner + beside <= width else cell_len(first)


def _fitting(numbers: Sequence[int], cells: Sequence[Sequence[str]], room: int) -> tuple[list[int], list[int]]:
    """Return the first columns that fit into so much room, but for those too wide for any, and their widths."""
    kept, sizes = list[int](), list[int]()
    for number, column in zip(numbers, cells, strict=True):
        size = max(map(cell_len, column))
        if size + len(GAP) > room:
            if kept:
                break
            continue
        room -= size + len(GAP)
        kept.append(number)
        sizes.append(size)
    return kept, sizes


def row_lines(name: str, inner: int, cells: Sequence[str], sizes: Sequence[int], width: int) -> Iterator[str]:
    """Yield a row; a name that is too long for its column has lines of its own."""
    figures = "".join(f"{GAP}{' ' * (size - cell_len(cell))}{cell}" for cell, size in zip(cells, sizes, strict=True))
    if cell_len(name) > inner:
        yield from _filled(_PART.findall(name), width)
        name = ""
    if row := f"{padded(name, inner)}{figures}".rstrip():
        yield row


def padded(text: str, size: int) -> str:
    """Return a text with spaces behind it, up to a width."""
    return text + " " * (size - cell_len(text))


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
