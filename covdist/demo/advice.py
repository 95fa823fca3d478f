"""From a layer's numbers to words a trainer can act on; pure functions, no data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

VANISHING = 1 / 100  # of the last layer's gradient, root mean square over steps and parameters
EXPLODING = 100
COPY = 0.99  # |correlation| above which one unit says what another says
WORTH_SAYING = 1 / 10  # of a layer's units


@dataclass(frozen=True)
class LayerNumbers:
    """What was measured in one layer; gradients are pooled over all steps and parameters."""

    layer: str
    mean: float
    variance: float
    std: float
    snr: float
    rms: float
    units: int
    dead: int
    redundant: int


class Row(NamedTuple):
    """One layer with its gradient relative to the last layer's, and what that means."""

    numbers: LayerNumbers
    relative: float
    verdict: str

    def plain(self) -> dict[str, Any]:
        """The row as a flat dict of numbers and words."""
        return {**asdict(self.numbers), "relative": self.relative, "verdict": self.verdict}


def dead_units(variance: NDArray[np.floating]) -> int:
    """How many units (unit,) have no variance: they gave the same value, mostly 0, for every sample."""
    return int(np.count_nonzero(variance == 0))


def redundant_units(correlation: NDArray[np.floating]) -> int:
    """How many units of (unit, unit) follow an earlier unit, with either sign; NaN follows nothing."""
    return int(np.count_nonzero((np.abs(np.tril(correlation, -1)) > COPY).any(axis=1)))


def verdict(relative: float) -> str:
    """What a gradient of this size, relative to the last layer's, means."""
    if not math.isfinite(relative):
        return "not finite"
    if relative == 0:
        return "no gradient"
    if relative < VANISHING:
        return "vanishing"
    return "exploding" if relative > EXPLODING else "ok"


def judge(layers: Sequence[LayerNumbers]) -> list[Row]:
    """Compare every layer's gradient with that of the last; they come from the input to the output."""
    last = layers[-1].rms
    ratios = [numbers.rms / last if last else 0.0 for numbers in layers]
    return [Row(numbers, ratio, verdict(ratio)) for numbers, ratio in zip(layers, ratios, strict=True)]


def suggestions(rows: Sequence[Row]) -> list[str]:
    """Plain sentences on what to change, the most pressing first; one that says so where nothing is wrong."""
    dead = _worst(rows, lambda numbers: numbers.dead)
    redundant = _worst(rows, lambda numbers: numbers.redundant)
    found = [
        _about_gradients(rows),
        dead and f"{dead} never fire: start biases at zero, or lower the learning rate.",
        redundant and f"{redundant} repeat an earlier unit: a narrower layer would do, or a less uniform start.",
    ]
    return [sentence for sentence in found if sentence] or ["Nothing to change."]


def _about_gradients(rows: Sequence[Row]) -> str:
    verdicts = [row.verdict for row in rows]
    if "not finite" in verdicts:
        return "Gradients are not finite: lower the learning rate."
    if "no gradient" in verdicts:
        layer = rows[verdicts.index("no gradient")].numbers.layer
        return f"No gradient reaches {layer}: look for a layer behind it that is cut off or dead."
    ratios = [row.relative for row in rows]
    if "vanishing" in verdicts:
        change = _per_layer(rows, ratios.index(min(ratios)))
        return f"Gradients shrink {change}: use Glorot or He initialisation, or normalisation."
    if "exploding" in verdicts:
        return f"Gradients grow {_per_layer(rows, ratios.index(max(ratios)))}: start smaller, or clip them."
    return ""


def _per_layer(rows: Sequence[Row], extreme: int) -> str:
    factor = rows[extreme].relative ** (1 / (len(rows) - 1 - extreme))
    return f"{max(factor, 1 / factor):.1f}x per layer on their way back to {rows[extreme].numbers.layer}"


def _worst(rows: Sequence[Row], count: Callable[[LayerNumbers], int]) -> str:
    numbers = max((row.numbers for row in rows), key=lambda one: count(one) / one.units)
    amount, units = count(numbers), numbers.units
    return f"{amount} of {units} units of {numbers.layer}" if amount > WORTH_SAYING * units else ""
