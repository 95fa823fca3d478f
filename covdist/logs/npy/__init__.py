"""NumPy files: a ``.npy``, a ``.npz``, or a folder tree of them. Nothing is ever unpickled.

``folder/fc1/activation.npy`` is the variable ``activation`` of the node ``fc1``, and so is the key ``activation``
of ``folder/fc1.npz``; a file named alone gives variables of the root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from covdist.errors import LogError
from covdist.logs.npy.files import open_npy
from covdist.logs.npy.npz import open_npz
from covdist.logs.paths import is_url, walk
from covdist.logs.source import Entry, Nodes, Source, Unreadable
from covdist.logs.stamps import opening

READS = "NumPy .npy and .npz files or a folder of them"
RANK = 1


def recognises(path: str) -> bool:
    """Return whether the path is such a file, or a folder with one somewhere below; URLs are not read."""
    if not os.path.isdir(path):
        return path.endswith((".npy", ".npz")) and not is_url(path)
    try:
        return next(_files(path, follow_links=False), None) is not None
    except LogError:  # of a link, which read meets again
        return True


def read(path: str, missing_chunks: str, follow_links: bool) -> Nodes:
    """Read the headers of all arrays below the path; files have no chunks that could be missing."""
    with opening():
        return _nodes(path, follow_links)


def _nodes(path: str, follow_links: bool) -> Nodes:
    nodes: Nodes = {}
    many = os.path.isdir(path)
    for file in sorted(_files(path, follow_links)) if many else [os.path.basename(path)]:
        stem, end = os.path.splitext(file)
        place = os.path.join(path, file) if many else path
        if follow_links or not many:
            place = os.path.realpath(place)
        for name, found in _opened(place, stem, end, f"{stem}/" if many else "").items():
            node, _, variable = name.rpartition("/")
            if variable in nodes.setdefault(node, {}):
                raise LogError(f"{path} holds two arrays called {name}: rename one of them.")
            nodes[node][variable] = found if isinstance(found, Unreadable) else Entry(found)
    return nodes


def _opened(place: str, stem: str, end: str, prefix: str) -> Mapping[str, Source | Unreadable]:
    try:
        return {stem: open_npy(place, stem)} if end == ".npy" else open_npz(place, prefix)
    except LogError as error:
        return {stem: Unreadable(error, layer=end == ".npz")}


def _files(folder: str, follow_links: bool) -> Iterator[str]:
    for place, names in walk(folder, lambda _: False, follow_links):
        yield from (f"{place}/{name}".lstrip("/") for name in names if name.endswith((".npy", ".npz")))
