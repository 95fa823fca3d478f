"""Files of one folder that hold steps, clips or samples of the same arrays become one array each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    pending = _side_by_side(_families(files, bool(concat)))
    while pending:
        families = pending.pop(0)
        of_them = [file for family in families for file in family.files.values()]
        mine = {f"{file}/{name}".rstrip("/") for file in of_them for name in files[file]}
        found = _joined(families, files, root, bool(concat))
        if found is None or not names.difference(mine).isdisjoint(found):
            pending[:0] = [[family] for family in families if len(families) > 1]
            continue
        for file in of_them:
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


def _side_by_side(families: Iterable[Family]) -> list[list[Family]]:
    """Return families together whose files have the same numbers: ``step=7/loss.npy`` beside ``step=7/output.npy``."""
    found: dict[object, list[Family]] = {}
    for family in families:
        found.setdefault((family.folder, family.counter, family.total, tuple(family.marks)), []).append(family)
    return list(found.values())


def _families(files: Mapping[str, Variables], concat: bool) -> Iterator[Family]:
    folders: dict[str, list[str]] = {}
    tables: dict[tuple[str, tuple[str, ...]], dict[str, Place]] = {}
    for file in files:
        folder = file.rpartition("/")[0]
        of = place(folder)
        if of.keys:
            tables.setdefault((of.table, of.keys), {})[file] = of
        else:
            folders.setdefault(folder, []).append(file)
    for (table, keys), places in tables.items():
        yield from _partitioned(table, keys, places)
    for folder, inside in folders.items():
        counted = [each for each in _counted(folder, inside, concat) if len(each.files) > 1 or each.total == 1]
        if concat and len(inside) > 1 and sum(len(each.files) for each in counted) < len(inside):
            ordered = sorted(inside, key=natural)
            counted = [Family(folder, "", "file", dict(enumerate(ordered)), None, True)]
        yield from counted


def _partitioned(table: str, keys: tuple[str, ...], places: Mapping[str, Place]) -> Iterator[Family]:
    """Return files by what they are called beside numbers; those of one folder and number have one number here."""
    called = {}
    for file in places:
        stem = file.rpartition("/")[2]
        found = numbered(stem)
        name = found.name if found else stem
        called[file] = name, stem.removeprefix(name)
    ordered = in_order(places, {file: rest for file, (_, rest) in called.items()})
    columns = zip(*(places[file].values for file in ordered), strict=True)
    labelled = dict(zip(ordered, zip(*map(labels, columns), strict=True), strict=True))
    numbers: dict[object, int] = {}
    families: dict[str, dict[int, str]] = {}
    for file in ordered:
        name, rest = called[file]
        families.setdefault(name, {})[numbers.setdefault((places[file].values, rest), len(numbers))] = file
    for name, members in families.items():
        marks = {key: {number: labelled[file][n] for number, file in members.items()} for n, key in enumerate(keys)}
        yield Family(table, name, keys[-1], members, None, True, marks, True)


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
    families: Sequence[Family], files: Mapping[str, Variables], root: str, concat: bool
) -> dict[str, Entry | Unreadable] | None:
    """Return the arrays that files are together, by their paths in the log; None where they do not fit."""
    family = families[0]
    alone = len(families) == 1
    try:
        layers = _layers(families, files, root)
        missing = next(filter(None, map(_missing, families)), None)
        if missing is not None:
            lost = (f"{path}/{name}".lstrip("/") for path, arrays in layers.items() for name in arrays)
            return dict.fromkeys(lost, Unreadable(missing)) if alone else None
        marks = {key: {k: v for each in families for k, v in each.marks[key].items()} for key in family.marks}
        found: dict[str, Entry | Unreadable] = {}
        for path, arrays in layers.items():
            whole = family.files if family.parts and alone else {}
            joined = arrays_of_files(arrays, family.counter, marks, whole)
            found |= {f"{path}/{name}".lstrip("/"): variable for name, variable in joined.items()}
        return found
    except LogError as error:
        if concat and alone:
            raise
        if not (family.parts and alone):
            return None
        said = LogError(f"{error} Or read them one by one with concat=False (--no-concat).")
        return {_path(family, "", root): Unreadable(said, layer=True)}


def _layers(
    families: Sequence[Family], files: Mapping[str, Variables], root: str
) -> dict[str, dict[str, dict[int, Entry | Unreadable]]]:
    """Return the arrays of families by layer, by name, and by the number of the file."""
    layers: dict[str, dict[str, dict[int, Entry | Unreadable]]] = {}
    for family in families:
        first = shown(next(iter(family.files.values())))
        if len({tuple(files[file]) == ("",) for file in family.files.values()}) > 1:
            raise LogError(
                f"{first} and files beside it hold one array and several: keep them in folders of their own."
            )
        for number, file in family.files.items():
            for name, variable in files[file].items():
                layer, _, last = _path(family, name, root).rpartition("/")
                parts = layers.setdefault(layer, {}).setdefault(last, {})
                if number in parts:
                    raise LogError(f"{first} and files beside it have an array of the same name: rename one.")
                parts[number] = variable
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
