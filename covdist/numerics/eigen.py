"""Leading eigenpairs of a covariance matrix, and figures that take all of its eigenvalues."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
from scipy.linalg import eigh_tridiagonal

from covdist.numerics.blas import rotate_back, single_thread, tridiagonal

_EPS = float(np.finfo(np.float64).eps)


class Spectrum(NamedTuple):
    """A spectrum. Eigenvalues and other variances are in units of ``4 ** exponent``."""

    values: np.ndarray  # (k,), descending, never negative
    vectors: np.ndarray  # (columns, k); of a Gram matrix (rows, k)
    error: np.ndarray  # (k,), bounds on the errors of the values
    total: float  # sum of all eigenvalues
    exponent: int
    rows: int
    effective_rank: float
    participation: float
    condition: float

    def root(self) -> np.ndarray:
        """Return the square roots of the eigenvalues in units of the data, even if the eigenvalues underflow."""
        return np.ldexp(np.sqrt(self.values), self.exponent)

    def variance(self, value: np.ndarray | float) -> np.ndarray:
        """Convert a variance from the units of this spectrum to those of the data."""
        return np.ldexp(value, 2 * self.exponent)


def spectrum_of(
    matrix: np.ndarray, k: int, *, rows: int, exponent: int = 0, size: int | None = None, vectors: bool = True
) -> Spectrum:
    """Return the spectrum of a symmetric float64 matrix, which is overwritten; k may exceed its rank and size.

    ``size`` is the number of columns if the matrix is a Gram matrix of rows. Vectors that are not wanted are NaN.
    """
    size = len(matrix) if size is None else size
    if not np.isfinite(matrix).all():
        return unknown(len(matrix), k, rows)
    values, leading_vectors = decompose(matrix, min(k, len(matrix)) if vectors else 0)
    values = np.maximum(values, 0.0)
    rounding = len(matrix) * _EPS * values[0]
    leading = np.zeros(k)
    leading[: len(values)] = values[:k]
    return Spectrum(
        values=leading,
        vectors=np.pad(leading_vectors, ((0, 0), (0, k - leading_vectors.shape[1])), constant_values=np.nan),
        error=np.full(k, rounding),
        total=float(values.sum()),
        exponent=exponent,
        rows=rows,
        effective_rank=effective_rank(values),
        participation=participation(values),
        condition=_condition(values, size, rounding),
    )


def unknown(size: int, k: int, rows: int) -> Spectrum:
    """Return the spectrum of no rows, or of rows with NaN: all NaN."""
    values = np.full(k, np.nan)
    return Spectrum(values, np.full((size, k), np.nan), values, np.nan, 0, rows, np.nan, np.nan, np.nan)


def decompose(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all eigenvalues, descending, and the eigenvectors (n, k) of the k largest; overwrites the matrix.

    One reduction to tridiagonal form serves both; all vectors of 1,000 columns take seven times as long as it. Unlike
    ``scipy.linalg.eigh`` it releases the GIL.
    """
    n = len(matrix)
    if n == 1:
        return matrix[0].copy(), np.ones((1, k))
    unit = _power_near(matrix)  # the reduction squares entries of any size; scaling by powers of two is exact
    np.ldexp(matrix, -unit, out=matrix)
    with single_thread():
        diagonal, beside, factors = tridiagonal(matrix)
        values = eigh_tridiagonal(diagonal, beside, eigvals_only=True, lapack_driver="sterf")
        vectors = np.empty((0, n))
        if k:
            vectors = _largest_vectors(diagonal, beside, k)
            rotate_back(matrix, factors, vectors)
    return np.ldexp(values[::-1], unit), np.ascontiguousarray(vectors.T)


def _largest_vectors(diagonal: np.ndarray, beside: np.ndarray, k: int) -> np.ndarray:
    """Return the eigenvectors (k, n) of the k largest eigenvalues of a tridiagonal matrix, descending."""
    which = {"select": "i", "select_range": (len(diagonal) - k, len(diagonal) - 1)}
    try:
        _, vectors = eigh_tridiagonal(diagonal, beside, **which)
        right = _orthogonal(vectors)
    except np.linalg.LinAlgError:  # bisection miscounts equal eigenvalues, such as those of one-hot columns
        right = False
    if not right:
        _, vectors = eigh_tridiagonal(diagonal, beside, lapack_driver="stemr", **which)
    return np.ascontiguousarray(vectors.T[::-1])


def _orthogonal(vectors: np.ndarray) -> bool:
    """Say whether columns are orthogonal, by one combination of them, at the cost of two products with a vector.

    Inverse iteration finds a vector twice where two eigenvalues are far below what rounding makes of the largest.
    """
    some = np.sqrt(1.0 + np.arange(vectors.shape[1]))
    return bool(np.allclose(vectors.T @ (vectors @ some), some, rtol=1e-10, atol=0.0))


def effective_rank(values: np.ndarray) -> float:
    """Return exp of the entropy of the eigenvalues' shares (Roy and Vetterli 2007)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = values / values.sum()
    positive = shares[~(shares <= 0)]
    return float(np.exp(-np.sum(positive * np.log(positive))))


def participation(values: np.ndarray) -> float:
    """Return the squared sum of the eigenvalues over the sum of their squares."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = values / values.sum()
    return float(1 / np.sum(shares**2))


def _condition(values: np.ndarray, size: int, rounding: float) -> float:
    if values[0] == 0:
        return np.nan
    smallest = values[-1] if len(values) == size else 0.0
    return float(values[0] / smallest) if smallest > rounding else np.inf


def smallest_of(matrix: np.ndarray) -> float:
    """Return the smallest eigenvalue; NaN if an entry is NaN."""
    if not np.isfinite(matrix).all():
        return float("nan")
    unit = _power_near(matrix)
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
    unit = _power_near(matrix)
    with single_thread():
        values, vectors = np.linalg.eigh(np.ldexp(matrix, -unit))
        if values[0] >= 0:
            return matrix
        scaled = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.ldexp(scaled @ scaled.T, unit)


def _power_near(matrix: np.ndarray) -> int:
    """Return the binary exponent of the largest entry; scaled by it, tiny and huge matrices keep their digits."""
    return int(np.frexp(np.abs(matrix).max(initial=0.0))[1])
