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
_EPS = float(np.finfo(np.float64).eps)
CONSTANT_CORRELATION = "constant-correlation"
METHODS = (*INTENSITIES, CONSTANT_CORRELATION)
ANSWERS = {
    "ledoit-wolf": "estimate_by_norms",
    CONSTANT_CORRELATION: "estimate_by_comoments",
}  # of states that hold more


def intensity(method: str, matrix: np.ndarray, rows: float, fourth: float) -> float:
    """Return the share of the target, from 0 to 1, for a population covariance of so many rows."""
    trace = float(np.trace(matrix))
    check_finite(trace)
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


def to_constant_correlation(
    matrix: np.ndarray, rows: float, fourth: float, products: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return a population covariance shrunk to the mean correlation of all pairs of columns, and the target's share.

    ``fourth`` is the mean of ‖x - mean‖⁴, ``products`` (i, j) that of (xᵢ - mean)³(xⱼ - mean).
    """
    variances = np.diagonal(matrix).copy()
    check_finite(variances.sum())
    roots = np.sqrt(variances)
    varied = variances > 0
    pairs = np.outer(varied, varied) & ~np.eye(len(matrix), dtype=bool)
    scale = np.outer(roots, roots)
    mean = float((matrix[pairs] / scale[pairs]).mean()) if pairs.any() else 0.0
    target = mean * scale
    np.fill_diagonal(target, variances)
    spread = float(np.sum((target - matrix) ** 2))
    if spread <= (4 * len(matrix) * _EPS) ** 2 * float(np.sum(matrix**2)):  # rounding alone, as of two columns
        return matrix, 1.0
    off = products - variances[:, None] * matrix  # asymptotic covariances of variances with covariances
    ratio = np.divide(roots, roots[:, None], out=np.zeros_like(matrix), where=pairs)
    together = float(np.trace(off)) + mean * float(np.sum(ratio * off))
    share = float(np.clip((fourth - float(np.sum(matrix**2)) - together) / (spread * rows), 0.0, 1.0))
    return (1 - share) * matrix + share * target, share


def check_finite(trace: float) -> None:
    if not np.isfinite(trace):
        raise DataError("the covariance holds NaN or infinity: fold the rows with missing='drop' or another policy")
