"""What a state of gradients, and one of activations, says of its layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from covdist.readings.gradients.gradient_stats import LayerSummary, summary
from covdist.readings.gradients.redundant import links
from covdist.results.deferred import members
from covdist.state.base import ColumnState

GRADIENTS = ("rms", "mean", "std", "snr", "zero_fraction", "gradient_nonfinite", "parameters")
ACTIVATIONS = ("dead_share", "saturated_share", "redundant_share", "activation_nonfinite", "units")


class _Pooled(NamedTuple):
    layer: LayerSummary
    nonfinite: int


@dataclass(frozen=True)
class OfGradients:
    """Answers with ``GRADIENTS``, float64 (groups, 7)."""

    groups: int

    def each(self, state: Any) -> list[_Pooled]:
        columns = _columns(state, self.groups)
        return [_Pooled(summary(each), _nonfinite(each)) for each in columns]

    def joined(self, answers: Sequence[list[_Pooled]]) -> np.ndarray:
        return np.array([_gradients(beside) for beside in zip(*answers, strict=True)])


def _gradients(beside: Sequence[_Pooled]) -> list[float]:
    layer = LayerSummary.joined([each.layer for each in beside])
    values = [float(layer.value(name)) for name in ("rms", "mean", "std", "snr", "zero_fraction")]
    return [*values, sum(each.nonfinite for each in beside), layer.size]


@dataclass(frozen=True)
class OfActivations:
    """Answers with ``ACTIVATIONS``, float64 (groups, 5); NaN of groups without rows enough."""

    groups: int
    redundant: float
    saturated: float
    bounds: tuple[float, float] | None

    def each(self, state: Any) -> np.ndarray:
        """Return, for each group, how many units are dead, saturated and redundant, and two counts."""
        return np.array([self._counts(each) for each in members(state, self.groups)], np.float64)

    def joined(self, answers: Sequence[np.ndarray]) -> np.ndarray:
        found = np.sum(answers, axis=0)
        found[:, :3] /= found[:, 4:]
        return found

    def _counts(self, state: Any) -> list[float]:
        columns = state.side(0)
        return [*self._units(state, columns), _nonfinite(columns), len(columns.mean())]

    def _units(self, state: Any, columns: ColumnState) -> tuple[float, float, float]:
        if columns.rows().max(initial=0) < 2:  # of which every unit would be dead
            return np.nan, np.nan, np.nan
        dead = int(np.count_nonzero(columns.deviation(0) == 0))
        return dead, self._saturated(columns), _redundant(state, self.redundant)

    def _saturated(self, columns: ColumnState) -> float:
        """Return how many units have a mean slope below the threshold; NaN where values lie beyond the bounds."""
        if self.bounds is None:
            return np.nan
        low, high = self.bounds
        centre, half = (low + high) / 2, (high - low) / 2
        from_centre = np.hypot(columns.mean() - centre, columns.deviation(0)) / half
        if from_centre.max(initial=0) > 1 + 1e-6:  # float32 rounds 1 - 1e-9 to 1
            return np.nan
        return int(np.count_nonzero(1 - from_centre**2 < self.saturated))


def _redundant(state: Any, threshold: float) -> float:
    """Return how many units follow an earlier one, with either sign; NaN of states without a matrix."""
    if not hasattr(state, "correlation"):
        return np.nan
    return len(np.unique(links(state, threshold).second))


def _columns(state: Any, groups: int) -> Iterator[Any]:
    return (each.side(0) for each in members(state, groups))


def _nonfinite(columns: Any) -> int:
    census = columns.columns.census
    return int(census.nans.sum() + census.infs.sum())
