"""Gradients of samples as bergson keeps them: ``gradients.bin``, rows of all modules side by side, and ``info.json``.

A folder, or one of such folders, each a shard of the samples. A module ``layers.0.mlp`` is the layer ``layers/0/mlp``,
and its columns are the variable ``gradient``, (sample, param), read at their place in the file.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from covdist.errors import LogError, shown
from covdist.logs.joining.joined import join
from covdist.logs.json_text import is_count, mapping
from covdist.logs.layers import layered
from covdist.logs.paths import below, exists, first_bytes, is_folder, names_in, open_file, real
from covdist.logs.source import Entry, Nodes, Source
from covdist.logs.stamps import opening, stamp
from covdist.logs.stored import stored

READS = "folders with gradients.bin and info.json, of bergson"
RANK = 0

_DATA, _INFO = "gradients.bin", "info.json"
_MOST_INFO = 32 << 20


def recognises(path: str) -> bool:
    """Return whether a folder, or the first below it, has both files."""
    return next(_shards(path), None) is not None


def read(path: str, missing_chunks: str, follow_links: bool) -> Nodes:
    """Read what the shards hold, which must be the same modules; their rows are one below the other."""
    with opening():
        parts: dict[str, list[Source]] = {}
        first: dict[str, Any] | None = None
        for shard in _shards(path):
            sizes, found = _modules(shard, follow_links)
            if first not in (None, sizes):
                raise LogError(
                    f"{shard} holds other modules than the shards before it: keep them in folders of their own."
                )
            first = sizes
            for name, source in found.items():
                parts.setdefault(name, []).append(source)
        nodes: Nodes = {}
        for name, place in layered([f"{name}.gradient" for name in parts]).items():
            layer, _, variable = place.rpartition("/")
            sources = parts[name.removesuffix(".gradient")]
            nodes.setdefault(layer, {})[variable] = Entry(join(sources, place), ("sample", "param"))
        return nodes


def _shards(path: str) -> Iterator[str]:
    if _is_shard(path):
        yield path
    elif is_folder(path):
        folders = [below(path, name) for name in names_in(path)[1]]
        if folders and all(map(_is_shard, folders)):
            yield from folders


def _is_shard(folder: str) -> bool:
    return all(exists(folder, (name,)) for name in (_DATA, _INFO))


def _modules(folder: str, follow_links: bool) -> tuple[dict[str, Any], dict[str, Source]]:
    """Return how wide each module of a shard is, and of what dtype, and its sources."""
    rows, sizes, dtype = _described(below(folder, _INFO), follow_links)
    path = below(folder, _DATA)
    place = real(path) if follow_links else path
    with open_file(place) as file:
        before = stamp(file)
    width = sum(sizes.values())
    if before[0] != rows * width * dtype.itemsize:
        raise LogError(
            f"{path} has {before[0]:,} bytes where {_INFO} promises {rows * width * dtype.itemsize:,}: it was cut off "
            "or overwritten, copy or write it again."
        )
    found: dict[str, Source] = {}
    for (name, size), start in zip(sizes.items(), itertools.accumulate(sizes.values(), initial=0), strict=False):
        steps = width if rows > 1 else 0, int(size > 1)
        found[name] = stored(place, name, (rows, size), dtype, start * dtype.itemsize, before, steps)
    return {**sizes, "": dtype}, found


def _described(path: str, follow_links: bool) -> tuple[int, dict[str, int], np.dtype]:
    content = mapping(first_bytes(path, _MOST_INFO, follow_links), path)
    rows, sizes, base = (content.get(name) for name in ("num_grads", "grad_sizes", "base_dtype"))
    whole = isinstance(sizes, dict) and sizes and all(map(is_count, sizes.values())) and is_count(rows)
    try:
        dtype = np.dtype(base) if isinstance(base, str) else None
    except TypeError:
        dtype = None
    if not whole or dtype is None or dtype.kind not in "fiu":
        raise LogError(
            f"{path} does not tell num_grads, grad_sizes and a base_dtype of numbers (found {shown(repr(base))}), as "
            "bergson writes them: write it again."
        )
    return int(rows or 0), {str(name): int(size) for name, size in dict(sizes or {}).items()}, dtype
