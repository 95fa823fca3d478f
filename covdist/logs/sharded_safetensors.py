"""Folders of ``.safetensors`` files with an index, ``*.safetensors.index.json``, that says which tensor is where."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from covdist.errors import LogError, shown
from covdist.logs.files import safetensors
from covdist.logs.json_text import mapping
from covdist.logs.layers import layered
from covdist.logs.paths import above, below, exists, first_bytes, is_folder, last_name, names_in, real
from covdist.logs.source import Entry, Nodes, Unreadable
from covdist.logs.stamps import opening

READS = "folders of .safetensors files with an index"
RANK = 0

_INDEX = ".safetensors.index.json"
_MOST_INDEX = 32 << 20


def recognises(path: str) -> bool:
    """Return whether the path is a folder with such an index, or the index itself."""
    return bool(_index(path))


def read(path: str, missing_chunks: str, follow_links: bool) -> Nodes:
    """Read the headers of all files that the index names; which of them a tensor is in does not matter."""
    folder, name = _index(path) or ("", "")
    index = below(folder, name)
    with opening():
        content = mapping(first_bytes(index, _MOST_INDEX, follow_links), index)
        where = content.get("weight_map")
        if not isinstance(where, dict) or not all(map(_is_file_name, where.values())):
            raise LogError(f"{index} has no weight_map from tensors to files of its folder: write it again.")
        paths = layered(where)
        nodes: Nodes = {}
        for file in sorted(set(where.values())):
            place = below(folder, file)
            mine = {tensor: paths[tensor] for tensor, each in where.items() if each == file}
            for path, variable in _variables(real(place) if follow_links else place, mine):
                node, _, name = path.rpartition("/")
                nodes.setdefault(node, {})[name] = variable
    return nodes


def _variables(file: str, paths: Mapping[str, str]) -> Iterator[tuple[str, Entry | Unreadable]]:
    try:
        found = safetensors.tensors(file, lambda _: paths)
    except LogError as error:
        yield from ((path, Unreadable(error)) for path in paths.values())
        return
    except FileNotFoundError:
        lost = LogError(f"{file} is not there, though the index beside it names it: copy it too.")
        yield from ((path, Unreadable(lost)) for path in paths.values())
        return
    for tensor, path in paths.items():
        lost = LogError(f"{file} has no tensor {shown(tensor)}, though the index beside it says so: copy both again.")
        yield found.get(tensor, (path, Unreadable(lost)))


def _index(path: str) -> tuple[str, str] | None:
    """Return the folder and the name of an index, the only one in a folder; None where there is none."""
    if last_name(path).endswith(_INDEX) and not is_folder(path):
        return (above(path) or ".", last_name(path)) if exists(path) else None
    names = [name for name in names_in(path)[0] if name.endswith(_INDEX)] if is_folder(path) else []
    return (path, names[0]) if len(names) == 1 else None


def _is_file_name(name: object) -> bool:
    """Return whether this names a file of the same folder."""
    return isinstance(name, str) and name == os.path.basename(name) and name not in ("", ".", "..") and "\0" not in name
