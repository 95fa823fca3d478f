"""Covariance matrix whose every entry has the rows that hold both of its columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from dask.base import is_dask_collection

from covdist.errors import DataError
from covdist.numerics.divisors import pair_divisor
from covdist.numerics.psd import nearest, smallest_of
from covdist.results.moments import Moments


def read_pairwise(moments: Moments, ddof: float, min_periods: int, nearest_psd: bool) -> xr.DataArray:
    """Read the covariance matrix off a state of pairs."""
    layout = moments.layout
    square = layout.kind == "pairwise"
    if nearest_psd and not square:
        raise DataError("nearest_psd is for a matrix of columns with themselves, found x with y: leave it out")
    attrs = {"ddof": ddof, "min_periods": min_periods, "nearest_psd": nearest_psd}
    found = moments.read(
        nearest_covariance if nearest_psd else covariance, layout.matrix_axes(), ddof, min_periods,
        name="cov", attrs=attrs,
    )  # fmt: skip
    if square and layout.groups is None and not is_dask_collection(moments):
        found.attrs["smallest_eigenvalue"] = smallest_of(found.to_numpy().reshape(layout.axes[0].size, -1))
    return found


def covariance(state: Any, ddof: float, min_periods: int) -> np.ndarray:
    exponent = state.columns.exponent
    exponent_y = state.columns_y.exponent if hasattr(state, "columns_y") else exponent
    matrix = state.pairs.scatter / pair_divisor(state, ddof, min_periods)
    if exponent.any() or exponent_y.any():
        matrix = np.ldexp(np.ldexp(matrix, exponent[:, None]), exponent_y)
    return matrix


def nearest_covariance(state: Any, ddof: float, min_periods: int) -> np.ndarray:
    return nearest(covariance(state, ddof, min_periods))
