"""``health`` of what was folded before: moments of gradients and activations by the paths of a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from covdist.errors import DataError, shown
from covdist.readings.gradients.health.questions import OfActivations, OfGradients
from covdist.readings.gradients.health.table import HealthTable, labelled_table, shared_groups
from covdist.readings.gradients.health.verdicts import Thresholds
from covdist.readings.layers.nodes import absent_of
from covdist.results.deferred import apply
from covdist.results.labelled_state import LabelledState

Bounds = tuple[float, float] | None


def check_rows_unasked(dim: object, by: object) -> None:
    """Raise DataError where rows of moments are to be chosen or grouped, which was done when they were folded."""
    if dim is not None or by is not None:
        raise DataError("dim and by choose rows of a log, and moments have theirs: leave them out, or pass the log")


def states_of(states: Mapping[str, object], **variables: str) -> dict[str, dict[int, LabelledState]]:
    """Return by layer the moments of its variables, by their place among these, which options name."""
    names, known = list(variables.values()), set[str]()
    found = dict[str, dict[int, LabelledState]]()
    for path, m in states.items():
        if not isinstance(m, LabelledState):
            raise DataError(
                f"health reads moments by path, found a {type(m).__name__} as {shown(path)!r}: pass what covdist.load "
                "gives, or a log"
            )
        layer, _, variable = full_path(path, m).rpartition("/")
        if variable in names and len(m.layout.axes) == 1:
            found.setdefault(layer or "root", {})[names.index(variable)] = m
            known.add(variable)
    if absent := absent_of(variables, known):
        raise DataError(
            f"no moments are of a variable {' or '.join(map(repr, absent.values()))}, found are "
            f"{', '.join(map(shown, states)) or 'none'}: pass {' or '.join(f'{option}=...' for option in absent)}"
        )
    return found


def full_path(path: str, m: LabelledState) -> str:
    """Return the path of the array that moments are of: a result of one variable calls them by its node alone."""
    source = str(m.layout.provenance.get("source", ""))
    return source if source.startswith(f"{path}/") or not path else path


def health_of_states(
    layers: Mapping[str, tuple[Mapping[int, LabelledState], Bounds]], thresholds: Thresholds
) -> xr.Dataset:
    """Return the table of layers, from the input to the output, each with its moments and bounds."""
    by_path = {f"{layer}/{kind}": m for layer, (kinds, _) in layers.items() for kind, m in kinds.items()}
    groups = {path: m.layout.groups for path, m in by_path.items()}
    dims = {None if each is None else each.dim for each in groups.values()}
    if len(dims) > 1:
        raise DataError(
            f"moments have groups by {', '.join(sorted(map(str, dims)))}: health takes one kind of groups, so add up "
            "the others, such as by m.merge('epoch')"
        )
    answers = [
        apply(_Answer(f"{layer}/{kind}", _question(kind, m, bounds, thresholds)), *m.deferred.parts)
        for layer, (kinds, bounds) in layers.items()
        for kind, m in kinds.items()
    ]
    return labelled_table(HealthTable(list(layers), shared_groups(groups), thresholds), answers)


def _question(kind: int, m: LabelledState, bounds: Bounds, thresholds: Thresholds) -> OfGradients | OfActivations:
    groups = 1 if m.layout.groups is None else m.layout.groups.size
    if kind == 0:
        return OfGradients(groups)
    return OfActivations(groups, thresholds.redundant, thresholds.saturated, bounds)


class _Answer:
    def __init__(self, path: str, question: Any):
        self._path, self._question = path, question

    def __call__(self, *parts: Any) -> dict[str, Any]:
        return {self._path: self._question.joined([self._question.each(part) for part in parts])}
