"""A file of arrays, or a folder tree of such files, each in the format that its first bytes tell.

``folder/fc1/activation.npy`` is the variable ``activation`` of the node ``fc1``, and so is the key ``activation``
of ``folder/fc1.npz``; a file named alone gives variables of the root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from covdist.errors import LogError
from covdist.logs.formats import FileFormat, file_formats
from covdist.logs.paths import below, exists, first_bytes, is_folder, is_url, last_name, real, walk
from covdist.logs.source import Entry, Nodes, Unreadable, fillable
from covdist.logs.stamps import opening

READS = "folders of files"
RANK = 9  # what has a marker is a log of that format, whatever files it is made of

_HEAD = 512  # bytes that tell formats apart


def recognises(path: str) -> bool:
    """Return whether the path is such a file, or a folder with one somewhere below."""
    if not is_folder(path):
        return (not is_url(path) or exists(path)) and format_of(path, follow_links=True) is not None
    try:
        return next(_files(path, follow_links=False), None) is not None
    except LogError:  # of a link, which read meets again
        return True


def read(path: str, missing_chunks: str, follow_links: bool) -> Nodes:
    """Read the headers of all arrays below the path; of files only those of HDF5 have chunks that could be missing."""
    with opening():
        nodes = _nodes(path, follow_links)
    return {place: _filled(variables) for place, variables in nodes.items()} if missing_chunks == "fill" else nodes


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
    found = sorted(_files(path, follow_links), key=lambda each: each[0]) if many else [_alone(path)]
    for file, format in found:
        stem = os.path.splitext(file)[0]
        place = below(path, file) if many else path
        if follow_links or not many:
            place = real(place)
        for name, variable in _variables(format, place, stem, f"{stem}/" if many else "").items():
            node, _, last = name.rpartition("/")
            if last in nodes.setdefault(node, {}):
                raise LogError(f"{path} holds two arrays called {name}: rename one of them.")
            nodes[node][last] = variable._replace(file=stem) if many else variable
    return nodes


def _alone(path: str) -> tuple[str, FileFormat]:
    format = format_of(path, follow_links=True)
    assert format is not None  # it has been recognised
    return last_name(path), format


def _variables(format: FileFormat, place: str, stem: str, prefix: str) -> Mapping[str, Entry | Unreadable]:
    try:
        return format.variables(place, stem, prefix)
    except LogError as error:
        return {stem: Unreadable(error, layer=True)}


def _files(folder: str, follow_links: bool) -> Iterator[tuple[str, FileFormat]]:
    """Yield the files of a folder tree that are of some format, by their paths below it."""
    for place, names in walk(folder, lambda _: False, follow_links):
        for name in names:
            format = format_of(below(folder, place, name), follow_links)
            if format is not None:
                yield f"{place}/{name}".lstrip("/"), format
