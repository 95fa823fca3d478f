"""NumPy files: a ``.npy``, a ``.npz``, or a folder tree of them. Nothing is ever unpickled.

``folder/fc1/activation.npy`` is the variable ``activation`` of the node ``fc1``, and so is the key ``activation``
of ``folder/fc1.npz``; a file named alone gives variables of the root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from covdist.logs.npy.files import open_npy
from covdist.logs.npy.npz import open_npz
from covdist.logs.paths import is_url
from covdist.logs.source import Entry, Nodes

READS = "NumPy .npy and .npz files or a folder of them"
RANK = 1


def recognises(path: str) -> bool:
    """Return whether the path is such a file, or a folder with one somewhere below; URLs are not read."""
    if os.path.isdir(path):
        return next(_files(path), None) is not None
    return path.endswith((".npy", ".npz")) and not is_url(path)


def read(path: str, missing_chunks: str) -> Nodes:
    """Read the headers of all arrays below the path; files have no chunks that could be missing."""
    nodes: Nodes = {}
    many = os.path.isdir(path)
    for file in sorted(_files(path)) if many else [path]:
        stem = os.path.splitext(os.path.relpath(file, path if many else os.path.dirname(path)))[0].replace(os.sep, "/")
        prefix = f"{stem}/" if many else ""
        for source in [open_npy(file, stem)] if file.endswith(".npy") else open_npz(file, prefix):
            node, _, variable = source.name.rpartition("/")
            nodes.setdefault(node, {})[variable] = Entry(source)
    return nodes


def _files(folder: str) -> Iterator[str]:
    for place, _, names in os.walk(folder, followlinks=True):
        yield from (os.path.join(place, name) for name in names if name.endswith((".npy", ".npz")))
