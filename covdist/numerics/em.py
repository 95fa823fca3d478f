"""The Gaussian that rows with holes come from, by expectation and maximisation.

Dempster, Laird and Rubin (1977); Little and Rubin (2002), chapter 11. Given mean and covariance, the holes of a row
have a conditional mean, which is the fill of maximum entropy, and a conditional covariance; the sums of both make the
next mean and covariance. With the precision P of all columns, the holes m of a row have the covariance (P_mm)⁻¹ and
the mean -(P_mm)⁻¹ (P z)_m, where z are its deviations, zero in holes: what is inverted is as large as the holes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from covdist.errors import DataError
from covdist.numerics.blas import single_thread
from covdist.numerics.columns import Columns
from covdist.state.patterns import Patterns, Table, distinct

_SINGULAR = 1e-12  # smallest squared pivot of a correlation matrix that is taken as it is
_BATCH = 1 << 18  # numbers inverted at once


class Fit(NamedTuple):
    """How a Gaussian is fitted.

    Attributes
    ----------
    tolerance : float
        Largest step of a mean, in spreads, and of a covariance, in products of spreads, that ends it.
    max_iterations : int
    ridge : float
        What is added to the diagonal of a singular correlation matrix before it is inverted.
    """

    tolerance: float = 1e-10
    max_iterations: int = 100
    ridge: float = 1e-8


class Expected(NamedTuple):
    """Sums over rows whose holes hold what a model expects; of the active columns, about its origin and mean."""

    weight: float
    sums: np.ndarray
    products: np.ndarray
    log_likelihood: float

    @classmethod
    def nothing(cls, width: int) -> Expected:
        return cls(0.0, np.zeros(width), np.zeros((width, width)), 0.0)

    def merge(self, other: Expected) -> Expected:
        return Expected(
            self.weight + other.weight,
            self.sums + other.sums,
            self.products + other.products,
            self.log_likelihood + other.log_likelihood,
        )


class Model(NamedTuple):
    """A Gaussian of the active columns, those that hold more than one value; how far it has come."""

    active: np.ndarray  # bool (columns,)
    origin: np.ndarray  # (active,)
    exponent: np.ndarray  # int64 (active,), 0 unless values are tiny or huge
    mean: np.ndarray  # (active,), less the origin, times 2**-exponent
    cov: np.ndarray  # (active, active), times 2**-(exponent + exponent)
    fit: Fit
    log_likelihoods: np.ndarray = np.zeros(0)  # (iterations,)
    converged: bool = False
    ridged: bool = False

    @classmethod
    def empty(cls, width: int) -> Model:
        return cls(np.zeros(width, bool), np.zeros(0), np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 0)), Fit())

    def deviations(self, rows: np.ndarray) -> np.ndarray:
        """Return rows of the active columns less the mean."""
        return (rows - self.origin) * np.ldexp(1.0, -self.exponent) - self.mean

    def rows(self, deviations: np.ndarray) -> np.ndarray:
        """Return rows of which the deviations are given."""
        return (deviations + self.mean) * np.ldexp(1.0, self.exponent) + self.origin

    @property
    def volume(self) -> np.ndarray:
        """What each column that is held takes twice from the logarithm of a density, (active,)."""
        return np.log(2 * np.pi) + 2 * np.log(2) * self.exponent

    @property
    def done(self) -> bool:
        return self.converged or len(self.log_likelihoods) >= self.fit.max_iterations

    def stepped(self, expected: Expected) -> Model:
        """Return the model that makes what was expected most likely."""
        if expected.weight == 0:
            raise DataError("there is no row that holds any value: nothing can be said about the holes")
        step = expected.sums / expected.weight
        cov = expected.products / expected.weight - np.outer(step, step)
        cov = (cov + cov.T) / 2
        spread = np.sqrt(np.diagonal(cov))
        moved = max(
            (np.abs(step) / spread).max(initial=0.0),
            (np.abs(cov - self.cov) / np.outer(spread, spread)).max(initial=0.0),
        )
        return self._replace(
            mean=self.mean + step,
            cov=cov,
            log_likelihoods=np.append(self.log_likelihoods, expected.log_likelihood),
            converged=bool(moved <= self.fit.tolerance),
            ridged=self.ridged or precision_of(self).ridged,
        )


def start(patterns: Patterns, fit: Fit) -> Model:
    """Return a model of independent columns, converged where there is nothing to be fitted."""
    columns, seen = patterns.columns, patterns.seen
    active = (seen.weight > 0) & (columns.squares > 0)
    share = np.divide(1.0, seen.weight, out=np.zeros(columns.width), where=active)
    variances, exponent = (columns.squares * share)[active], columns.exponent[active]
    origin = patterns.origin[active]
    mean = np.ldexp((columns.mean[active] - origin) + columns.mean_low[active], -exponent)
    model = Model(active, origin, exponent, mean, np.diag(variances), fit)
    return model._replace(converged=not active.any() or without_holes(patterns))


def begin(patterns: Patterns, fit: Fit) -> Model:
    """Return a model to begin with; where the patterns are known, the one that is fitted to them."""
    model = start(patterns, fit)
    if patterns.complete and not model.done:
        with single_thread():  # two threads take twice as long as one for matrices so small
            table = _of(patterns.all, model.active)
            while not model.done:
                model = model.stepped(expected_of(table, model))
    return model


def without_holes(patterns: Patterns) -> bool:
    """Say whether there is nothing to be fitted."""
    return bool(patterns.complete and not len(patterns.table.held))


def _of(table: Table, active: np.ndarray) -> Table:
    """Return the table of some columns; patterns that hold none of them say nothing."""
    some = table.held[:, active].any(axis=1)
    scatter = table.scatter[some][:, active][:, :, active]
    return Table(table.held[some][:, active], table.weight[some], table.mean[some][:, active], scatter)


class Precision(NamedTuple):
    """The inverse of a covariance, the logarithm of its determinant, and whether a ridge was needed."""

    matrix: np.ndarray
    log_determinant: float
    ridged: bool


def precision_of(model: Model) -> Precision:
    """Invert a model's covariance."""
    cov, ridge = model.cov, model.fit.ridge
    spread = np.sqrt(np.diagonal(cov))
    correlation = cov / np.outer(spread, spread)
    np.fill_diagonal(correlation, 1.0)
    try:
        root, ridged = np.linalg.cholesky(correlation), False
    except np.linalg.LinAlgError:
        ridged = True
    if ridged or (np.diagonal(root) ** 2).min(initial=1.0) < _SINGULAR:
        ridged, root = True, np.linalg.cholesky(correlation + max(ridge, _SINGULAR) * np.eye(len(cov)))
    inverse = scipy.linalg.cho_solve((root, True), np.eye(len(cov)))
    log_determinant = 2 * float(np.log(np.diagonal(root)).sum() + np.log(spread).sum())
    return Precision((inverse + inverse.T) / 2 / np.outer(spread, spread), log_determinant, ridged)


def expected_of(table: Table, model: Model) -> Expected:
    """Return the sums over all rows of a table of patterns, each pattern at once."""
    precision, log_determinant, _ = precision_of(model)
    width = len(model.mean)
    away = np.where(table.held, table.mean - model.mean, 0.0)
    weight = table.weight
    sums, products = weight @ away, table.scatter.sum(axis=0) + (away * weight[:, None]).T @ away
    likelihood = -0.5 * float(weight @ (table.held @ model.volume))
    for held, w, z, scatter in zip(table.held, weight, away, table.scatter, strict=True):
        there, gone = np.flatnonzero(held), np.flatnonzero(~held)
        across = precision[there[:, None], there]
        inner = scatter[there[:, None], there] + w * np.outer(z[there], z[there])
        quadratic = float(np.vdot(across, inner))
        logdet = log_determinant
        if len(gone):
            root = np.linalg.cholesky(precision[gone[:, None], gone])
            cov = scipy.linalg.cho_solve((root, True), np.eye(len(gone)), check_finite=False)
            coefficients = cov @ precision[gone[:, None], there]
            crossed = coefficients @ inner
            sums[gone] -= w * (coefficients @ z[there])
            products[gone[:, None], there] -= crossed
            products[there[:, None], gone] -= crossed.T
            products[gone[:, None], gone] += crossed @ coefficients.T + w * cov
            quadratic -= float(np.vdot(precision[gone[:, None], there], crossed))
            logdet += 2 * float(np.log(np.diagonal(root)).sum())
        likelihood -= 0.5 * (w * logdet + quadratic)
    assert products.shape == (width, width)
    return Expected(float(weight.sum()), sums, products, likelihood)


class Completed(NamedTuple):
    """A block's deviations from the model's mean, holes at their conditional mean, and what else is expected."""

    rows: np.ndarray  # (rows, active)
    covariance: np.ndarray  # summed conditional covariances (active, active)
    log_likelihood: float


def complete(block: np.ndarray, held: np.ndarray, weights: np.ndarray, model: Model, inverse: Precision) -> Completed:
    """Fill a block of the active columns, given ``precision_of(model)``; patterns of equally many holes go together."""
    precision, log_determinant, _ = inverse
    width = len(model.mean)
    rows = np.where(held, model.deviations(block), 0.0)
    pulls = rows @ precision
    quadratic = np.einsum("ij,ij->i", rows, pulls)
    kinds, kind = distinct(held)
    amount, logdet = width - kinds.sum(axis=1), np.full(len(kinds), log_determinant)
    weight = np.bincount(kind, weights, minlength=len(kinds))
    covariance = np.zeros(width * width)
    for gone in np.unique(amount[amount > 0]):
        alike = np.flatnonzero(amount == gone)
        step = max(1, _BATCH // int(gone) ** 2)
        for start in range(0, len(alike), step):
            mine = alike[start : start + step]
            at = np.nonzero(~kinds[mine])[1].reshape(len(mine), gone)
            among = precision[at[:, :, None], at[:, None, :]]
            cov = np.linalg.inv(among)
            logdet[mine] += np.linalg.slogdet(among)[1]
            flat = at[:, :, None] * width + at[:, None, :]
            summed = cov * weight[mine, None, None]
            covariance += np.bincount(flat.ravel(), summed.ravel(), minlength=width * width)
            every, which = _members(kind, mine, len(kinds))
            for first in range(0, len(every), step):
                row, place = every[first : first + step, None], which[first : first + step]
                pull = pulls[row, at[place]]
                moved = np.matmul(cov[place], pull[:, :, None])[:, :, 0]
                rows[row, at[place]] = -moved
                quadratic[row[:, 0]] -= np.einsum("ij,ij->i", pull, moved)
    known = (kinds @ model.volume + logdet)[kind]
    likelihood = -0.5 * float(weights @ (known + quadratic))
    return Completed(rows, covariance.reshape(width, width), likelihood)


def _members(kind: np.ndarray, some: np.ndarray, kinds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows are of some kinds, and of which of them."""
    place = np.full(kinds, -1)
    place[some] = np.arange(len(some))
    found = place[kind]
    rows = np.flatnonzero(found >= 0)
    return rows, found[rows]


def moments_of(model: Model, patterns: Patterns) -> tuple[Columns, np.ndarray]:
    """Return the columns' moments and the scatter, as rows without holes would have left them; NaN if never seen."""
    columns, width, weight = patterns.columns, patterns.columns.width, patterns.columns.weight
    known = patterns.seen.weight > 0
    mean, low = np.where(known, columns.mean, np.nan), np.where(known, columns.mean_low, 0.0)
    mean[model.active], low[model.active] = model.origin, np.ldexp(model.mean, model.exponent)
    scatter = np.zeros((width, width))
    scatter[np.ix_(model.active, model.active)] = model.cov * weight
    scatter[~known], scatter[:, ~known] = np.nan, np.nan
    total = mean + low
    low = np.where(np.isfinite(total), (mean - total) + low, 0.0)
    exponent = np.zeros(width, np.int64)
    exponent[model.active] = model.exponent
    return columns._replace(mean=total, mean_low=low, squares=np.diagonal(scatter).copy(), exponent=exponent), scatter


def record(model: Model) -> dict[str, Any]:
    """Say how the fit went."""
    return {
        "iterations": len(model.log_likelihoods),
        "converged": model.converged,
        "tolerance": model.fit.tolerance,
        "ridge": model.fit.ridge if model.ridged else 0.0,
        "log_likelihood": model.log_likelihoods.tolist(),
    }
