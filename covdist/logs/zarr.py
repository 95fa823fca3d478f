"""Zarr, versions 2 and 3: an array, a group or a tree of groups, in a folder, a zip file or behind a URL."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import zarr

from covdist.errors import LogError
from covdist.logs.source import Source
from covdist.logs.tree import Entry, Nodes
from covdist.logs.zarr_arrays import ZarrSource
from covdist.logs.zarr_files import ZarrFileSource, direct_codecs

READS = "Zarr (version 2 or 3)"
RANK = 0
MARKERS = ("zarr.json", ".zarray", ".zgroup")
UNREADABLE = (OSError, ValueError, TypeError, KeyError, RuntimeError)  # what zarr raises for bad metadata
DIMENSIONS = "_ARRAY_DIMENSIONS"  # where xarray keeps names in version 2


def recognises(path: str) -> bool:
    """Tell whether the path is a URL, a zip file, or a folder with Zarr metadata in it."""
    return "://" in path or path.endswith(".zip") or any(os.path.exists(f"{path}/{each}") for each in MARKERS)


def read(path: str, missing_chunks: str) -> Nodes:
    """Read the metadata of all arrays below the path; chunks are neither read nor listed."""
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
        # Epochs and steps begin with zeros, which zarr's writers leave out by default.
        filled = source_of(path, inner, name, array, "fill") if array.ndim == 1 else None
        nodes.setdefault(node, {})[variable] = Entry(source, named and tuple(named), attrs, filled)
    return nodes


def _stem(path: str) -> str:
    return os.path.splitext(path.rstrip("/").rpartition("/")[2])[0]


def _arrays(path: str) -> Iterator[tuple[str, zarr.Array[Any]]]:
    # Consolidated metadata may be older than the arrays: a local log is walked instead.
    if os.path.isdir(path):
        for inner in _folders(path, ""):
            yield inner, _opened(os.path.join(path, inner))
        return
    found = _opened(path)
    if isinstance(found, zarr.Array):
        yield "", found
        return
    members = sorted(found.members(max_depth=None), key=lambda each: each[0])
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
        return zarr.open(path, mode="r")
    except FileNotFoundError as error:
        raise LogError(f"{path} does not exist, or holds no Zarr array or group.") from error
    except UNREADABLE as error:
        raise LogError(f"{path} has Zarr metadata that zarr cannot read ({error}).") from error


def source_of(path: str, inner: str, name: str, array: zarr.Array[Any], missing: str) -> Source:
    """Return what reads the array ``inner`` of the store ``path``, called ``name`` in messages."""
    metadata: dict[str, Any] = array.metadata.to_dict()
    chunks = tuple(max(1, size) for size in array.chunks)
    folder = os.path.join(path, inner) if os.path.isdir(path) else None
    token = _token(path, inner, folder, metadata, missing)
    codecs = direct_codecs(metadata, array.dtype) if folder else None
    if folder is None or codecs is None:
        return ZarrSource(path, inner, name, array.shape, array.dtype, chunks, token, missing)
    lead, separator = _keys(metadata)
    fill = 0 if array.fill_value is None else array.fill_value
    return ZarrFileSource(folder, name, array.shape, array.dtype, chunks, token, lead, separator, codecs, fill, missing)


def _keys(metadata: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    if metadata["zarr_format"] == 2:
        return (), metadata["dimension_separator"]
    encoding = metadata["chunk_key_encoding"]
    return ("c",) if encoding["name"] == "default" else (), encoding["configuration"]["separator"]


def _token(path: str, inner: str, folder: str | None, metadata: Mapping[str, Any], missing: str) -> str:
    stamps = []
    if folder:
        found = next(f"{folder}/{each}" for each in MARKERS if os.path.exists(f"{folder}/{each}"))
        stamps = [os.path.abspath(folder), os.stat(found).st_mtime_ns, os.stat(found).st_size]
    described = json.dumps(metadata, sort_keys=True, default=str)
    text = repr((path if not folder else "", inner, stamps, described, missing))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
