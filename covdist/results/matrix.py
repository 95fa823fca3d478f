"""A matrix read off a state; while that is lazy, in chunks of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr

from covdist.limits import limits
from covdist.results.deferred import Deferred
from covdist.results.labels import Attrs, Axis, labelled


class TiledMatrix(Protocol):
    """A matrix too large for a state, beside the moments of its columns."""

    def cov(self, columns: Deferred, ddof: float) -> da.Array:
        """Return the covariance as a lazy array of tiles."""

    def written(self, columns: Deferred, axes: tuple[Axis, Axis], group: zarr.Group) -> Deferred:
        """Return the columns' moments; the tiles are written to ``group`` as they are computed."""


def read_matrix(
    deferred: Deferred,
    axes: tuple[Axis, Axis],
    function: Callable[..., object],
    *arguments: object,
    name: str,
    dtype: npt.DTypeLike = np.float64,
    attrs: Attrs = None,
) -> xr.DataArray:
    """Label the matrix of which ``function(state, rows, *arguments)`` returns a slice of rows."""
    first, second = axes
    height = max(1, limits().matrix_chunk_bytes // (8 * max(1, second.size)))
    if first.size <= height or not deferred.lazy:
        return deferred.read(function, axes, slice(0, first.size), *arguments, name=name, dtype=dtype, attrs=attrs)
    chunks = []
    for start in range(0, first.size, height):
        rows = slice(start, min(start + height, first.size))
        some = Axis(first.dim, rows.stop - start), second
        chunks.append(deferred.read(function, some, rows, *arguments, dtype=dtype).data)
    return labelled(da.concatenate(chunks, axis=-2), [first, second], deferred.groups, name, attrs)
