"""Smallest eigenvalue of a covariance; below zero where pairs that have rows of their own contradict each other."""

from __future__ import annotations

import xarray as xr

from covdist.folding.inputs import check_min_periods
from covdist.results.labels import PRODUCTS
from covdist.results.moments import Moments


def read(moments: Moments, ddof: float = 0, min_periods: int = 1) -> xr.DataArray:
    check_min_periods(min_periods)
    attrs = {"long_name": "smallest eigenvalue", "units": PRODUCTS}
    return moments.read("smallest_eigenvalue", (), ddof, min_periods, name="smallest_eigenvalue", attrs=attrs)
