"""Layers of the same samples, brought side by side as the columns of one array."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from covdist.folding.inputs import check_labels, matching
from covdist.results.labels import Array, ArrayLike, Dims, Labelled, label

LAYER = "layer"


def side_by_side(layers: Mapping[str, ArrayLike], dim: Dims) -> xr.DataArray:
    """Return the columns of all layers as those of one array, with a coordinate that says whose each is.

    Feature dims are stacked. Without ``dim`` the first of each layer counts the samples; one that a log has given
    another name since its length differs is taken for it.
    """
    sides = [_side(name, array, dim) for name, array in layers.items()]
    for side in sides[1:]:
        matching(sides[0], side)
    check_labels({side.name: side.labels for side in sides})
    names = np.repeat([side.name for side in sides], [side.axis.size for side in sides])
    dims, taken = sides[0].sample_dims, {*sides[0].sample_dims, *sides[0].coords}
    unit = "unit" if "unit" not in taken else "unit_"
    return xr.DataArray(
        _joined([_flat(side) for side in sides]),
        dims=(*dims, unit),
        coords={**sides[0].coords, LAYER: (unit, names)},
        name=", ".join(layers),
    )


def _side(name: str, array: ArrayLike, dim: Dims) -> Labelled:
    given: Any = array
    if isinstance(given, xr.DataArray):
        given = given.rename(name)
        if dim is None:
            dim = next(iter(given.dims), None)
        elif isinstance(dim, str) and given.dims and dim not in given.dims:
            given = given.rename({given.dims[0]: dim})
    return label(given, dim, fallback=name)


def _flat(side: Labelled) -> Array:
    return side.data.reshape((*side.sample_shape, math.prod(side.data.shape[len(side.sample_dims) :])))


def _joined(arrays: Sequence[Array]) -> Array:
    if not any(isinstance(array, da.Array) for array in arrays):
        return np.concatenate(arrays, axis=-1)
    return da.concatenate(list(map(da.asarray, arrays)), axis=-1)
