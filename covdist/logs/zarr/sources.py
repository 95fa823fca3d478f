"""Chooses how a Zarr array is read: straight from its chunk files if possible, else through zarr."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import zarr

from covdist.logs.source import Source
from covdist.logs.zarr.arrays import ZarrSource
from covdist.logs.zarr.files import MARKERS, ZarrFileSource, direct_codecs


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
