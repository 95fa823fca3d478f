"""From a scatter matrix to covariances and correlations, within float64's range."""

from __future__ import annotations

import numpy as np

from covdist.numerics.products import rescaled

_STRIP = 64  # rows divided together: their divisors are the only temporary


def covariance_of(
    scatter: np.ndarray, divided_by: float | np.ndarray, exponent: np.ndarray, exponent_y: np.ndarray
) -> np.ndarray:
    """Return ``scatter / divided_by``, in place, its rows and columns times two to the power of the exponents."""
    scatter /= divided_by
    return rescaled(scatter, exponent, exponent_y)


def correlation_of(scatter: np.ndarray, roots: np.ndarray, roots_y: np.ndarray) -> np.ndarray:
    """Divide a scatter, in place, by the roots of its rows' and columns' squares; NaN where one is 0.

    Or several at once, (..., rows, columns) by (..., rows) and (..., columns).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        # By one product of roots, which keeps the symmetry; mantissas apart, which keeps it within float64's range.
        fractions, powers = np.frexp(roots)
        fractions_y, powers_y = np.frexp(roots_y)
        scatter *= np.ldexp(1.0, -powers)[..., None]
        scatter *= np.ldexp(1.0, -powers_y)[..., None, :]
        for start in range(0, scatter.shape[-2], _STRIP):
            rows = slice(start, start + _STRIP)
            scatter[..., rows, :] /= fractions[..., rows, None] * fractions_y[..., None, :]
    np.clip(scatter, -1.0, 1.0, out=scatter)
    scatter[roots == 0], scatter.mT[roots_y == 0] = np.nan, np.nan
    return scatter


def set_diagonal(matrix: np.ndarray, values: np.ndarray | float) -> None:
    """Set, in place, the diagonal of a matrix, or of each of several (..., rows, columns)."""
    along = np.arange(min(matrix.shape[-2:]))
    matrix[..., along, along] = values


def own_correlations(roots: np.ndarray) -> np.ndarray:
    """Return each column's correlation with itself: 1 by definition, not by rounding; NaN stays NaN."""
    return np.where(np.isfinite(roots) & (roots > 0), 1.0, np.nan)


def pair_correlation(scatter: np.ndarray, squares: np.ndarray, squares_y: np.ndarray) -> np.ndarray:
    """Return pairs' scatter over the roots of both columns' squares in the pair's rows; NaN where one is 0.

    All arrays are (columns of x, columns of y); the result lies within [-1, 1].
    """
    roots, roots_y = np.sqrt(squares), np.sqrt(squares_y)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Mantissas and exponents apart, so that no product of two roots leaves float64's range.
        fractions, powers = np.frexp(roots)
        fractions_y, powers_y = np.frexp(roots_y)
        matrix = np.ldexp(np.ldexp(scatter, -powers), -powers_y) / (fractions * fractions_y)
    np.clip(matrix, -1.0, 1.0, out=matrix)
    matrix[(roots == 0) | (roots_y == 0)] = np.nan
    return matrix
