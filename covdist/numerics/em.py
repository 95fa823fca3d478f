"""The Gaussian behind rows with missing values, by expectation and maximisation.

Dempster, Laird and Rubin (1977); Little and Rubin (2002), chapter 11. Given mean and covariance, the missing
values m of a row have a conditional mean, which is the fill of maximum entropy, and a conditional covariance; the sums
of both make the next mean and covariance. With W, the inverse of the covariance's Cholesky root, the mean is the u that
makes |Wz + W_m u| least, where z are the row's deviations, 0 where missing, and W_m the columns of W that belong to m;
that length is the row's distance. With W_m = QR the covariance is R⁻¹R⁻ᵀ: only what is missing has to be factored.
Errors grow with the condition of the correlations. By way of the precision WᵀW a distance would be the difference of
numbers as large as that condition, and errors would grow with its square.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from covdist.errors import DataError
from covdist.numerics.columns import share

_SINGULAR = 1e-12  # smallest squared pivot of a correlation matrix that is taken as it is
_BATCH = 1 << 18  # numbers factored at once


class Fit(NamedTuple):
    """How a Gaussian is fitted."""

    tolerance: float = 1e-10  # converged when no mean moves by more, in spreads, and no covariance, in their products
    max_iterations: int = 100
    ridge: float = 1e-8  # added to the diagonal of a singular correlation matrix before it is inverted


class Model(NamedTuple):
    """A Gaussian of the active columns, those that hold more than one value, and how far its fit has come."""

    active: np.ndarray  # bool (columns,)
    origin: np.ndarray  # (active,)
    exponent: np.ndarray  # int64 (active,), 0 unless values are tiny or huge
    mean: np.ndarray  # (active,), less the origin, times 2**-exponent
    cov: np.ndarray  # (active, active), times 2**-(exponent + exponent)
    fit: Fit
    log_likelihoods: np.ndarray = np.zeros(0)  # (iterations,)
    converged: bool = False
    ridged: bool = False
    weight_unit: int = 0  # in which rows' weights count, see ``covdist.numerics.weights``

    @classmethod
    def empty(cls, width: int) -> Model:
        return cls(np.zeros(width, bool), np.zeros(0), np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 0)), Fit())

    def deviations(self, rows: np.ndarray) -> np.ndarray:
        return (rows - self.origin) * np.ldexp(1.0, -self.exponent) - self.mean

    def rows(self, deviations: np.ndarray) -> np.ndarray:
        return (deviations + self.mean) * np.ldexp(1.0, self.exponent) + self.origin

    @property
    def volume(self) -> np.ndarray:
        """Minus twice what the scale of each present column adds to the logarithm of a density, (active,)."""
        return np.log(2 * np.pi) + 2 * np.log(2) * self.exponent

    @property
    def done(self) -> bool:
        return self.converged or len(self.log_likelihoods) >= self.fit.max_iterations

    def stepped(self, weight: float, sums: np.ndarray, products: np.ndarray, log_likelihood: float) -> Model:
        """Return the model that makes the sums which this one expects most likely: the M step."""
        if weight == 0:
            raise DataError("there is no row that holds any value: nothing can be said about the missing values")
        step = sums / weight
        cov = products / weight - np.outer(step, step)
        cov = (cov + cov.T) / 2
        spread = np.sqrt(np.diagonal(cov))
        moved = max(
            (np.abs(step) / spread).max(initial=0.0),
            (np.abs(cov - self.cov) / np.outer(spread, spread)).max(initial=0.0),
        )
        return self._replace(
            mean=self.mean + step,
            cov=cov,
            log_likelihoods=np.append(self.log_likelihoods, log_likelihood),
            converged=bool(moved <= self.fit.tolerance),
            ridged=self.ridged or inverse_root(self).ridged,
        )

    def record(self) -> dict[str, Any]:
        """Return how the fit went, for results."""
        return {
            "iterations": len(self.log_likelihoods),
            "converged": self.converged,
            "tolerance": self.fit.tolerance,
            "ridge": self.fit.ridge if self.ridged else 0.0,
            "log_likelihood": np.ldexp(self.log_likelihoods, self.weight_unit).tolist(),
        }


class InverseRoot(NamedTuple):
    """What makes the columns of a Gaussian uncorrelated, and whether a ridge was needed."""

    matrix: np.ndarray  # (active, active), the inverse of the covariance's lower Cholesky root
    log_determinant: float  # of the covariance
    ridged: bool


def inverse_root(model: Model) -> InverseRoot:
    cov = model.cov
    spread = np.sqrt(np.diagonal(cov))
    correlation = cov / np.outer(spread, spread)
    np.fill_diagonal(correlation, 1.0)
    try:
        root = np.linalg.cholesky(correlation)
        ridged = bool((np.diagonal(root) ** 2).min(initial=1.0) < _SINGULAR)
    except np.linalg.LinAlgError:
        ridged = True
    if ridged:
        root = np.linalg.cholesky(correlation + max(model.fit.ridge, _SINGULAR) * np.eye(len(cov)))
    matrix = scipy.linalg.solve_triangular(root, np.diag(1 / spread), lower=True)
    return InverseRoot(matrix, 2 * float(np.log(np.diagonal(root)).sum() + np.log(spread).sum()), ridged)


class Regression(NamedTuple):
    """Of missing columns on all others, for patterns with equally many; the first axis is that of patterns."""

    basis: np.ndarray  # (patterns, active, missing), orthonormal
    solve: np.ndarray  # (patterns, missing, missing), from coordinates in the basis to missing deviations, negative
    covariance: np.ndarray  # (patterns, missing, missing), conditional
    log_determinant: np.ndarray  # (patterns,), of the inverse of that

    @classmethod
    def of(cls, inverse: np.ndarray, missing: np.ndarray) -> Regression:
        basis, root = np.linalg.qr(inverse.T[missing].swapaxes(1, 2))
        solve = np.linalg.inv(root)
        pivots = np.abs(np.diagonal(root, axis1=1, axis2=2))
        return cls(basis, solve, solve @ solve.swapaxes(1, 2), 2 * np.log(pivots).sum(axis=1))


class Completed(NamedTuple):
    """A block's deviations from the model's mean, missing values at their conditional mean, and other expectations."""

    rows: np.ndarray  # (rows, active)
    covariance: np.ndarray  # summed conditional covariances (active, active)
    log_likelihood: float


def complete(
    rows: np.ndarray, present: np.ndarray, weights: np.ndarray, model: Model, inverse: InverseRoot
) -> Completed:
    """Fill missing values of the active columns by their conditional means: the E step of rows."""
    width = len(model.mean)
    rows = np.where(present, model.deviations(rows), 0.0)
    away = rows @ inverse.matrix.T
    patterns, pattern = distinct(present)
    log_determinant = np.full(len(patterns), inverse.log_determinant)
    weight = np.bincount(pattern, weights, minlength=len(patterns))
    summed = np.zeros(width * width)
    for chosen, missing in _batches(patterns):
        found = Regression.of(inverse.matrix, missing)
        log_determinant[chosen] += found.log_determinant
        at = missing[:, :, None] * width + missing[:, None, :]
        shares = found.covariance * weight[chosen, None, None]
        np.add.at(summed, at.ravel(), shares.ravel())
        for row, which in _rows_of(chosen, pattern, _at_once(missing.shape[1], width)):
            basis = found.basis[which]
            along = np.matmul(away[row][:, None, :], basis).swapaxes(1, 2)
            rows[row[:, None], missing[which]] = -np.matmul(found.solve[which], along)[:, :, 0]
            away[row] -= np.matmul(basis, along)[:, :, 0]
    density = (patterns @ model.volume + log_determinant)[pattern] + np.einsum("ij,ij->i", away, away)
    return Completed(rows, summed.reshape(width, width), -0.5 * float(weights @ density))


def _at_once(missing: int, width: int) -> int:
    return max(1, _BATCH // (missing * width))


def _batches(patterns: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield indices of patterns with equally many missing values, a batch at a time, and their missing columns."""
    amount = patterns.shape[1] - patterns.sum(axis=1)
    for missing in np.unique(amount[amount > 0]).tolist():
        alike, step = np.flatnonzero(amount == missing), _at_once(missing, patterns.shape[1])
        for start in range(0, len(alike), step):
            chosen = alike[start : start + step]
            yield chosen, np.nonzero(~patterns[chosen])[1].reshape(len(chosen), missing)


def _rows_of(chosen: np.ndarray, pattern: np.ndarray, step: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows of the chosen patterns, at most ``step`` at a time, and the place of each one's in ``chosen``."""
    place = np.full(pattern.max() + 1, -1)
    place[chosen] = np.arange(len(chosen))
    which = place[pattern]
    rows = np.flatnonzero(which >= 0)
    for start in range(0, len(rows), step):
        cut = rows[start : start + step]
        yield cut, which[cut]


class PatternTable(NamedTuple):
    """Patterns, one a row: which columns they hold, and the moments of what they hold, times 2**-exponent."""

    held: np.ndarray  # bool (patterns, columns)
    weight: np.ndarray  # (patterns,)
    mean: np.ndarray  # (patterns, columns), less the origin; 0 where missing
    scatter: np.ndarray  # (patterns, columns, columns), centred; 0 where missing

    @classmethod
    def empty(cls, width: int) -> PatternTable:
        return cls(np.zeros((0, width), bool), np.zeros(0), np.zeros((0, width)), np.zeros((0, width, width)))

    def columns(self, chosen: np.ndarray) -> PatternTable:
        """Return the table of some columns, bool (columns,), without the patterns that hold none of them."""
        kept = self.held[:, chosen].any(axis=1)
        scatter = self.scatter[kept][:, chosen][:, :, chosen]
        return PatternTable(self.held[kept][:, chosen], self.weight[kept], self.mean[kept][:, chosen], scatter)

    def scaled(self, shift: int) -> PatternTable:
        """Return the same with weights times ``2**shift``."""
        return self._replace(weight=np.ldexp(self.weight, shift), scatter=np.ldexp(self.scatter, shift))

    def moved(self, shift: np.ndarray, step: np.ndarray) -> PatternTable:
        """Return the same in other powers of two, and for an origin that lies ``step`` lower then."""
        mean, scatter = self.mean, self.scatter
        if shift.any():
            mean, scatter = np.ldexp(mean, shift), np.ldexp(np.ldexp(scatter, shift[:, None]), shift)
        return self._replace(mean=np.where(self.held, mean + step, 0.0), scatter=scatter)

    def merge(self, other: PatternTable) -> PatternTable:
        """Merge equal patterns (Chan, Golub and LeVeque 1983)."""
        if not (len(self.held) and len(other.held)):
            return self if len(self.held) else other
        held, pattern = distinct(np.concatenate([self.held, other.held]))
        count, width = held.shape
        ours, theirs = pattern[: len(self.held)], pattern[len(self.held) :]
        weight, mean, scatter = np.zeros(count), np.zeros((count, width)), np.zeros((count, width, width))
        weight[ours], mean[ours], scatter[ours] = self.weight, self.mean, self.scatter
        before = weight[theirs]
        weight[theirs] = before + other.weight
        shares, known = share(other.weight, weight[theirs]), (before > 0)[:, None]
        delta = np.where(known, other.mean - mean[theirs], 0.0)
        scatter[theirs] += other.scatter + (before * shares)[:, None, None] * (delta[:, :, None] * delta[:, None, :])
        mean[theirs] = np.where(known, mean[theirs] + delta * shares[:, None], other.mean)
        return PatternTable(held, weight, mean, scatter)


def distinct(present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different rows of a bool array, and for each row the index of its pattern among them."""
    bits = np.packbits(present, axis=1)
    padded = np.zeros((len(bits), max(8, bits.shape[1])), np.uint8)
    padded[:, : bits.shape[1]] = bits
    keys = padded.view(np.uint64 if padded.shape[1] == 8 else f"V{padded.shape[1]}").ravel()
    _, first, pattern = np.unique(keys, return_index=True, return_inverse=True)
    return present[first], pattern
