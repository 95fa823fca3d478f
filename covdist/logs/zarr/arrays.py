"""A Zarr array that zarr itself decodes: sharded, transposed, big-endian, compressed otherwise, or remote."""

from __future__ import annotations

import functools
import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from zarr.core.sync import sync
from zarr.storage import ZipStore

from covdist.logs.chunk_bytes import BROKEN
from covdist.logs.grid import GridSource, Index
from covdist.logs.zarr.files import broken, missing_chunk


@dataclass(frozen=True, eq=False)
class ZarrSource(GridSource):
    """Reads through ``zarr``; a chunk that is missing inside a shard reads as the fill value."""

    place: str  # path or URL of the store
    inner: str  # the array's path in it
    missing: str  # "raise" or "fill"

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        array = opened(self.place, self.inner, self.token)
        grid = array.shards or array.chunks
        outer = tuple(i * c // g for i, c, g in zip(index, self.chunks, grid, strict=True))
        key = array.metadata.encode_chunk_key(outer)
        try:
            data = np.asarray(array[self.cut(index)])
        except (*BROKEN, TypeError, KeyError) as error:
            raise broken(self.name, key, error) from error
        # Only chunks that look like fill are worth a request to a store that may be far away.
        if self.missing == "raise" and _is_fill(data, array.fill_value) and not sync((array.store_path / key).exists()):
            raise missing_chunk(self.name, key)
        return data


@functools.lru_cache(maxsize=64)
def opened(place: str, inner: str, token: str) -> zarr.Array[Any]:
    """Open an array once per process; if it is written anew at the same place, its token differs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr warns of types and codecs that version 3 does not specify yet
        return zarr.open_array(store_at(place), path=inner, mode="r")


def store_at(place: str) -> str | ZipStore:
    """Return the store at a path or URL; of a zip file zarr has to be told."""
    return ZipStore(place, mode="r") if place.endswith(".zip") and os.path.isfile(place) else place


def _is_fill(data: np.ndarray, fill_value: object) -> bool:
    fill = np.zeros((), data.dtype) if fill_value is None else np.asarray(fill_value)
    if data.dtype.kind in "fc" and np.isnan(fill):
        return bool(np.isnan(data).all())
    return bool(np.all(data == fill))
