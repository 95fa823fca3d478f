"""Linear shrinkage of a covariance towards a multiple of the identity, and the intensities that are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from covdist.errors import DataError


class Sample(NamedTuple):
    """What intensities are made of, for n rows and p columns."""

    rows: float
    columns: int
    squares: float  # tr(S²) / tr(S)²
    fourth: float  # mean of ‖x - mean‖⁴ / tr(S)², NaN where the state does not hold it


def _oas(s: Sample) -> float:
    """Chen, Wiesel, Eldar and Hero (2010), equation 23 without its terms of 2/p, as scikit-learn has it."""
    return (s.squares + 1) / ((s.rows + 1) * (s.squares - 1 / s.columns))


def _rblw(s: Sample) -> float:
    """Chen, Wiesel, Eldar and Hero (2010), equation 17."""
    return ((s.rows - 2) / s.rows * s.squares + 1) / ((s.rows + 2) * (s.squares - 1 / s.columns))


def _ols(s: Sample) -> float:
    """Bodnar, Gupta and Parolya (2014), with the identity for a target, as LEACE uses it."""
    return 1 / (s.rows * (s.squares - 1 / s.columns))


def _ledoit_wolf(s: Sample) -> float:
    """Ledoit and Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices, lemma 3.4."""
    return (s.fourth - s.squares) / (s.rows * (s.squares - 1 / s.columns))


INTENSITIES: Mapping[str, Callable[[Sample], float]] = {
    "ledoit-wolf": _ledoit_wolf,
    "oas": _oas,
    "ols": _ols,
    "rblw": _rblw,
}
BY_NORMS = ("ledoit-wolf",)  # which need the rows' norms as well


def intensity(method: str, matrix: np.ndarray, rows: float, fourth: float) -> float:
    """Return the share of the target, from 0 to 1, for a population covariance of so many rows."""
    trace = float(np.trace(matrix))
    if not np.isfinite(trace):
        raise DataError("the covariance holds NaN or infinity: fold the rows with missing='drop' or another policy")
    columns = len(matrix)
    squares = float(np.sum((matrix / trace) ** 2)) if trace > 0 else 0.0
    if squares * columns <= 1:  # S is the target already
        return 1.0
    return float(np.clip(INTENSITIES[method](Sample(rows, columns, squares, fourth / trace**2)), 0.0, 1.0))


def shrunk(matrix: np.ndarray, share: float) -> np.ndarray:
    """Return ``(1 - share) S + share tr(S) / p I``."""
    found = (1 - share) * matrix
    found[np.diag_indices(len(found))] += share * np.trace(matrix) / len(matrix)
    return found
