"""A Zarr array that zarr or xarray opened, as a ``Source``."""

from __future__ import annotations

import os
import time
from typing import Any

import zarr
from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore

from covdist.errors import LogError
from covdist.logs.source import Source
from covdist.logs.zarr.files import ZarrFileSource
from covdist.logs.zarr.metadata import array_metadata
from covdist.logs.zarr.reading import Opening, source_of

# xarray's, around an array that is neither indexed nor decoded; others, such as those that scale, change values.
_WRAPPERS = ("ImplicitToExplicitIndexingAdapter", "CopyOnWriteArray", "LazilyIndexedArray", "ZarrArrayWrapper")


def source_of_opened(value: Any) -> Source | None:
    """Return a source for an object in the graph of ``da.from_zarr`` or ``xarray.open_zarr``.

    None if it is something else, or not in a local folder in a form that can be read without zarr. A missing chunk
    reads as the fill value, as it does with zarr and xarray.
    """
    array = _unwrapped(value)
    if array is None or (root := _folder(array.store)) is None:
        return None
    folder = os.path.join(root, array.path)
    try:
        metadata = array_metadata(array.metadata.to_dict(), folder, array.metadata)
        at = Opening(folder, os.path.isdir(folder), "fill", time.time_ns(), follow_links=True)
        source = source_of(at, array.path or folder, metadata)
    except LogError:
        return None
    if not isinstance(source, ZarrFileSource) or source.dtype != value.dtype:
        return None
    source.opened.check_metadata(source.name, source.shape, source.opened.stamp)
    return source


def _folder(store: Store) -> str | None:
    if isinstance(store, LocalStore):
        return str(store.root)
    return store.path if isinstance(store, FsspecStore) and "file" in store.fs.protocol else None


def _unwrapped(value: Any) -> zarr.Array[Any] | None:
    while not isinstance(value, zarr.Array):
        if type(value).__name__ not in _WRAPPERS or _indexed(value):
            return None
        value = value.array if hasattr(value, "array") else value.get_array()
    return value


def _indexed(value: Any) -> bool:
    return hasattr(value, "key") and any(part != slice(None) for part in value.key.tuple)
