"""``Covariance``: a covariance that is inverted, and says which pivot or eigenvalue is in the way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
from scipy.linalg.lapack import dpocon, dpotrf, dpotri, dpstrf

from covdist.errors import DataError
from covdist.numerics.blas import single_thread
from covdist.numerics.eigen import decompose

_EPS = float(np.finfo(np.float64).eps)
_USE = "pass shrink='oas', or leave columns out"


class Covariance(NamedTuple):
    """Deviations and correlations apart, so that no product of tiny or huge columns leaves float64's range."""

    deviations: np.ndarray  # (columns,)
    correlation: np.ndarray  # (columns, columns)
    rank: int  # at most, by the number of rows
    shrinkage: float = 0.0

    def matrix(self) -> np.ndarray:
        found, still = _outer(self.correlation, self.deviations), self.deviations == 0
        found[still], found[:, still] = 0.0, 0.0  # a constant column has no correlations
        return found

    def damped(self, root: float) -> Covariance:
        """Return the same with ``root**2`` added to its diagonal."""
        deviations = np.hypot(self.deviations, root)
        share = np.divide(self.deviations, deviations, out=np.zeros_like(deviations), where=deviations > 0)
        found = _outer(np.nan_to_num(self.correlation), share)
        np.fill_diagonal(found, 1.0)
        return Covariance(deviations, found, len(found) if root > 0 else self.rank)

    def principal(self) -> tuple[int, np.ndarray, np.ndarray]:
        """Return a unit, and eigenvalues times ``4**-unit``, descending, with their vectors (columns, columns)."""
        unit = int(np.frexp(self.deviations.max())[1])
        values, vectors = decompose(self._replace(deviations=np.ldexp(self.deviations, -unit)).matrix(), len(self[0]))
        return unit, np.maximum(values, 0.0), vectors

    def factor(self) -> np.ndarray:
        """Return the lower Cholesky factor of the correlations; DataError where a pivot is rounding alone."""
        self._check()
        with single_thread():
            lower, failed = dpotrf(self.correlation, lower=1)
        least = _least_pivot(len(lower))
        if failed:
            self._refuse(failed - 1, _pivot(self.correlation, lower, failed - 1))
        pivots = np.diagonal(lower) ** 2
        if (pivots <= least).any():
            first = int(np.argmax(pivots <= least))
            self._refuse(first, float(pivots[first]))
        self._check_condition(lower)
        return np.tril(lower)

    def _check_condition(self, lower: np.ndarray) -> None:
        """Raise DataError where rounding hides in a pivot behind small ones, each of which grows it."""
        with single_thread():
            found, _ = dpocon(lower, np.linalg.norm(self.correlation, 1), uplo="L")
        if found <= len(lower) * _EPS:
            raise DataError(
                f"{self._singular()}: correlations with a condition number of {1 / max(found, _EPS**2):.1e} have an "
                f"inverse of rounding alone; {_USE}"
            )

    def root(self, unit: int) -> np.ndarray:
        """Return L (columns, rank), such that L Lᵀ is the matrix times ``4**-unit``; a singular one has a root too.

        What rounding alone makes of directions without variance is left out: the root of it would be far larger.
        """
        known = np.where(np.isnan(self.correlation), 0.0, self.correlation)  # of constant columns
        with single_thread():
            lower, order, rank, _ = dpstrf(known, lower=1, tol=_least_pivot(len(known)))
        lower = np.tril(lower)[:, : max(0, min(rank, self.rank))]
        found = np.empty_like(lower)
        found[order - 1] = lower
        return found * np.ldexp(self.deviations, -unit)[:, None]

    def inverse_correlation(self) -> np.ndarray:
        lower = self.factor()
        with single_thread():
            inverse, _ = dpotri(lower, lower=1)
        return np.tril(inverse) + np.tril(inverse, -1).T

    def inverse(self) -> np.ndarray:
        scale, power = np.frexp(self.deviations)  # 1 / them may be beyond float64 where products are not
        with np.errstate(over="ignore"):
            return np.ldexp(_outer(self.inverse_correlation(), 1 / scale), -np.add.outer(power, power))

    def partial_correlation(self) -> np.ndarray:
        inverse = self.inverse_correlation()
        found = np.clip(-_outer(inverse, 1 / np.sqrt(np.diagonal(inverse))), -1.0, 1.0)
        np.fill_diagonal(found, 1.0)
        return found

    def logdet(self) -> float:
        return 2 * float(np.log(np.diagonal(self.factor())).sum() + np.log(self.deviations).sum())

    def condition(self) -> float:
        _, matrix = self._in_one_unit()
        with single_thread():
            values = scipy.linalg.eigvalsh(matrix)
        self._check_smallest(values)
        return float(values[-1] / values[0])

    def eigen(self) -> tuple[int, np.ndarray, np.ndarray]:
        """Return a unit, and eigenvalues times ``4**-unit``, ascending, with their vectors (columns, k).

        DataError where the smallest is rounding alone.
        """
        unit, matrix = self._in_one_unit()
        with single_thread():
            values, vectors = scipy.linalg.eigh(matrix)
        self._check_smallest(values)
        return unit, values, vectors

    def _in_one_unit(self) -> tuple[int, np.ndarray]:
        """Return a unit, and the matrix times ``4**-unit``."""
        self._check()
        unit = int(np.frexp(self.deviations.max())[1])
        return unit, _outer(self.correlation, np.ldexp(self.deviations, -unit))

    def _check_smallest(self, values: np.ndarray) -> None:
        if values[0] <= len(values) * _EPS * values[-1]:
            raise DataError(
                f"{self._singular()}: its smallest eigenvalue is {values[0] / values[-1]:.1e} of its largest, which "
                f"rounding alone makes; {_USE}"
            )

    def whitening(self, method: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a scale (columns,) and a matrix W: W (deviation / scale) has the identity for a covariance."""
        if method == "cholesky":
            return self.deviations, self.inverse_factor()
        unit, values, vectors = self.eigen()
        rows = (vectors / np.sqrt(values)).T[::-1]
        scale = np.full(len(values), np.ldexp(1.0, unit))
        return scale, rows if method == "pca" else vectors @ rows[::-1]

    def inverse_factor(self) -> np.ndarray:
        with single_thread():
            return np.asarray(scipy.linalg.solve_triangular(self.factor(), np.eye(len(self.deviations)), lower=True))

    def _check(self) -> None:
        """Raise DataError where the numbers themselves say that there is no inverse."""
        bad = ~np.isfinite(self.deviations)
        if bad.any():
            raise DataError(
                f"the covariance holds NaN or infinity, first in column {int(np.argmax(bad))}: fold the rows with "
                "missing='drop' or another policy that leaves none"
            )
        if not self.deviations.all():
            self._refuse(int(np.argmin(self.deviations)), 0.0)
        if self.rank < len(self.deviations):
            raise DataError(
                f"{self._singular()}: its rank is at most {max(self.rank, 0)}, one less than the rows, so at least "
                f"{len(self.deviations) - max(self.rank, 0)} eigenvalues are 0; pass shrink='oas', or fold more rows"
            )

    def _refuse(self, column: int, pivot: float) -> None:
        raise DataError(
            f"{self._singular()}: pivot {column} is {pivot:.1e}, the share of that column's variance which the columns "
            f"before it do not explain; {_USE}"
        )

    def _singular(self) -> str:
        return f"the covariance of {len(self.deviations)} columns is singular"


def _outer(matrix: np.ndarray, scale: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore"):  # 0 stays 0 where a product of scales is infinite
        return np.multiply(matrix, np.multiply.outer(scale, scale), out=np.zeros_like(matrix), where=matrix != 0)


def _least_pivot(size: int) -> float:
    """Return up to which a pivot of correlations may be rounding alone."""
    return 4 * size * _EPS


def _pivot(matrix: np.ndarray, lower: np.ndarray, place: int) -> float:
    """Return the pivot at which a factorisation stopped."""
    row = scipy.linalg.solve_triangular(lower[:place, :place], matrix[:place, place], lower=True) if place else []
    return float(matrix[place, place] - np.dot(row, row))
