"""Standard deviation of each column, right also where the variance underflows."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from covdist.numerics.divisors import column_divisor
from covdist.results.moments import Moments


def read(moments: Moments, ddof: float = 0) -> xr.DataArray:
    """Read the standard deviations off a state."""
    return moments.read(deviation, moments.layout.axes[:1], ddof, name="std", attrs={"ddof": ddof})


def deviation(state: Any, ddof: float) -> np.ndarray:
    columns = state.columns
    return np.ldexp(np.sqrt(columns.squares / column_divisor(state, ddof)), columns.exponent)
