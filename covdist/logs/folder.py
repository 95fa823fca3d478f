"""A file of arrays, or a folder tree of such files, each in the format that its first bytes tell.

``folder/fc1/activation.npy`` is the variable ``activation`` of the node ``fc1``, and so is the key ``activation``
of ``folder/fc1.npz``; a file named alone gives variables of the root.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import TypeVar

from covdist.engine.progress import counted
from covdist.errors import LogError
from covdist.logs.formats import FileFormat, file_formats
from covdist.logs.paths import below, exists, first_bytes, is_folder, is_url, last_name, real, walk
from covdist.logs.remote.at_once import at_once
from covdist.logs.remote.urls import Url
from covdist.logs.remote.visit import asked_once
from covdist.logs.source import Entry, Nodes, Unreadable, fillable
from covdist.logs.stamps import opening
from covdist.logs.zarr.files import MARKERS as ZARR

READS = "folders of files"
R = TypeVar("R")
RANK = 9  # what has a marker is a log of that format, whatever files it is made of

_Arrays = Mapping[str, Entry | Unreadable]
_HEAD = 512  # bytes that tell formats apart


def recognises(path: str) -> bool:
    """Return whether the path is such a file, or a folder with one somewhere below."""
    if not is_folder(path):
        return (not is_url(path) or exists(path)) and format_of(path, follow_links=True) is not None
    try:
        with closing(_each(partial(_has_format, path), _names(path, follow_links=False), path)) as known:
            return any(known)
    except LogError:  # of a link, which read meets again
        return True


def read(path: str, missing_chunks: str, follow_links: bool) -> Nodes:
    """Read the headers of all arrays below the path; of files only those of HDF5 have chunks that could be missing."""
    with opening():
        nodes = _nodes(path, follow_links)
    return {place: _filled(variables) for place, variables in nodes.items()} if missing_chunks == "fill" else nodes


def _has_format(folder: str, file: str) -> bool:
    if last_name(file) in ZARR:
        return not _of_a_result(below(folder, file))
    with asked_once(place := below(folder, file)):
        return format_of(place) is not None


def _filled(variables: Mapping[str, Entry | Unreadable]) -> dict[str, Entry | Unreadable]:
    return {
        name: each._replace(source=each.source.filled()) if isinstance(each, Entry) and fillable(each.source) else each
        for name, each in variables.items()
    }


def format_of(path: str, follow_links: bool = False) -> FileFormat | None:
    """Return the format that a file's first bytes tell, else the one that its name promises; None if neither does."""
    try:
        head = first_bytes(path, _HEAD, follow_links)
    except (LogError, FileNotFoundError):  # a link or a pipe, which is named when it is opened
        head = b""
    known = file_formats()
    told = (each for each in known if each.begins(head))
    return next(told, None) or next((each for each in known if last_name(path).endswith(each.ENDS)), None)


def _nodes(path: str, follow_links: bool) -> Nodes:
    nodes: Nodes = {}
    many = is_folder(path)
    files = sorted(_names(path, follow_links)) if many else [last_name(path)]

    def arrays(file: str) -> _Arrays | None:
        place = below(path, file) if many else path
        with asked_once(place):
            return _arrays(place, file, many, follow_links or not many)

    for file, found in zip(files, counted(_each(arrays, files, path), len(files)), strict=True):
        stem = os.path.dirname(file) if last_name(file) in ZARR else os.path.splitext(file)[0]
        for name, variable in (found or {}).items():
            node, _, last = name.rpartition("/")
            if last in nodes.setdefault(node, {}):
                raise LogError(f"{path} holds two arrays called {name}: rename one of them.")
            nodes[node][last] = variable._replace(file=stem) if many else variable
    return nodes


def _arrays(place: str, file: str, many: bool, follow_links: bool) -> _Arrays | None:
    """Read the headers of a file, one of many or alone; None where it is of no format."""
    if many and last_name(file) in ZARR:
        return None if _of_a_result(place) else {os.path.dirname(file): Unreadable(_zarr(place), layer=True)}
    format = format_of(place, follow_links)
    if format is None:
        return None
    stem = os.path.splitext(file)[0]
    try:
        return format.variables(real(place) if follow_links else place, stem, f"{stem}/" if many else "")
    except FileNotFoundError:
        return {stem: Unreadable(LogError(f"{place} was removed while it was opened: open the log again."), layer=True)}
    except LogError as error:
        return {stem: Unreadable(error, layer=True)}


def _each(function: Callable[[str], R], files: Iterable[str], path: str) -> Generator[R]:
    """Yield what a function returns for files of a folder, in order."""
    return at_once(function, files, Url(path)) if is_url(path) else (function(file) for file in files)


def _names(folder: str, follow_links: bool) -> Iterator[str]:
    """Yield the paths of all files below a folder, of one of Zarr that of its metadata alone."""
    within: str | None = None
    for place, names in walk(folder, lambda _: False, follow_links):
        if within is not None and f"{place}/".startswith(within):
            continue
        within = f"{place}/" if place and not set(ZARR).isdisjoint(names) else None
        wanted = names if within is None else [next(name for name in names if name in ZARR)]
        yield from (f"{place}/{name}".lstrip("/") for name in wanted)


def _of_a_result(metadata: str) -> bool:
    """Return whether metadata of Zarr are those of a result, such as of these files."""
    from covdist.logs.zarr.reading import is_result

    return is_result(metadata)


def _zarr(metadata: str) -> LogError:
    return LogError(
        f"{os.path.dirname(metadata)} is Zarr, which is not read as a part of a folder of files: name it alone, or "
        "write its arrays as files."
    )
