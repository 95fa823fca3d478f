"""Weights of rows: checked, multiplied, and counted in a unit in which their sums stay within float64's range.

Sums of weights are kept times ``2**-unit``. The unit is 0 for weights from 2**-64 to 2**64, so that usual weights are
what they are; squares of any others would underflow or overflow, as those of 1e-174 and 1e155 do.
"""

from __future__ import annotations

import math

import numpy as np

from covdist.errors import DataError

Vector = np.ndarray | None  # (rows,)

UNIT_STEP = 128  # units are multiples of it
_PLAIN = UNIT_STEP // 2 - 1


def checked(weights: np.ndarray) -> np.ndarray:
    """Return the weights, or raise DataError."""
    bad = weights[~(np.isfinite(weights) & (weights >= 0))]
    if len(bad):
        raise DataError(f"weights must be finite and not negative, found {bad[0]}: correct or leave out such rows")
    return weights


def combined(frequency: Vector, reliability: Vector) -> Vector:
    if frequency is None and reliability is None:
        return None
    given = [np.asarray(w, np.float64) for w in (frequency, reliability) if w is not None]
    return given[0] if len(given) == 1 else checked(given[0] * given[1])


def unit_of(largest: float) -> int:
    return UNIT_STEP * round(math.frexp(largest)[1] / UNIT_STEP)


def in_unit(weights: Vector, held: int | None = None) -> tuple[Vector, int]:
    """Return the weights times ``2**-unit``, and the unit: that of the largest, or the one ``held`` while it serves."""
    unit = 0 if weights is None else unit_of(float(weights.max(initial=0.0)))
    if held is not None and 0 <= held - unit <= UNIT_STEP:
        unit = held
    return (weights if weights is None or not unit else np.ldexp(weights, -unit)), unit


def plain_weights(weights: Vector) -> bool:
    """Return whether all weights are positive and counted as they are."""
    return weights is None or bool(weights.min() > 2.0**-_PLAIN and weights.max() < 2.0**_PLAIN)


class SquaredWeights:
    """Sums of frequency × reliability², numpy's aweights term, by the unit of their weights; mutable."""

    def __init__(self) -> None:
        self._sums: dict[int, float] = {}

    def add(self, rows: int, weights: Vector, reliability: Vector) -> None:
        """Count rows with their weights, frequency × reliability; those of neither weigh 1."""
        scaled, unit = (weights, 0) if weights is None else in_unit(weights)
        if weights is None or scaled is None:
            found = float(rows)
        elif reliability is None:
            found = float(np.ldexp(scaled.sum(), -unit))
        else:
            live = weights > 0  # of others the reliability may leave float64's range in this unit
            found = float((scaled[live] * np.ldexp(reliability[live].astype(np.float64), -unit)).sum())
        self._sums[unit] = self._sums.get(unit, 0.0) + found

    def within(self, unit: int) -> float:
        """Return the sum times ``4**-unit``."""
        shifted = [value if own == unit else np.ldexp(value, 2 * (own - unit)) for own, value in self._sums.items()]
        return float(sum(shifted))
