"""What a state tells without arguments, as one dataset."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from covdist.results.moments import Moments

_TOLD = {"cov": "covariance", "skewness": "skewness", "kurtosis": "kurtosis"}  # readings, and what they ask of a state


def summary(m: Moments) -> xr.Dataset:
    """Return count, mean and variance, of y too, and the covariance and what else the state tells, divisor N.

    Levels of an index are coordinates of their own, which files hold.
    """
    arrays = {"count": m.count, "mean": m.mean(), "var": m.var()}
    if len(m.layout.axes) == 2:
        arrays |= {"mean_y": _of_y(m, m.y.mean()), "var_y": _of_y(m, m.y.var())}
    told = [name for name, answer in _TOLD.items() if m.can_answer(answer) or (name == "cov" and m.matrix is not None)]
    arrays |= {name: getattr(m, name)() for name in told}
    found = xr.Dataset(arrays)
    several = [dim for dim, index in found.indexes.items() if isinstance(index, pd.MultiIndex) and dim in found.dims]
    return found.reset_index(several).assign_attrs({key: str(value) for key, value in m.layout.attributes().items()})


def _of_y(m: Moments, found: xr.DataArray) -> xr.DataArray:
    """Return what is read of the columns of y under the names that these have in the covariance."""
    own, (_, second) = m.layout.axes[1], m.layout.matrix_axes()
    names = dict(zip((own.dim, *own.coords), (second.dim, *second.coords), strict=True))
    return found.rename({name: new for name, new in names.items() if name != new})
