"""The ``Source`` behind a dask array."""

from __future__ import annotations

import dask.array as da
from dask.array.core import normalize_chunks

from covdist.engine.dask_private import wrapped_by
from covdist.logs.source import Source
from covdist.logs.zarr_opened import opened_elsewhere


def from_dask(array: da.Array) -> Source | None:
    """Return the source behind an array that nobody has sliced or changed since it was wrapped."""
    found = wrapped_by(array)
    source = found if isinstance(found, Source) else opened_elsewhere(found)
    return source if source is not None and _chunks(source) == array.chunks else None


def _chunks(source: Source) -> tuple[tuple[int, ...], ...]:
    return normalize_chunks(source.chunks, source.shape)
