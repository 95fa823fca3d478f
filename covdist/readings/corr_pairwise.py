"""Correlation matrix whose every entry has the rows that hold both of its columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from covdist.results.moments import Moments


def read_pairwise(moments: Moments, method: str, min_periods: int) -> xr.DataArray:
    """Read the correlation matrix off a state of pairs."""
    attrs = {"method": method, "min_periods": min_periods}
    return moments.read(correlation, moments.layout.matrix_axes(), min_periods, name="corr", attrs=attrs)


def correlation(state: Any, min_periods: int) -> np.ndarray:
    """Return the pairs' scatter over the roots of both columns' squares in the pair's rows: within [-1, 1]."""
    half_y = state.half_y if hasattr(state, "half_y") else state.half.turned
    roots, roots_y = np.sqrt(state.half.squares), np.sqrt(half_y.squares)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Mantissas and exponents by themselves, so that no product of two roots leaves float64's range.
        fractions, powers = np.frexp(roots)
        fractions_y, powers_y = np.frexp(roots_y)
        matrix = np.ldexp(np.ldexp(state.pairs.scatter, -powers), -powers_y) / (fractions * fractions_y)
    np.clip(matrix, -1.0, 1.0, out=matrix)
    matrix[(roots == 0) | (roots_y == 0) | (state.pairs.rows < min_periods)] = np.nan
    if not hasattr(state, "half_y"):
        np.fill_diagonal(matrix, np.where(np.isnan(np.diagonal(matrix)), np.nan, 1.0))
    return matrix
