"""What a reading returns as tables for a terminal, with its units; of large arrays the edges, and what is left out."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from covdist.errors import shown
from covdist.terminal.columns import TableRow, columns, facts, terminal_width, wrapped
from covdist.terminal.grid import Grid, Table, abbreviated, edges, printed

Value = xr.DataArray | xr.Dataset
_MOST_MATRICES, _LAST_MATRICES = 4, 1  # of several groups that are printed
_OWN = ("long_name", "units")  # attributes that the title tells
_MOST_LETTERS = 32  # of a label


def readings_table(values: Mapping[str, Value], width: int | None = None) -> str:
    """Lay out what is read of each array of a result, by its path; attributes that all have alike are said once."""
    room = terminal_width(width)
    common = _common([value.attrs for value in values.values()])
    if len(values) > 1 and not any(value.sizes for value in values.values()):
        blocks, left, total = [_numbers(values, common, room)], 0, 0
    else:
        blocks, left, total = _blocks(values, common, room)
    last = _attributes(common, room)
    if left:
        last += wrapped(f"{left:,} of {total:,} values are left out: -o FILE.zarr writes all, --json prints all", room)
    return "\n\n".join("\n".join(block) for block in (*blocks, last) if block)


def _blocks(
    values: Mapping[str, Value], common: Mapping[Hashable, Any], width: int
) -> tuple[list[list[str]], int, int]:
    """Return the lines of each array, how many values they leave out, and how many there are."""
    blocks, told, total = list[list[str]](), 0, 0
    for path, value in values.items():
        arrays = _arrays(value)
        lines, count = _lines(arrays, width)
        own = {key: each for key, each in value.attrs.items() if key not in common}
        blocks.append([*(wrapped(shown(path, 300), width) if path else []), *lines, *_attributes(own, width)])
        told, total = told + count, total + sum(array.size for array in arrays)
    return blocks, total - told, total


def _numbers(values: Mapping[str, Value], common: Mapping[Hashable, Any], width: int) -> list[str]:
    """Lay out a row an array where all that is read are numbers, with the attributes that differ."""
    arrays = {str(each.name): each for value in values.values() for each in _arrays(value)}
    found = {path: _named_figures(value, common) for path, value in values.items()}
    header = list(dict.fromkeys(name for each in found.values() for name in each))
    rows = [TableRow(path, tuple(each.get(name, "") for name in header)) for path, each in found.items()]
    titles = [line for each in arrays.values() for line in wrapped(_title(each), width)]
    return [*titles, *columns("array", [shown(name, _MOST_LETTERS) for name in header], rows, width).splitlines()]


def _named_figures(value: Value, common: Mapping[Hashable, Any]) -> dict[str, str]:
    attrs = {str(key): _figure(each) for key, each in value.attrs.items() if key not in (*common, *_OWN)}
    return {str(each.name): _figure(each.values[()]) for each in _arrays(value)} | attrs


def _arrays(value: Value) -> list[xr.DataArray]:
    return [value] if isinstance(value, xr.DataArray) else list(value.data_vars.values())


def _common(attrs: Sequence[Mapping[Hashable, Any]]) -> dict[Hashable, Any]:
    if len(attrs) < 2:
        return {}
    return {
        key: value for key, value in attrs[0].items() if all(str(each.get(key)) == str(value) for each in attrs[1:])
    }


def _attributes(attrs: Mapping[Hashable, Any], width: int) -> list[str]:
    pairs = [(shown(str(key)), _figure(value, 600)) for key, value in attrs.items() if key not in _OWN]
    return facts(pairs, width).splitlines()


# ---- arrays


def _lines(arrays: Sequence[xr.DataArray], width: int) -> tuple[list[str], int]:
    """Return the lines of arrays, those of the same single dim side by side, and how many values they tell."""
    alike: dict[tuple[Hashable, ...], list[xr.DataArray]] = {}
    for array in arrays:
        alike.setdefault(array.dims if array.ndim < 2 else (*array.dims, array.name), []).append(array)
    lines, told = list[str](), 0
    for several in alike.values():
        for part, count in _parts(several, width):
            lines += [*([""] if lines else []), *part]
            told += count
    return lines, told


def _parts(several: Sequence[xr.DataArray], width: int) -> Iterator[tuple[list[str], int]]:
    first = several[0]
    if first.ndim == 0:
        pairs = [(shown(str(each.name)), _with_units(_figure(each.values[()]), each)) for each in several]
        yield facts(pairs, width).splitlines(), len(several)
    elif first.ndim == 1:
        yield _vectors(several, width)
    else:
        yield from _matrices(first, width)


def _vectors(several: Sequence[xr.DataArray], width: int) -> tuple[list[str], int]:
    """Lay out a row a label, a column an array."""
    first = several[0]
    rows = edges(first.size)
    names = _labels(first, first.dims[0])
    table = Table(
        shown(str(first.dims[0])), [shown(str(each.name), _MOST_LETTERS) for each in several],
        [names(row) for row in rows], [[_figure(each.values[row]) for each in several] for row in rows],
    )  # fmt: skip
    titles = [line for each in several for line in wrapped(_title(each), width)]
    return [*titles, *printed(table, rows, width)], len(rows) * len(several)


def _matrices(array: xr.DataArray, width: int) -> Iterator[tuple[list[str], int]]:
    """Yield a table of the last two dims for each position of the others."""
    *outer, down, across = array.dims
    labels = [_labels(array, dim) for dim in outer]
    every = list(np.ndindex(*(array.sizes[dim] for dim in outer)))
    title = wrapped(
        f"{_title(array)}; {' × '.join(f'{shown(str(dim))} {n:,}' for dim, n in array.sizes.items())}", width
    )
    for number in edges(len(every), _MOST_MATRICES, _LAST_MATRICES):
        place = every[number]
        grid = Grid(
            shown(str(down)), (array.sizes[down], array.sizes[across]), _labels(array, down), _labels(array, across),
            partial(_figure_of, array.values[place]),
        )  # fmt: skip
        lines, told = abbreviated(grid, width)
        at = ", ".join(f"{shown(str(dim))} {name(n)}" for dim, name, n in zip(outer, labels, place, strict=True))
        yield [*title, *(wrapped(at, width) if at else []), *lines], told
        title = []


# ---- names and numbers


def _title(array: xr.DataArray) -> str:
    name, said = str(array.name), str(array.attrs.get("long_name", ""))
    return _with_units(shown(f"{name}: {said}" if said and said != name else name, 200), array)


def _with_units(text: str, array: xr.DataArray) -> str:
    units = str(array.attrs.get("units", "1"))
    return text if units in ("1", "") else f"{text}, in {shown(units)}"


def _labels(array: xr.DataArray, dim: Hashable) -> Any:
    """Return what names the positions along a dim: its coordinate, or numbers from 0."""
    if dim not in array.coords:
        return str
    values = array.coords[dim].values
    return lambda number: _figure(values[number])


def _figure_of(matrix: np.ndarray, row: int, column: int) -> str:
    return _figure(matrix[row, column])


def _figure(value: Any, most: int = _MOST_LETTERS) -> str:
    """Return a number with four digits, anything else as text of so many letters."""
    plain = value.item() if isinstance(value, np.generic) and value.dtype.kind in "fcbiu" else value
    if isinstance(plain, tuple):
        return f"({', '.join(map(_figure, plain))})"
    if isinstance(plain, bool):
        return "yes" if plain else "no"
    if isinstance(plain, float | complex):
        return f"{plain:.4g}"
    return f"{plain:,}" if isinstance(plain, int) else shown(str(plain), most)
