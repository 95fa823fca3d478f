"""A matrix read off a state, of lazy moments in chunks of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import xarray as xr
from dask.base import is_dask_collection

from covdist.results.labels import Axis, labelled
from covdist.results.moments import Moments

_KINDS = ("full", "cross")
# In one chunk dask copies the result while it still holds the state: 4,096 columns take 64 + 134 + 134 MB then, and in
# four the state is gone before they are put together.
_CHUNK_BYTES = 1 << 25


def read_matrix(
    moments: Moments, function: Callable[..., Any], *arguments: Any, name: str, attrs: dict[str, Any]
) -> xr.DataArray:
    """Label the matrix of which ``function(state, rows, *arguments)`` returns a slice of rows."""
    first, second = moments.layout.matrix_axes()
    height = max(1, _CHUNK_BYTES // (8 * max(1, second.size)))
    if first.size <= height or not is_dask_collection(moments):
        rows = slice(0, first.size)
        return moments.read(function, (first, second), rows, *arguments, name=name, kinds=_KINDS, attrs=attrs)
    chunks = []
    for start in range(0, first.size, height):
        rows = slice(start, min(start + height, first.size))
        axes = Axis(first.dim, rows.stop - start), second
        chunks.append(moments.read(function, axes, rows, *arguments, kinds=_KINDS).data)
    return labelled(da.concatenate(chunks, axis=-2), [first, second], moments.layout.groups, name, attrs)
