"""What formats ask of moments, with the refusals that they share."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.results.looks.counts import totals
from covdist.results.moments import Moments

INPUTS = "input", "activation"  # what the inputs of a layer are called in a log


def plain(found: xr.DataArray, axes: int) -> np.ndarray:
    """Return a computed array with as many axes, without names; of a single variable they have the length 1."""
    values = np.ascontiguousarray(found.to_numpy())
    return values.reshape(values.shape + (1,) * (axes - values.ndim))


def check_alone(m: Moments, format: str) -> None:
    """Raise DataError where moments are of x with y, whose covariance is not that of x."""
    if len(m.layout.axes) > 1:
        raise DataError(
            f"this is a {m.layout.describe()}, where a {format} file holds the matrix of one array with itself: pass "
            "covdist.moments(x, dim=...)"
        )


def count(m: Moments, format: str) -> int:
    """Return the number of rows, or the sum of their weights; DataError where it is not a whole number above 0."""
    total = float(totals(m))
    if total < 1 or total != math.floor(total) or total >= 2**63:
        raise DataError(
            f"the weights of the rows add up to {total:g}, where a {format} file counts whole rows: fold them without "
            "weights, or with whole numbers as weights"
        )
    return int(total)


def mean(m: Moments) -> np.ndarray:
    """Return the means of the columns of x, float64 (columns,)."""
    return plain(m.mean(), 1)


def finite(values: np.ndarray, what: str, format: str) -> np.ndarray:
    """Return values; DataError where one is NaN or infinite."""
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        place = ", ".join(map(str, bad[0]))
        raise DataError(
            f"the {what} is {values[tuple(bad[0])]} at ({place}), where a {format} file holds numbers: leave out what "
            "is not finite when the rows are folded, such as by missing='drop', and scale what overflows"
        )
    return values


def float32(values: np.ndarray, what: str, format: str) -> np.ndarray:
    """Return values as float32; DataError where one of a vector, or of a matrix's diagonal, is beyond its range."""
    finite(values, what, format)
    with np.errstate(over="ignore", under="ignore"):
        found = values.astype(np.float32)
    checked = np.diagonal(values) if values.ndim == 2 and values.shape[0] == values.shape[1] else values
    kept = np.diagonal(found) if checked is not values else found
    lost = np.argwhere(~np.isfinite(kept) | ((kept == 0) & (checked != 0)))
    if len(lost) or not np.isfinite(found).all():
        worst = checked[tuple(lost[0])] if len(lost) else values[~np.isfinite(found)][0]
        raise DataError(
            f"the {what} holds {worst:g}, which float32 does not, the type that a {format} file has: scale the data "
            "before they are folded"
        )
    return found


def module_of(node: str) -> tuple[str, str]:
    """Return the name of a layer as frameworks have it, with dots, and that of the variable behind it."""
    layer, _, variable = node.rpartition("/")
    return layer.replace("/", "."), variable
