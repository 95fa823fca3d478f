"""Folders named ``key=value``, into which Spark, pyarrow, pandas and polars cut a table: their keys label its rows."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from covdist.logs.joining.numbering import natural

Label = int | float | str
_KEY = re.compile(r"([^=/?&#]+)=([^=/?&#]*)")  # other letters are quoted
_NOTHING = "__HIVE_DEFAULT_PARTITION__"  # as Hive calls a value that is not there
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?inf|nan", re.I)
_MOST_EXACT = 2**53  # up to which float64 has every whole number


class Place(NamedTuple):
    """The folder of a table, and what the folders between it and a file say of the rows: None for what is not there."""

    table: str
    keys: tuple[str, ...]
    values: tuple[str | None, ...]


def place(folder: str) -> Place:
    """Return the place of a folder; without keys it is that of a table by itself.

    Examples
    --------
    >>> place("fc1/split=train/step=7")
    Place(table='fc1', keys=('split', 'step'), values=('train', '7'))
    >>> place("fc1/a%20b=x%2Fy"), place("split=train/fc1").keys
    (Place(table='fc1', keys=('a b',), values=('x/y',)), ())
    """
    parts = folder.split("/") if folder else []
    found: list[tuple[str, str | None]] = []
    while parts and (told := _KEY.fullmatch(parts[-1])):
        key = unquote(told[1])
        found.insert(0, (told[1] if "/" in key else key, None if told[2] == _NOTHING else unquote(told[2])))
        parts.pop()
    keys, values = zip(*found, strict=True) if found else ((), ())
    return Place("/".join(parts), keys, values)


def in_order(places: Mapping[str, Place], numbers: Mapping[str, str]) -> list[str]:
    """Return files as their values count, 2 before 10 and -1 before 0, then numbers; what is not there is last."""
    told = [labels(column) for column in zip(*(each.values for each in places.values()), strict=True)]
    rows = dict(zip(places, zip(*told, strict=True), strict=True))
    return sorted(places, key=lambda file: (*map(_rank, rows[file]), natural(numbers[file])))


def _rank(label: Label) -> tuple[bool, float, tuple[tuple[int, str | int], ...]]:
    if isinstance(label, str):
        return not label, 0, natural(label)
    return math.isnan(label), 0 if math.isnan(label) else label, ()


def labels(values: Sequence[str | None]) -> list[Label]:
    """Return what folders say of a key: whole numbers or others where all are, else texts; NaN or "" for nothing.

    Examples
    --------
    >>> labels(["10", "2"]), labels(["0.1", None]), labels(["10", "x", None])
    ([10, 2], [0.1, nan], ['10', 'x', ''])
    """
    there = [value for value in values if value is not None]
    if there and _all(_WHOLE, there):
        numbers = [int(value) for value in there]
        if len(there) == len(values):
            return list(numbers)
        if max(map(abs, numbers)) <= _MOST_EXACT:
            return [float("nan") if value is None else float(value) for value in values]
    elif there and _all(_DECIMAL, there):
        return [float("nan") if value is None else float(value) for value in values]
    return ["" if value is None else value for value in values]


def _all(pattern: re.Pattern[str], values: Iterable[str]) -> bool:
    return all(pattern.fullmatch(value) for value in values)
