"""``Eigenvalues``: all eigenvalues of a symmetric matrix, and what is asked of them together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covdist.errors import DataError
from covdist.numerics.eigen import decompose, effective_rank

_EPS = float(np.finfo(np.float64).eps)
_LEAST = 3  # eigenvalues in which a tail can be looked for


class PowerLaw(NamedTuple):
    """A density that falls as λ^-alpha between two eigenvalues."""

    alpha: float
    alpha_error: float
    lower: float
    upper: float
    tail: float  # how many eigenvalues lie between
    distance: float  # of Kolmogorov and Smirnov, between the tail and its fit


class Eigenvalues(NamedTuple):
    values: np.ndarray  # descending, times ``4**-unit``; 0 where rounding alone made them; NaN where the matrix has NaN
    unit: int

    @classmethod
    def of(cls, matrix: np.ndarray, unit: int) -> Eigenvalues:
        """Decompose a matrix, which is overwritten."""
        if not np.isfinite(matrix).all():
            return cls(np.full(len(matrix), np.nan), unit)
        values, _ = decompose(matrix, 0)
        return cls(np.where(values > len(values) * _EPS * values[0], values, 0.0), unit)

    def rankme(self) -> float:
        """Return exp of the entropy of the roots' shares (Garrido et al. 2023, without their ε)."""
        return effective_rank(np.sqrt(self.values))

    def power_law(self) -> PowerLaw:
        """Fit the tail by maximum likelihood, from where fit and tail lie closest (Clauset et al. 2009)."""
        if np.isnan(self.values).any():
            return PowerLaw(*(np.nan,) * 6)
        found = self.values[self.values > 0][::-1]
        if len(found) < _LEAST:
            raise DataError(
                f"a power law needs {_LEAST} eigenvalues that are not zero, found {len(found)} of {len(self.values)}: "
                "fold more rows, or more columns"
            )
        logs, apart = np.log(found), 4 * len(self.values) * _EPS * found[-1] / found
        fits = [(*_fit(logs[start:], apart[start]), start) for start in range(len(logs) - 1)]
        distance, alpha, start = min(fits)
        tail = len(logs) - start
        lower, upper = np.ldexp(found[[start, -1]], 2 * self.unit)
        return PowerLaw(alpha, (alpha - 1) / np.sqrt(tail), lower, upper, tail, distance)


def _fit(logs: np.ndarray, apart: float) -> tuple[float, float]:
    """Return the distance of a tail, given ascending logarithms, from its fit, and the fit's exponent.

    Logarithms no further ``apart`` differ by rounding alone.
    """
    above = logs - logs[0]
    total = above.sum()
    if above[-1] <= apart:  # equal eigenvalues are no tail
        return np.inf, np.inf
    alpha = 1 + len(logs) / total
    below = np.arange(len(logs)) / len(logs)  # the share of the tail below each eigenvalue, as in their plfit
    return float(np.abs(-np.expm1((1 - alpha) * above) - below).max()), float(alpha)
