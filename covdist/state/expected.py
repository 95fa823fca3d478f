"""``Expected``: sums over rows, with missing values as a Gaussian expects them; of a table or row by row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covdist.numerics.accumulator import combined
from covdist.numerics.blas import single_thread
from covdist.numerics.em import Model, PatternTable, complete, precision_of, regression
from covdist.numerics.nonfinite import holes
from covdist.numerics.segments import Vector

_VALUES = 1 << 18  # looked at together


class Expected(NamedTuple):
    """Sums over the active columns of a model, less its mean; an iteration turns them into the next model."""

    weight: float
    sums: np.ndarray
    products: np.ndarray
    log_likelihood: float

    @classmethod
    def empty(cls, width: int) -> Expected:
        return cls(0.0, np.zeros(width), np.zeros((width, width)), 0.0)

    def merge(self, other: Expected) -> Expected:
        return Expected(
            self.weight + other.weight,
            self.sums + other.sums,
            self.products + other.products,
            self.log_likelihood + other.log_likelihood,
        )


def expected_of(table: PatternTable, model: Model) -> Expected:
    """Return the sums over all rows of a table of the active columns, each pattern at once."""
    inverse, weight = precision_of(model), table.weight
    precision, away = inverse.matrix, np.where(table.held, table.mean - model.mean, 0.0)
    sums, products = weight @ away, table.scatter.sum(axis=0) + (away * weight[:, None]).T @ away
    log_likelihood = -0.5 * float(weight @ (table.held @ model.volume))
    for held, w, mean, scatter in zip(table.held, weight, away, table.scatter, strict=True):
        present, missing = np.flatnonzero(held), np.flatnonzero(~held)
        known = scatter[present[:, None], present] + w * np.outer(mean[present], mean[present])
        coefficients, covariance, log_determinant = regression(precision, present, missing)
        crossed = coefficients @ known
        sums[missing] -= w * (coefficients @ mean[present])
        products[missing[:, None], present] -= crossed
        products[present[:, None], missing] -= crossed.T
        products[missing[:, None], missing] += crossed @ coefficients.T + w * covariance
        quadratic = float(np.vdot(precision[present[:, None], present], known))
        quadratic -= float(np.vdot(precision[missing[:, None], present], crossed))
        log_likelihood -= 0.5 * (w * (inverse.log_determinant + log_determinant) + quadratic)
    return Expected(float(weight.sum()), sums, products, log_likelihood)


class ExpectedAccumulator:
    """Folds rows into ``Expected``, where there are more patterns than a table is worth.

    Mutable, lives inside one task; the pass that made the model has screened the rows.
    """

    least_rows = 256

    def __init__(self, model: Model, inf: str):
        self._model, self._inf = model, inf
        self._held = Expected.empty(len(model.mean))
        with single_thread():
            self._precision = precision_of(model)

    def add(self, block: np.ndarray, frequency: Vector = None, reliability: Vector = None) -> None:
        weights = combined(frequency, reliability)
        height = max(1, _VALUES // max(block.shape[1], 1))
        with single_thread():
            for start in range(0, len(block), height):
                cut = slice(start, start + height)
                self._fold(block[cut], None if weights is None else weights[cut])

    def _fold(self, block: np.ndarray, given: Vector) -> None:
        values = block[:, self._model.active].astype(np.float64)
        present = ~holes(values, self._inf)
        weights = np.ones(len(block)) if given is None else given
        some = present.any(axis=1) & (weights > 0)
        values, present, weights = values[some], present[some], weights[some]
        filled = complete(values, present, weights, self._model, self._precision)
        rows = filled.rows if given is None else filled.rows * np.sqrt(weights)[:, None]
        products = rows.T @ rows + filled.covariance
        sums = weights @ filled.rows
        self._held = self._held.merge(Expected(float(weights.sum()), sums, products, filled.log_likelihood))

    def state(self) -> Expected:
        return self._held
