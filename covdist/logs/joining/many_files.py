"""Files of one folder that hold steps, clips or samples of the same arrays become one array each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from covdist.errors import LogError, shown
from covdist.logs.joining.numbering import Numbered, natural, numbered
from covdist.logs.joining.partitions import Label, Place, in_order, labels, place
from covdist.logs.joining.rows_of_files import arrays_of_files
from covdist.logs.source import Entry, Nodes, Unreadable

Variables = dict[str, Entry | Unreadable]  # of one file, by their paths below it; "" is its only array


class Family(NamedTuple):
    """Files of one folder, by what their names count, and the name that their arrays have together.

    ``marks`` are further labels of their rows, by what they are called and the file. ``parts`` says that nothing but
    one table is written so: files that do not fit are an error then.
    """

    folder: str
    name: str
    counter: str
    files: Mapping[int, str]
    total: int | None
    alone: bool  # in its folder
    marks: Mapping[str, Mapping[int, Label]] = {}
    parts: bool = False


def as_one(nodes: Nodes, root: str, concat: bool | None) -> Nodes:
    """Return nodes in which arrays of the same name from many files are one.

    Without ``concat`` those of files whose names are numbered, where they fit together; with it, those of all files of
    a folder, and LogError where they do not fit. ``root`` is what the log is called.
    """
    if concat is False:
        return nodes
    files, rest = _by_file(nodes)
    if concat and not files:
        raise LogError(f"{root} is not made of several files, which concat=True joins: leave that out.")
    names = {f"{path}/{name}".lstrip("/") for path, variables in rest.items() for name in variables}
    names |= {f"{file}/{name}".rstrip("/") for file, variables in files.items() for name in variables}
    result = {path: dict(variables) for path, variables in rest.items()}
    for family in _families(files, bool(concat)):
        mine = {f"{file}/{name}".rstrip("/") for file in family.files.values() for name in files[file]}
        found = _joined(family, files, root, bool(concat))
        if found is None or not names.difference(mine).isdisjoint(found):
            continue
        for file in family.files.values():
            del files[file]
        _put(result, found)
        names = names - mine | found.keys()
    for file, variables in files.items():
        _put(result, {f"{file}/{name}".rstrip("/"): variable for name, variable in variables.items()})
    return result


def _put(nodes: Nodes, variables: Mapping[str, Entry | Unreadable]) -> None:
    for path, variable in variables.items():
        node, _, name = path.rpartition("/")
        nodes.setdefault(node, {})[name] = variable


def _by_file(nodes: Nodes) -> tuple[dict[str, Variables], Nodes]:
    files: dict[str, Variables] = {}
    rest: Nodes = {}
    for path, variables in nodes.items():
        for name, variable in variables.items():
            if variable.file is None:
                rest.setdefault(path, {})[name] = variable
            else:
                inner = f"{path}/{name}".lstrip("/").removeprefix(variable.file).lstrip("/")
                files.setdefault(variable.file, {})[inner] = variable
    return files, rest


def _families(files: Mapping[str, Variables], concat: bool) -> Iterator[Family]:
    folders: dict[str, list[str]] = {}
    tables: dict[tuple[str, tuple[str, ...], str], dict[str, Place]] = {}
    for file in files:
        folder, _, stem = file.rpartition("/")
        of = place(folder)
        if of.keys:
            found = numbered(stem)
            tables.setdefault((of.table, of.keys, found.name if found else stem), {})[file] = of
        else:
            folders.setdefault(folder, []).append(file)
    for (table, keys, name), places in tables.items():
        yield _partitioned(table, keys, name, places)
    for folder, inside in folders.items():
        counted = [each for each in _counted(folder, inside, concat) if len(each.files) > 1 or each.total == 1]
        if concat and len(inside) > 1 and sum(len(each.files) for each in counted) < len(inside):
            ordered = sorted(inside, key=natural)
            counted = [Family(folder, "", "file", dict(enumerate(ordered)), None, True)]
        yield from counted


def _partitioned(table: str, keys: tuple[str, ...], name: str, places: Mapping[str, Place]) -> Family:
    ordered = in_order(places)
    columns = zip(*(places[file].values for file in ordered), strict=True)
    marks = {key: dict(enumerate(labels(column))) for key, column in zip(keys, columns, strict=True)}
    return Family(table, name, keys[-1], dict(enumerate(ordered)), None, True, marks, True)


def _counted(folder: str, inside: list[str], any_number: bool) -> list[Family]:
    told: dict[tuple[str, str, int | None], list[tuple[Numbered, str]]] = {}
    for file in inside:
        found = numbered(file.rpartition("/")[2], any_number=any_number)
        if found is not None:
            told.setdefault((found.name, found.counter, found.total), []).append((found, file))
    families = []
    for (name, counter, total), members in told.items():
        of = {found.number: file for found, file in members}
        if len({found.mark for found, _ in members}) > 1:  # parts that were added to others, which are counted anew
            of = dict(enumerate(file for _, file in sorted(members, key=lambda each: (each[0].mark, each[0].number))))
        if len(of) == len(members):  # a number that two files have counts nothing
            alone, parts = len(of) == len(inside), counter == "part"
            families.append(Family(folder, name, counter, dict(sorted(of.items())), total, alone, {}, parts))
    return families


def _joined(
    family: Family, files: Mapping[str, Variables], root: str, concat: bool
) -> dict[str, Entry | Unreadable] | None:
    """Return the arrays that files are together, by their paths in the log; None where they do not fit."""
    try:
        layers = _layers(family, files, root)
        missing = _missing(family)
        if missing is not None:
            return {
                f"{path}/{name}".lstrip("/"): Unreadable(missing) for path, arrays in layers.items() for name in arrays
            }
        found: dict[str, Entry | Unreadable] = {}
        for path, arrays in layers.items():
            joined = arrays_of_files(arrays, family.counter, family.marks, family.files if family.parts else {})
            found |= {f"{path}/{name}".lstrip("/"): variable for name, variable in joined.items()}
        return found
    except LogError as error:
        if concat:
            raise
        if not family.parts:
            return None
        said = LogError(f"{error} Or read them one by one with concat=False (--no-concat).")
        return {_path(family, "", root): Unreadable(said, layer=True)}


def _layers(
    family: Family, files: Mapping[str, Variables], root: str
) -> dict[str, dict[str, dict[int, Entry | Unreadable]]]:
    """Return the arrays of a family by layer, by name, and by the number of the file."""
    whole = len({tuple(files[file]) == ("",) for file in family.files.values()}) == 1
    if not whole:
        first = shown(next(iter(family.files.values())))
        raise LogError(f"{first} and files beside it hold one array and several: keep them in folders of their own.")
    layers: dict[str, dict[str, dict[int, Entry | Unreadable]]] = {}
    for number, file in family.files.items():
        for name, variable in files[file].items():
            path = _path(family, name, root)
            layer, _, last = path.rpartition("/")
            layers.setdefault(layer, {}).setdefault(last, {})[number] = variable
    return layers


def _path(family: Family, name: str, root: str) -> str:
    """Return where in the log an array of a family is: below its folder, or in the place of that."""
    if name or family.name:
        parts = (family.folder, family.name, name)
    elif family.alone:
        parts = (family.folder or root, "", "")
    else:
        parts = (family.folder, family.counter, "")
    return "/".join(filter(None, parts))


def _missing(family: Family) -> LogError | None:
    """Return the error for files that are not there, where the names say how many there are to be."""
    if family.total is None or len(family.files) >= family.total:
        return None
    first = min(family.files)
    numbers = range(min(first, 1), min(first, 1) + family.total)
    lost = next((number for number in numbers if number not in family.files), family.total)
    file = next(iter(family.files.values()))
    return LogError(
        f"{shown(file)} is one of {family.total} files by its name, of which {len(family.files)} are there, and "
        f"number {lost} is not: restore it, or rename the others."
    )
