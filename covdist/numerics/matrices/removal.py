"""Columns removed from a regression one by one, the others' weights corrected by least squares.

Matrices here are correlations, and weights those of columns with a deviation of 1: so a column counts by what it does,
not by its units.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
from scipy.linalg.lapack import dpotri, dpstrf

from covdist.numerics.blas import single_thread
from covdist.numerics.columns import DIGITS
from covdist.numerics.matrices.covariance import Covariance

_EPS = float(np.finfo(np.float64).eps)
_FAR = 1 << 12  # a power of two below that of any product


class Removal(NamedTuple):
    """Which columns were removed, and what becomes of the weights."""

    order: np.ndarray  # (removed,), columns in the order of their removal
    weights: np.ndarray  # (columns, outputs), corrected; 0 of the columns that were removed
    loss: np.ndarray  # (removed,), mean square of what the outputs lost, of all columns up to each
    share: np.ndarray  # (removed,), the loss over the mean square of the outputs; NaN where that is rounding alone

    @classmethod
    def of(cls, inputs: Covariance, weights: np.ndarray, columns: np.ndarray | int, damping: float) -> Removal:
        """Remove some columns in their order, or as many as a number says, each time what is missed least."""
        matrix = np.nan_to_num(inputs.correlation)
        scale, power = np.frexp(inputs.deviations[:, None])
        own, unit = _in_one_unit(weights, scale, power)
        np.fill_diagonal(matrix, 1.0)
        total = float(np.sum((matrix @ own) * own))
        least = DIGITS * float(np.sum(np.abs(own).sum(axis=0) ** 2))
        np.fill_diagonal(matrix, 1.0 + damping)
        with single_thread(), np.errstate(over="ignore", invalid="ignore"):  # of what is beyond float64
            order = least_missed(matrix, own, columns) if isinstance(columns, int) else columns
            moved, loss = _corrected(matrix, own, order)
            step = np.divide(moved, scale, out=np.zeros_like(moved), where=scale > 0)
            found = weights + np.ldexp(step, unit - power)
            found[order] = 0.0
            return cls(order, found, np.ldexp(loss, 2 * unit), loss / (total if total > least else np.nan))


def _in_one_unit(weights: np.ndarray, scale: np.ndarray, power: np.ndarray) -> tuple[np.ndarray, int]:
    """Return weights times ``scale * 2**power``, times ``2**-unit``, and the unit, in which none is beyond float64."""
    own, powers = np.frexp(weights)
    own = own * scale
    powers = powers + power
    unit = int(powers.max(initial=-_FAR, where=own != 0))
    return np.ldexp(own, powers - unit), unit


def least_missed(matrix: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Return columns to remove, greedily: first those that others determine, which cost nothing."""
    basis, rest, lower = _independent(matrix)
    rest = rest[np.argsort(np.linalg.norm(weights[rest], axis=1), kind="stable")][:count]
    if len(rest) == count:
        return rest
    corrected = weights[basis] + scipy.linalg.cho_solve((lower, True), matrix[np.ix_(basis, rest)] @ weights[rest])
    inverse, _ = dpotri(lower, lower=1)
    inverse += np.tril(inverse, -1).T  # above the diagonal it is 0, as the factor is
    return np.concatenate([rest, basis[_greedy(inverse, corrected, count - len(rest))]])


def _greedy(inverse: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Return columns in the order in which to remove them, each of the least loss ‖w_j‖² / H⁻¹_jj of those left.

    Removing j takes w_j H⁻¹_j / H⁻¹_jj from the weights, and H⁻¹_j H⁻¹_jᵀ / H⁻¹_jj from the inverse. Both are kept as
    sums of such products, W Wᵀ in place of W, so that a step costs a few columns and not a matrix.
    """
    gram = weights @ weights.T
    own, norms = np.diagonal(inverse).copy(), np.diagonal(gram).copy()
    taken, moved = np.empty((2, len(own), count))
    order = np.empty(count, np.int64)
    for step in range(count):
        order[step] = j = int(np.argmin(norms / own))
        past, now = taken[:, :step], moved[:, :step]
        column = (inverse[:, j] - past @ past[j]) / np.sqrt(own[j])
        product = gram[:, j] - past @ now[j] - now @ past[j]
        taken[:, step] = column
        moved[:, step] = product / np.sqrt(own[j]) - product[j] / (2 * own[j]) * column
        own -= column * column
        norms = np.maximum(norms - 2 * column * moved[:, step], 0.0)
        norms[order[: step + 1]], own[order[: step + 1]] = np.inf, 1.0
    return order


def _corrected(matrix: np.ndarray, weights: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what is added to the weights of those left, by one direct solve, and the loss after each removal."""
    left = np.setdiff1d(np.arange(len(matrix)), order)
    places, _, lower = _independent(matrix[np.ix_(left, left)])
    basis = left[places]
    beside = matrix[np.ix_(basis, order)]
    moved = np.zeros_like(weights)
    moved[basis] = scipy.linalg.cho_solve((lower, True), beside @ weights[order])
    half = scipy.linalg.solve_triangular(lower, beside, lower=True)
    # What is left of those removed, the last first: its factor's trailing blocks are what each number of them leaves.
    alone = (matrix[np.ix_(order, order)] - half.T @ half)[::-1, ::-1]
    parts = _semidefinite_factor(alone, len(matrix)).T @ weights[order[::-1]]
    return moved, np.cumsum(np.sum(parts * parts, axis=1)[::-1])


def _independent(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return columns that determine all others to rounding, the others, and the Cholesky factor of the former."""
    factor, pivots, rank, _ = dpstrf(matrix, lower=1, tol=_least(matrix, len(matrix)))
    pivots = pivots.astype(np.int64) - 1
    return pivots[:rank], pivots[rank:], np.tril(factor[:rank, :rank])


def _semidefinite_factor(matrix: np.ndarray, columns: int) -> np.ndarray:
    """Return the lower Cholesky factor of a matrix in the order that it has, 0 where a pivot is rounding alone."""
    found, least = np.zeros_like(matrix), _least(matrix, columns)
    for j in range(len(matrix)):
        column = matrix[j:, j] - found[j:, :j] @ found[j, :j]
        if column[0] > least:
            found[j:, j] = column / np.sqrt(column[0])
    return found


def _least(matrix: np.ndarray, columns: int) -> float:
    return 4 * columns * _EPS * float(np.diagonal(matrix).max(initial=1.0))
