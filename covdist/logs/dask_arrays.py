"""A ``Source`` as a dask array."""

from __future__ import annotations

import dask.array as da
import numpy as np

from covdist.logs.source import Source


def to_dask(source: Source) -> da.Array:
    """Wrap a source as a lazy dask array with one block per chunk of the log."""
    return da.from_array(
        source, chunks=source.chunks, name=f"log-{source.token}", lock=False, asarray=True, fancy=False,
        inline_array=False, meta=np.empty((0,) * len(source.shape), source.dtype),
    )  # fmt: skip
