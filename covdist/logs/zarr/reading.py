"""Reads the metadata of all arrays below a path."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from typing import Any

import zarr

from covdist.errors import LogError
from covdist.logs.source import Entry, Nodes
from covdist.logs.zarr.arrays import store_at
from covdist.logs.zarr.sources import source_of

UNREADABLE = (OSError, ValueError, TypeError, KeyError, RuntimeError)  # what zarr raises for bad metadata
DIMENSIONS = "_ARRAY_DIMENSIONS"  # where xarray keeps names in version 2


def read_nodes(path: str, missing_chunks: str) -> Nodes:
    """Read them without reading or listing chunks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr warns of types and codecs that version 3 does not specify yet
        return _nodes(path, missing_chunks)


def _nodes(path: str, missing_chunks: str) -> Nodes:
    nodes: Nodes = {}
    for inner, array in _arrays(path):
        node, _, variable = (inner or _stem(path)).rpartition("/")
        name = f"{node}/{variable}".lstrip("/")
        source = source_of(path, inner, name, array, missing_chunks)
        attrs: dict[str, Any] = dict(array.attrs)
        named = attrs.pop(DIMENSIONS, None) or getattr(array.metadata, "dimension_names", None)
        # Epochs and steps often begin with chunks of zeros, which zarr does not write by default.
        filled = source_of(path, inner, name, array, "fill") if array.ndim == 1 else None
        nodes.setdefault(node, {})[variable] = Entry(source, named and tuple(named), attrs, filled)
    return nodes


def _stem(path: str) -> str:
    return os.path.splitext(path.rstrip("/").rpartition("/")[2])[0]


def _arrays(path: str) -> Iterator[tuple[str, zarr.Array[Any]]]:
    # Consolidated metadata may be older than the arrays, so the folders of a local log are searched instead.
    if os.path.isdir(path):
        for inner in _folders(path, ""):
            yield inner, _opened(os.path.join(path, inner))
        return
    opened = _opened(path)
    if isinstance(opened, zarr.Array):
        yield "", opened
        return
    members = sorted(opened.members(max_depth=None), key=lambda each: each[0])
    yield from ((inner, array) for inner, array in members if isinstance(array, zarr.Array))


def _folders(root: str, inner: str) -> Iterator[str]:
    folder = os.path.join(root, inner)
    if os.path.exists(f"{folder}/.zarray") or _is_array(f"{folder}/zarr.json"):
        yield inner
    else:
        for name in sorted(os.listdir(folder)):
            if os.path.isdir(f"{folder}/{name}"):
                yield from _folders(root, f"{inner}/{name}".lstrip("/"))


def _is_array(file: str) -> bool:
    try:
        with open(file, "rb") as stream:
            return bool(json.load(stream)["node_type"] == "array")
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError) as error:
        raise LogError(f"{file} is no valid Zarr metadata ({error}): restore it.") from error


def _opened(path: str) -> Any:
    try:
        return zarr.open(store_at(path), mode="r")
    except FileNotFoundError as error:
        raise LogError(f"{path} does not exist, or holds no Zarr array or group.") from error
    except UNREADABLE as error:
        raise LogError(f"{path} has Zarr metadata that zarr cannot read ({error}).") from error
