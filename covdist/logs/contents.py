"""What is in a log: its arrays by path, and how they are stored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from covdist.errors import LogError
from covdist.logs.nodes import LogNode
from covdist.logs.source import Entry, Storage

Content = dict[str, Any]  # of one array, as JSON


def contents(nodes: Mapping[str, LogNode]) -> dict[str, Content]:
    """Return what is known of each array of a log, by path, from headers and the sizes of files."""
    return dict(_contents(nodes))


def _contents(nodes: Mapping[str, LogNode]) -> Iterator[tuple[str, Content]]:
    for path, node in sorted(nodes.items()):
        for name in sorted(node.entries.keys() | node.unreadable.keys()):
            place = f"{path}/{name}".lstrip("/")
            if name in node.unreadable:
                yield place, {"unreadable": str(node.unreadable[name].error)}
            else:
                yield place, _content(node, name)


def _content(node: LogNode, name: str) -> Content:
    entry = node.entries[name]
    source = entry.source
    storage, error = _storage(entry)
    return {
        "dims": node.dims[name], "shape": list(source.shape), "dtype": _dtype(source.dtype),
        "chunks": [min(size, most) for size, most in zip(source.chunks, source.shape, strict=True)],
        "coordinate": name in node.coords, "bytes": math.prod(source.shape) * source.dtype.itemsize,
        "stored_bytes": storage.nbytes, "codecs": _listed(storage.codecs), "checksum": source.checksum,
        "missing_chunks": storage.missing, "attributes": {key: _plain(value) for key, value in entry.attrs.items()},
        **({"unreadable": error} if error else {}),
    }  # fmt: skip


def _listed(codecs: tuple[str, ...] | None) -> list[str] | None:
    return None if codecs is None else list(codecs)


def _dtype(dtype: np.dtype) -> str:
    return "text" if dtype.kind in "TUSO" else dtype.name


def _storage(entry: Entry) -> tuple[Storage, str]:
    """Return how an array is stored, and why that cannot be told."""
    try:
        return entry.source.storage, ""
    except LogError as error:
        return Storage(), str(error)


def _plain(value: Any) -> Any:
    """Return an attribute as JSON has it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)
