"""Reads metadata, and chooses how each array is read: from its chunk files if possible, else through zarr."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import zarr

from covdist.errors import LogError
from covdist.logs.source import Entry, Nodes, Source
from covdist.logs.zarr.arrays import ZarrSource, store_at
from covdist.logs.zarr.files import MARKERS, ZarrFileSource, direct_codecs

UNREADABLE = (OSError, ValueError, TypeError, KeyError, RuntimeError)  # what zarr raises for bad metadata
DIMENSIONS = "_ARRAY_DIMENSIONS"  # where xarray keeps names in version 2


def read_nodes(path: str, missing_chunks: str) -> Nodes:
    """Read the metadata of all arrays below a path without reading or listing chunks."""
    nodes: Nodes = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr warns of types and codecs that version 3 does not specify yet
        for inner, array in _arrays(path):
            name = inner or os.path.splitext(os.path.basename(path.rstrip("/")))[0]
            node, _, variable = name.rpartition("/")
            attrs: dict[str, Any] = dict(array.attrs)
            named = attrs.pop(DIMENSIONS, None) or getattr(array.metadata, "dimension_names", None)
            source = source_of(path, inner, name, array, missing_chunks)
            # Epochs and steps often begin with chunks of zeros, which zarr does not write by default.
            filled = source_of(path, inner, name, array, "fill") if array.ndim == 1 else None
            nodes.setdefault(node, {})[variable] = Entry(source, named and tuple(named), attrs, filled)
    return nodes


def _arrays(path: str) -> Iterator[tuple[str, zarr.Array[Any]]]:
    # Consolidated metadata may be older than the arrays, so the folders of a local log are searched instead.
    if os.path.isdir(path):
        for inner in _folders(path, ""):
            yield inner, _opened(os.path.join(path, inner))
        return
    root = _opened(path)
    members = [("", root)] if isinstance(root, zarr.Array) else root.members(max_depth=None)
    arrays = [(inner, member) for inner, member in members if isinstance(member, zarr.Array)]
    yield from sorted(arrays, key=lambda each: each[0])


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


def source_of(path: str, inner: str, name: str, array: zarr.Array[Any], missing: str) -> Source:
    """Return a source for the array ``inner`` of the store ``path``, called ``name`` in messages."""
    metadata: dict[str, Any] = array.metadata.to_dict()
    chunks = tuple(max(1, size) for size in array.chunks)
    folder = os.path.join(path, inner) if os.path.isdir(path) else None
    token = _token(path, inner, folder, metadata, missing)
    codecs = direct_codecs(metadata, array.dtype) if folder else None
    if folder is None or codecs is None:
        return ZarrSource(name, array.shape, array.dtype, chunks, token, path, inner, missing)
    lead, separator = _keys(metadata)
    fill = 0 if array.fill_value is None else array.fill_value
    return ZarrFileSource(name, array.shape, array.dtype, chunks, token, folder, lead, separator, codecs, fill, missing)


def _keys(metadata: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    if metadata["zarr_format"] == 2:
        return (), metadata["dimension_separator"]
    encoding = metadata["chunk_key_encoding"]
    return ("c",) if encoding["name"] == "default" else (), encoding["configuration"]["separator"]


def _token(path: str, inner: str, folder: str | None, metadata: Mapping[str, Any], missing: str) -> str:
    stamps = []
    if os.path.exists(path):
        file = next(f"{folder}/{each}" for each in MARKERS if os.path.exists(f"{folder}/{each}")) if folder else path
        stamps = [os.path.abspath(folder or path), os.stat(file).st_mtime_ns, os.stat(file).st_size]
    described = json.dumps(metadata, sort_keys=True, default=str)
    text = repr((path if not stamps else "", inner, stamps, described, missing))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
