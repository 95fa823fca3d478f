"""How many rows stand behind a column or a pair of columns, and what their sums are divided by."""

from __future__ import annotations

from typing import Any

import numpy as np

from covdist.errors import DataError
from covdist.numerics.columns import divisor

PAIRWISE = {"full": "pairwise", "cross": "pairwise cross", "variances": "pairwise variances"}


def rows_held(state: Any) -> np.ndarray:
    """Return how many rows hold each column of x, int64 (columns,)."""
    if hasattr(state, "seen"):
        return state.seen.rows
    return np.full(state.columns.width, state.columns.rows, np.int64)


def column_mean(state: Any) -> np.ndarray:
    """Return the mean of each column of x, NaN where it holds no value."""
    columns = state.columns
    weight = state.seen.weight if hasattr(state, "seen") else np.full(columns.width, columns.weight)
    return np.where(weight > 0, columns.mean + columns.mean_low, np.nan)


def column_divisor(state: Any, ddof: float) -> Any:
    """Return what a column's squares are divided by: a number, or an array (columns,), NaN where too few rows are.

    Raises
    ------
    DataError
        If ``ddof`` leaves nothing to divide by.
    """
    if not hasattr(state, "seen"):
        return divisor(state.columns, ddof)
    return _left(state, state.seen.weight, ddof)


def pair_divisor(state: Any, ddof: float, min_periods: int) -> np.ndarray:
    """Return what a pair's scatter is divided by, NaN where too few rows hold both, (columns of x, columns of y)."""
    left = _left(state, state.pairs.weight, ddof)
    return np.where(state.pairs.rows >= min_periods, left, np.nan)


def _left(state: Any, weight: np.ndarray, ddof: float) -> np.ndarray:
    columns = state.columns
    if ddof and columns.weight2 != columns.weight:
        raise DataError(
            f"ddof={ddof} with reliability weights has no meaning for missing='pairwise', whose pairs have rows of "
            "their own: pass ddof=0, or whole numbers as frequency weights"
        )
    left = weight - ddof
    return np.where(left > 0, left, np.nan)
