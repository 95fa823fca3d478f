"""The affine map that takes what is linearly known of some variables out of rows, and nothing else."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from covdist.numerics.blas import single_thread
from covdist.numerics.eigen import decompose
from covdist.numerics.matrices.covariance import Covariance

_EPS = float(np.finfo(np.float64).eps)
_LARGEST = 1000  # a power of two that leaves float64 room


def directions(inputs: Covariance, cross: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return L (columns, k) and R (k, columns) of the oblique projection I - L R.

    ``cross`` is the covariance of columns, over their deviations, with variables, over theirs. Directions in which it
    is no greater than ``tolerance`` are 0. The unit of L and R lies amid the columns', so that neither overflows.
    """
    scale, some = inputs.deviations, inputs.deviations > 0
    powers = np.frexp(scale)[1]
    low, high = int(powers.min(initial=0, where=some)), int(powers.max(initial=0, where=some))
    unit = max((low + high) // 2, high - _LARGEST)
    matrix = np.nan_to_num(inputs.correlation)
    np.fill_diagonal(matrix, 1.0)
    with single_thread():
        root, inverse = _roots(matrix)
        left, sizes, _ = scipy.linalg.svd(inverse @ cross, full_matrices=False)
        left[:, sizes <= tolerance] = 0.0
        left = np.pad(left, ((0, 0), (0, min(cross.shape) - left.shape[1])))
        back, onto = root @ left, left.T @ inverse
    scale = np.ldexp(scale, -unit)
    with np.errstate(over="ignore", invalid="ignore"):  # of columns that are further apart than float64 reaches
        over = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
        return back * scale[:, None], onto * over


def _roots(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return B and C with B Bᵀ the matrix and C B the identity: by Cholesky, or of the directions that it has."""
    least = 4 * len(matrix) * _EPS
    lower, failed = scipy.linalg.lapack.dpotrf(matrix, lower=1)
    if not failed and (np.diagonal(lower) ** 2 > least).all():
        lower = np.tril(lower)
        return lower, scipy.linalg.solve_triangular(lower, np.eye(len(lower)), lower=True)
    values, vectors = decompose(matrix, len(matrix))
    some = values > least * values[0]
    vectors, roots = vectors[:, some], np.sqrt(values[some])
    return vectors * roots, (vectors / roots).T
