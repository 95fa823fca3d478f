"""Standard deviation of each column, right also where the variance underflows."""

from __future__ import annotations

import xarray as xr

from covdist.results.moments import Moments
from covdist.state.base import ask


def read(moments: Moments, ddof: float = 0) -> xr.DataArray:
    return moments.read_columns(ask, "deviation", ddof, name="std", attrs={"ddof": ddof})
