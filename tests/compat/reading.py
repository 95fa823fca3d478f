"""What a state says, as JSON that keeps every bit; and what it says compared with that."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

import covdist

_MOST = 33
READINGS = ("count", "rows", "mean", "var", "std", "cov", "corr")


def reading(moments: covdist.Moments, name: str) -> xr.DataArray:
    with np.errstate(over="ignore"):  # a variance may be beyond what float64 holds
        found = getattr(moments, name)
        return found if isinstance(found, xr.DataArray) else found()


def possible(moments: covdist.Moments) -> dict[str, xr.DataArray]:
    """Every reading that this kind of state has."""
    found = {}
    for name in READINGS:
        try:
            found[name] = reading(moments, name)
        except covdist.CovdistError:
            continue
    return found


def described(moments: covdist.Moments) -> dict[str, Any]:
    """Names, attributes and readings; the state's own arrays are on disk."""
    dataset = moments.dataset
    return {
        "attrs": dict(dataset.attrs),
        "variables": {str(name): [list(one.dims), kind(one)] for name, one in dataset.data_vars.items()},
        "coords": {str(name): [list(one.dims), kind(one), listed(one)] for name, one in dataset.coords.items()},
        "readings": {name: entry(one) for name, one in possible(moments).items()},
    }


def entry(array: xr.DataArray) -> dict[str, Any]:
    return {"dims": list(array.dims), "coords": sorted(map(str, array.coords)), "values": listed(corner(array))}


def corner(array: xr.DataArray) -> xr.DataArray:
    """Return the first columns, which say enough where there are many."""
    return array.isel(dict.fromkeys(array.dims, slice(_MOST)))


def kind(array: xr.DataArray) -> str:
    """The dtype; of text no more than that it is."""
    dtype = array.to_numpy().dtype
    return "text" if dtype.kind in "OSTU" else str(dtype)


def listed(array: xr.DataArray) -> Any:
    found = array.to_numpy()
    return (found.astype("U") if found.dtype.kind in "mMOST" else found).tolist()


def same(found: Any, expected: Any, relative: float = 0.0, absolute: Any = 0.0) -> None:
    """Assert that numbers are the same, NaN where NaN is."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    assert found.shape == expected.shape
    close = np.isclose(found, expected, relative, absolute, equal_nan=True)
    assert close.all(), f"{found[~close]} where {expected[~close]} was"
