"""Folds rows into what a Gaussian expects of them and their holes; for more patterns than a table is worth."""

from __future__ import annotations

import numpy as np

from covdist.numerics.accumulator import combined
from covdist.numerics.blas import single_thread
from covdist.numerics.em import Expected, Model, complete, precision_of
from covdist.numerics.nonfinite import holes
from covdist.numerics.segments import Vector

_VALUES = 1 << 18  # looked at together


class ExpectedAccumulator:
    """Mutable, lives inside one task; the rows have been looked through by the pass that made the model."""

    least_rows = 256

    def __init__(self, model: Model, inf: str):
        self._model, self._inf = model, inf
        self._held = Expected.nothing(len(model.mean))
        with single_thread():
            self._precision = precision_of(model)

    def add(self, block: np.ndarray, frequency: Vector = None, reliability: Vector = None) -> None:
        """Fold rows in place."""
        weights = combined(frequency, reliability)
        height = max(1, _VALUES // max(block.shape[1], 1))
        with single_thread():
            for start in range(0, len(block), height):
                cut = slice(start, start + height)
                self._fold(block[cut], None if weights is None else weights[cut])

    def _fold(self, block: np.ndarray, given: Vector) -> None:
        weights = np.ones(len(block)) if given is None else given
        values = block[:, self._model.active].astype(np.float64)
        held = ~holes(values, self._inf)
        some = held.any(axis=1) & (weights > 0)
        found = complete(values[some], held[some], weights[some], self._model, self._precision)
        rows = found.rows if given is None else found.rows * np.sqrt(weights[some])[:, None]
        products = rows.T @ rows + found.covariance
        sums = weights[some] @ found.rows
        self._held = self._held.merge(Expected(float(weights[some].sum()), sums, products, found.log_likelihood))

    def state(self) -> Expected:
        """Return what was folded so far."""
        return self._held
