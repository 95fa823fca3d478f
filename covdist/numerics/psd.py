"""The smallest eigenvalue of a symmetric matrix, and the nearest positive semidefinite matrix."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from covdist.numerics.blas import single_thread


def smallest_of(matrix: np.ndarray) -> float:
    """Return the smallest eigenvalue; NaN if an entry is NaN."""
    if not np.isfinite(matrix).all():
        return float("nan")
    unit = power_near(matrix)
    with single_thread():
        values = scipy.linalg.eigh(np.ldexp(matrix, -unit), eigvals_only=True, subset_by_index=[0, 0])
    return float(np.ldexp(values[0], unit))


def nearest(matrix: np.ndarray) -> np.ndarray:
    """Return the positive semidefinite matrix nearest in the Frobenius norm: negative eigenvalues become 0.

    Higham (1988), Computing a nearest symmetric positive semidefinite matrix, theorem 2.1. A matrix with NaN is
    returned unchanged.
    """
    if not np.isfinite(matrix).all():
        return matrix
    unit = power_near(matrix)
    with single_thread():
        values, vectors = np.linalg.eigh(np.ldexp(matrix, -unit))
        if values[0] >= 0:
            return matrix
        scaled = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.ldexp(scaled @ scaled.T, unit)


def power_near(matrix: np.ndarray) -> int:
    """Return the binary exponent of the largest entry; scaled by it, tiny and huge matrices keep their digits."""
    return int(np.frexp(np.abs(matrix).max(initial=0.0))[1])
