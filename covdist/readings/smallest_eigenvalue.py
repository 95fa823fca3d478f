"""Smallest eigenvalue of a covariance: below zero where pairs that were left out one by one contradict each other."""

from __future__ import annotations

from typing import Any

import xarray as xr

from covdist.numerics.psd import smallest_of
from covdist.readings.cov import covariance
from covdist.readings.cov_pairwise import covariance as pairwise_covariance
from covdist.results.moments import Moments


def read(moments: Moments, ddof: float = 0, min_periods: int = 1) -> xr.DataArray:
    """Read the smallest eigenvalue of the covariance matrix, NaN where an entry is NaN."""
    return moments.read(smallest, (), ddof, min_periods, name="smallest_eigenvalue", kinds=("full", "pairwise"))


def smallest(state: Any, ddof: float, min_periods: int) -> float:
    if hasattr(state, "pairs"):
        return smallest_of(pairwise_covariance(state, ddof, min_periods))
    return smallest_of(covariance(state, slice(0, state.columns.width), ddof))
