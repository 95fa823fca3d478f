"""Bins by multiples of a width."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from covdist.errors import DataError
from covdist.folding.binning.edges import text_of, unit_in_ns
from covdist.folding.inputs import length
from covdist.numerics.shifted_columns import beyond_float64


def of_width(multiples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the multiples that there are, and for each value the number of its own, -1 for none."""
    inside = ~np.isnan(multiples)
    codes = np.full(multiples.shape, -1)
    left, codes[inside] = np.unique(multiples[inside], return_inverse=True)
    return left, codes


def width_text(width: Any, dtype: np.dtype) -> str:
    """Return a width as text that is the same for the same bins."""
    if dtype.kind in "mM":
        return f"{_in_ns(width)} ns"
    return text_of(int(width) if isinstance(width, int | np.integer) else length("width", width, 1.0))


def _in_ns(width: Any) -> int:
    found = pd.Timedelta(width).to_timedelta64()
    return int(found.astype(np.int64)) * unit_in_ns(found.dtype)


def multiples(width: Any, values: np.ndarray, name: str) -> np.ndarray:
    """Return for each value the multiple of the width at or below it."""
    if values.dtype.kind in "mM":
        return _of_times(width, values, name)
    steps = length("width", width, 1.0)
    if values.dtype.kind in "iu":
        whole = int(width) if isinstance(width, int | np.integer) else int(steps) if steps.is_integer() else 0
        plain, large = isinstance(width, int | np.integer), beyond_float64(values)
        if whole and (plain or large) and whole <= np.iinfo(values.dtype).max:
            found = values // whole * whole
            if not (found > values).any():  # below the least integer
                return np.asarray(found)
        if large:
            return _exact(Fraction(whole or steps), values, name)
    with np.errstate(over="ignore", invalid="ignore"):
        multiple = np.floor(values / steps)
        multiple -= multiple * steps > values  # where dividing rounds across an edge
        multiple += (multiple + 1) * steps <= values
    if np.isinf(multiple).any():
        raise DataError(f"{name!r} cannot be bins of width={width!r}: it has values that are infinite or too large")
    return multiple * steps + 0.0


def _of_times(width: Any, values: np.ndarray, name: str) -> np.ndarray:
    unit = np.ones(1, values.dtype.str.replace("M", "m"))[0]
    length("width", width, unit)
    steps = Fraction(_in_ns(width), unit_in_ns(unit.dtype))
    if steps.denominator > 1:
        raise DataError(f"width={width!r} is finer than the times of {name!r}, in steps of {unit}: pass a wider one")
    whole, known = values.view(np.int64), ~np.isnat(values)
    found = np.where(known, whole // int(steps) * int(steps), whole)
    if (found > whole).any():
        raise DataError(f"{name!r} cannot be bins of width={width!r}: its first ones begin before the first {unit}")
    return found.view(values.dtype)


def _exact(width: Fraction, values: np.ndarray, name: str) -> np.ndarray:
    """Return multiples as floats, of integers that floats do not all tell apart."""
    distinct, places = np.unique(values, return_inverse=True)
    found = [math.floor(each / width) * width for each in distinct.tolist()]
    if any(float(each) != each for each in found if each >= np.iinfo(values.dtype).min):
        why = "the first one begins below the least integer" if width.denominator == 1 else "the width is not whole"
        raise DataError(
            f"{name!r} cannot be bins of width={text_of(float(width))}, as {why} and float64 rounds labels beyond "
            "2**53: pass their edges"
        )
    return np.array([float(each) for each in found])[places].reshape(values.shape)
