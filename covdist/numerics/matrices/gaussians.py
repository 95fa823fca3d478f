"""``Gaussians``: two Gaussian distributions of the same columns, and how far they are apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
from scipy.linalg.lapack import dgejsv

from covdist.errors import DataError
from covdist.numerics.blas import single_thread
from covdist.numerics.columns import two_sum
from covdist.numerics.matrices.covariance import Covariance

_EPS = float(np.finfo(np.float64).eps)


class SeenAlongAxes(NamedTuple):
    """Variances along the principal axes of one distribution, in descending order, times ``4**-unit``; (columns,)."""

    own: np.ndarray
    other: np.ndarray  # of another distribution along the same axes
    unit: int

    def deviations(self) -> tuple[np.ndarray, np.ndarray]:
        return np.ldexp(np.sqrt(self.own), self.unit), np.ldexp(np.sqrt(self.other), self.unit)

    def ratio(self) -> np.ndarray:
        """Return the other's variance over its own; infinite, or NaN where both are 0, where nothing varies."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.other / self.own

    def share_below(self, threshold: float) -> float:
        """Return the share of its own variance that lies along axes whose ratio is below a threshold."""
        with np.errstate(invalid="ignore"):
            return float(np.divide(self.own[self.ratio() < threshold].sum(), self.own.sum()))


class Gaussians(NamedTuple):
    """Their covariances, and the mean of b less that of a."""

    step: np.ndarray  # (columns,)
    a: Covariance
    b: Covariance

    def frechet(self) -> float:
        """Return the squared Frechet distance, ‖step‖² + tr A + tr B - 2 tr (AB)^½.

        With A = L Lᵀ and B = K Kᵀ it is ‖step‖² plus the least ‖L - K Q‖² of all orthogonal Q, which Procrustes'
        problem gives without a root of AB: a sum of squares, never negative, and small where the two are alike.
        """
        unit = _unit(self.step, self.a.deviations, self.b.deviations)
        if unit is None:
            return np.nan
        total = float(np.sum(np.ldexp(self.step, -unit) ** 2))
        if not self._alike():
            total += _apart(self.a.root(unit), self.b.root(unit))
        return float(np.ldexp(total, 2 * unit))

    def _alike(self) -> bool:
        return all(
            np.array_equal(mine, others, equal_nan=True)  # a constant column has no correlations
            for mine, others in zip(self.a[:2], self.b[:2], strict=True)
        )

    def coral(self) -> float:
        """Return ‖A - B‖²_F / (4 d²)."""
        unit = _unit(self.a.deviations, self.b.deviations)
        if unit is None:
            return np.nan
        a, b = self._matrices(unit)
        return float(np.ldexp(np.sum((a - b) ** 2) / (4.0 * len(a) ** 2), 4 * unit))

    def _matrices(self, unit: int) -> list[np.ndarray]:
        """Return the covariances times ``4**-unit``."""
        return [each._replace(deviations=np.ldexp(each.deviations, -unit)).matrix() for each in (self.a, self.b)]

    def along_axes(self) -> SeenAlongAxes:
        """Return what a and b vary along the principal axes of a."""
        unit, nothing = _unit(self.a.deviations, self.b.deviations), np.full(len(self.step), np.nan)
        if unit is None:
            return SeenAlongAxes(nothing, nothing, 0)
        with single_thread():
            own, axes = np.linalg.eigh(self._matrices(unit)[0])
            other = np.sum((self.b.root(unit).T @ axes[:, ::-1]) ** 2, axis=0)
        return SeenAlongAxes(_without_rounding(own[::-1]), _without_rounding(other), unit)

    def kl_divergence(self) -> float:
        """Return that of a from b, in nats."""
        ratio, step = self._relative()
        if not np.isfinite(ratio).all():
            return np.inf
        with np.errstate(over="ignore", divide="ignore"):
            own = np.diagonal(ratio)
            diagonal = own**2 - 1
            logarithms = np.where(np.abs(diagonal) < 0.5, np.log1p(diagonal), 2 * np.log(own))  # squares may underflow
            spread = np.sum(diagonal - logarithms) + np.sum(np.tril(ratio, -1) ** 2)
            return float(spread + np.sum(step**2)) / 2

    def jeffreys(self) -> float:
        return self.kl_divergence() + Gaussians(-self.step, self.b, self.a).kl_divergence()

    def bhattacharyya(self) -> float:
        ratios = self.spread_ratios()
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            spread = np.log1p((ratios - 1) * ((ratios - 1) / (2 * ratios)))
            return float(np.sum(np.where(np.isinf(ratios), np.inf, spread)) / 2 + self._between() / 4)

    def _between(self) -> float:
        """Return stepᵀ (A + B)⁻¹ step, by the columns' own units, which are as those of the step."""
        scale = np.hypot(self.a.deviations, self.b.deviations)
        sides = [each._replace(deviations=each.deviations / scale).matrix() for each in (self.a, self.b)]
        with single_thread():
            lower = np.linalg.cholesky(sides[0] + sides[1])
            white = scipy.linalg.solve_triangular(lower, self.step / scale, lower=True, check_finite=False)
        return float(white @ white)

    def spread_ratios(self) -> np.ndarray:
        """Return the deviations of a over those of b along the axes that make both covariances diagonal."""
        ratio, _ = self._relative()
        return _singular_values(ratio) if np.isfinite(ratio).all() else np.full(len(ratio), np.inf)

    def _relative(self) -> tuple[np.ndarray, np.ndarray]:
        """Return K⁻¹ L, lower triangular, of A = L Lᵀ and B = K Kᵀ, and K⁻¹ step; DataError where one is singular."""
        lower, other = named_factor("m_a", self.a), named_factor("m_b", self.b)
        with single_thread(), np.errstate(over="ignore"):
            sides = np.column_stack([lower * self.a.deviations[:, None], self.step]) / self.b.deviations[:, None]
            found = scipy.linalg.solve_triangular(other, sides, lower=True, check_finite=False)
        return np.tril(found[:, :-1]), found[:, -1]


def _singular_values(matrix: np.ndarray) -> np.ndarray:
    """Return the singular values of a matrix, small ones with as many digits as large ones.

    By Jacobi's rotations (Drmač and Veselić 2008): by way of a bidiagonal matrix a value is known to a share of the
    largest only, and columns whose spreads changed by very different factors have values of any size.
    """
    with single_thread():
        values, *_, scale, _, _ = dgejsv(matrix, joba=2, jobu=3, jobv=3)
    return np.asarray(values * (scale[0] / scale[1]))


def _unit(*values: np.ndarray) -> int | None:
    """Return a power of two near the largest of all values; None where one is NaN or infinite."""
    top = np.abs(values).max(initial=0.0)
    return int(np.frexp(top)[1]) if np.isfinite(top) else None


def _without_rounding(variances: np.ndarray) -> np.ndarray:
    """Return 0 in place of variances that rounding alone makes."""
    return np.where(variances > len(variances) * _EPS * variances.max(), variances, 0.0)


def step_between(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the means of b less those of a; both are given in two parts, as a float64 and what it leaves out."""
    difference, rest = two_sum(b[0], -a[0])
    return np.asarray(difference + (rest + (b[1] - a[1])))


def named_factor(name: str, covariance: Covariance) -> np.ndarray:
    """Return the Cholesky factor of a covariance's correlations; the DataError of a singular one begins with a name."""
    try:
        return covariance.factor()
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _apart(root: np.ndarray, other: np.ndarray) -> float:
    """Return the least ‖root - other Q‖² of all orthogonal Q; both are filled up to as many columns with zeros."""
    size = max(root.shape[1], other.shape[1], 1)
    root, other = (np.pad(each, ((0, 0), (0, size - each.shape[1]))) for each in (root, other))
    with single_thread():
        left, _, right = np.linalg.svd(other.T @ root)
        return float(np.sum((root - other @ (left @ right)) ** 2))
