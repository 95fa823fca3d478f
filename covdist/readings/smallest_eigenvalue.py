"""Smallest eigenvalue of a covariance; below zero where pairs that have rows of their own contradict each other."""

from __future__ import annotations

import xarray as xr

from covdist.results.labels import PRODUCTS
from covdist.results.moments import Moments


def read(moments: Moments, ddof: float = 0, min_periods: int = 1) -> xr.DataArray:
    attrs = {"long_name": "smallest eigenvalue", "units": PRODUCTS}
    return moments.read("smallest_eigenvalue", (), ddof, min_periods, name="smallest_eigenvalue", attrs=attrs)
