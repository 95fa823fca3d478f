"""Bins by their edges, or by their number, and the text that tells them from others."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from covdist.errors import DataError
from covdist.numerics.shifted_columns import beyond_float64

_LISTED = 8  # edges that are all written down
_64_BITS = 2.0**64
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}  # of times, in nanoseconds


def unrounded(given: Sequence[Any], floats: np.ndarray) -> np.ndarray:
    """Return what numpy made of a list, or its integers where that rounds them; DataError where not all are."""
    whole = [int(each) for each in given if isinstance(each, int | np.integer)]
    rounded = [each for each in whole if float(each) != each]
    if not rounded:
        return floats
    if len(whole) == len(given) and min(whole) >= 0:
        return np.array(whole, np.uint64)
    raise DataError(
        f"among the edges of bins float64 rounds the integer {rounded[0]}: pass integers alone, of int64 or of uint64"
    )


def edges_of(bins: Any, values: np.ndarray, name: str) -> np.ndarray:
    """Return the edges that were given, or those of so many bins of the values."""
    if not isinstance(bins, int):
        return _given_edges(bins, values, name)
    known = values[~np.isnan(values)]
    if not known.size:
        raise DataError(f"no row lies in a bin of {name!r}: its coordinate holds no value")
    if known.dtype.kind in "mM":
        return _dates(known, bins)
    if beyond_float64(known):
        return _whole(known, bins)
    try:
        return np.histogram_bin_edges(known, bins)
    except ValueError as error:
        raise DataError(f"{name!r} cannot be {bins:,} bins ({str(error).rstrip('.')}): pass their edges") from None


def _dates(values: np.ndarray, number: int) -> np.ndarray:
    first, span = values.min(), int((values.max() - values.min()).astype(np.int64))
    steps = np.rint(np.linspace(0, max(span, number), number + 1)).astype(np.int64)
    return first + steps.astype(values.dtype.str.replace("M", "m"))


def _whole(values: np.ndarray, number: int) -> np.ndarray:
    """Return the least integers in bins of equal width, and the largest one."""
    span = max(int(values.max()) - int(values.min()), number)
    low = min(int(values.min()), int(np.iinfo(values.dtype).max) - span)
    return np.array([low - (-span * each) // number for each in range(number + 1)], values.dtype)


def _given_edges(edges: np.ndarray, values: np.ndarray, name: str) -> np.ndarray:
    kind = values.dtype.kind
    try:
        if kind in "mM" and edges.dtype.kind not in "biuf":
            known = pd.to_datetime(edges, format="ISO8601") if kind == "M" else pd.to_timedelta(edges)
            edges = known.to_numpy()
    except (ValueError, TypeError):
        edges = np.empty(0)
    alike = edges.dtype.kind == kind if kind in "mM" else edges.dtype.kind in "iuf"
    if not alike or len(edges) < 2 or not (edges[1:] > edges[:-1]).all():
        expected = {"M": "dates", "m": "times"}.get(kind, "numbers")
        raise DataError(
            f"the edges of {name!r} do not make bins: pass two or more {expected}, each greater than the last"
        )
    return edges


def between(edges: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the left edges, and for each value the bin that it lies in, -1 for none."""
    if edges.dtype == values.dtype or edges.dtype.kind == values.dtype.kind == "f":
        first, ticks, last = edges, values, values == edges[-1]
    else:
        ticks = values.view(np.int64) if values.dtype.kind in "mM" else values
        exact = _in_ticks(edges, values.dtype)
        first = _least(exact, ticks.dtype)
        closed = len(first) == len(edges) and exact[-1] == first[-1].item()
        last = (ticks == first[-1]) if closed else np.zeros(values.shape, bool)
    codes = np.searchsorted(first, ticks, side="right") - 1  # NaN and NaT come last
    codes[codes == len(edges) - 1] = -1
    codes[last] = len(edges) - 2
    codes[np.isnan(values)] = -1
    return edges[:-1], codes


def _in_ticks(edges: np.ndarray, dtype: np.dtype) -> Sequence[Any]:
    """Return edges as exact numbers; times in units of the dtype, whatever it can hold."""
    if dtype.kind not in "mM":
        return list(edges.tolist())
    return [Fraction(each * unit_in_ns(edges.dtype), unit_in_ns(dtype)) for each in edges.view(np.int64).tolist()]


def unit_in_ns(dtype: np.dtype) -> int:
    """Return how many nanoseconds a unit of times as pandas has them is."""
    unit, steps = np.datetime_data(dtype)
    return _UNITS[unit] * steps


def _least(exact: Sequence[Any], dtype: np.dtype) -> np.ndarray:
    """Return the least number of a dtype at or above each edge, of integers up to the largest that there is."""
    if dtype.kind == "f":
        near = [(each, float(each)) for each in exact]
        return np.array([found if found >= each else math.nextafter(found, math.inf) for each, found in near])
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    least = [low if each < low else math.ceil(each) for each in exact if each <= high]
    return np.array([each for each in least if each <= high], dtype)


# ---- in words


def listed(edges: np.ndarray) -> str:
    """Return edges as text that is the same for the same bins, whatever the dtype; many have a checksum."""
    if edges.dtype.kind in "mM":
        whole = _finest(edges)
        texts, sums = [str(each) for each in whole], whole.tobytes()
    else:
        exact = edges.tolist()
        texts = list(map(text_of, exact))
        floats = all(float(each) == each for each in exact)
        sums = edges.astype(np.float64).tobytes() if floats else ", ".join(texts).encode()
    if len(texts) > _LISTED:
        texts[1:-1] = [f"({len(texts) - 2} with checksum {zlib.crc32(sums):08x})"]
    return ", ".join(texts)


def text_of(number: float) -> str:
    """Return a number as text; a whole one of 64 bits has all its digits, whether it is an integer or a float."""
    return str(int(number)) if abs(number) <= _64_BITS and int(number) == number else f"{number:.17g}"


def _finest(edges: np.ndarray) -> np.ndarray:
    """Return times in the finest unit that holds them all; NumPy 2.5 refuses to cast what a unit does not hold."""
    largest = max(map(abs, edges.view(np.int64).tolist())) * unit_in_ns(edges.dtype)
    return edges.astype(f"{edges.dtype.kind}8[{next(unit for unit, ns in _UNITS.items() if largest < ns << 63)}]")
