"""From the layers' numbers to flags, and to words a trainer can act on; pure functions, no data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase

import numpy as np

from covdist.errors import DataError

Numbers = dict[str, np.ndarray]  # by name, each (layers,), from the input to the output
FLAGS = ("vanishing", "exploding", "no_gradient", "dead", "saturated", "redundant", "not_finite")
_LONG = 10_000  # of what factors are written in powers of ten
GOOD = (OK, UNKNOWN) = ("ok", "unknown")  # unknown: its gradient, or that of the last layer, says nothing
_OF_GRADIENTS = ("no_gradient", "vanishing", "exploding")
_OF_ACTIVATIONS = ("not_finite", "dead", "saturated", "redundant")


@dataclass(frozen=True)
class Thresholds:
    """Beyond which a number is a finding; as :func:`covdist.health` describes them."""

    vanishing: float = 1 / 100
    exploding: float = 100.0
    redundant: float = 0.99
    saturated: float = 1 / 20
    share: float = 1 / 10

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            most = np.inf if name == "exploding" else 1.0
            if not isinstance(value, int | float | np.number) or not 0 < value <= most or math.isinf(value):
                expected = "a number greater than 0" + ("" if name == "exploding" else " and at most 1")
                raise DataError(f"{name}={value!r} is not a threshold: pass {expected}")


def bounds_of(layer: str, bounds: Mapping[str, tuple[float, float]]) -> tuple[float, float] | None:
    """Return the bounds of the first pattern that a layer matches."""
    return next((each for pattern, each in bounds.items() if fnmatchcase(layer, pattern)), None)


def judged(measured: Numbers, thresholds: Thresholds) -> Numbers:
    """Return the gradients relative to those of the last layer, and the flags."""
    relative = _relative(measured["rms"], measured["parameters"])
    share = thresholds.share
    with np.errstate(invalid="ignore"):  # NaN, which is above and below nothing
        flags = {
            "vanishing": (relative > 0) & (relative < thresholds.vanishing),
            "exploding": relative > thresholds.exploding,
            "no_gradient": measured["rms"] == 0,
            "dead": measured["dead_share"] > share,
            "saturated": measured["saturated_share"] > share,
            "redundant": measured["redundant_share"] > share,
            "not_finite": (measured["gradient_nonfinite"] > 0) | (measured["activation_nonfinite"] > 0),
        }
    return {"relative": relative, **flags, "verdict": _verdicts(relative, flags, measured["gradient_nonfinite"])}


def last_of(parameters: np.ndarray) -> int:
    """Return the number of the last layer that has gradients, of layers without any the last."""
    recorded = np.flatnonzero(parameters)
    return int(recorded[-1]) if len(recorded) else len(parameters) - 1


def _relative(rms: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Return each layer's gradient over that of the last layer; NaN where that one's is 0."""
    last = rms[last_of(parameters)]
    with np.errstate(over="ignore", invalid="ignore"):
        return rms / (last if last > 0 else np.nan)


def ratio_text(value: float, spec: str) -> str:
    """Return a gradient over the last layer's as text; nothing where it is not known."""
    return "" if math.isnan(value) else ">1e308" if math.isinf(value) else format(value, spec)


def _verdicts(relative: np.ndarray, flags: Numbers, nonfinite: np.ndarray) -> np.ndarray:
    """Return what each layer's gradient suffers from; where that is fine, what its activations do."""
    found = {"not finite": nonfinite > 0, **_said(flags, _OF_GRADIENTS)}
    conditions = [*found.items(), *_said(flags, _OF_ACTIVATIONS).items(), (UNKNOWN, np.isnan(relative))]
    return np.select([true for _, true in conditions], [verdict for verdict, _ in conditions], OK)


def _said(flags: Numbers, names: Sequence[str]) -> Numbers:
    return {name.replace("_", " "): flags[name] for name in names}


def per_layer(rms: np.ndarray) -> tuple[float, float]:
    """Return the factor from a layer to the one before it, and the standard error of its logarithm.

    By least squares of log rms over depth; NaN of fewer than two layers with a gradient, the error of fewer than three.
    """
    depth = np.arange(len(rms), 0, -1.0)
    some = np.isfinite(rms) & (rms > 0)
    count = int(some.sum())
    if count < 2:
        return np.nan, np.nan
    x, y = depth[some] - depth[some].mean(), np.log(rms[some])
    slope = (x @ y) / (x @ x)
    left = y - y.mean() - slope * x
    error = np.sqrt((left @ left) / (count - 2) / (x @ x)) if count > 2 else np.nan
    with np.errstate(over="ignore"):
        return float(np.exp(slope)), float(error)


def advice(layers: Sequence[str], numbers: Numbers) -> str:
    """Return sentences on what to change, a line each, the most pressing first; or one that nothing is wrong."""
    units = (
        ("dead", "never fire: start biases at zero, or lower the learning rate."),
        ("saturated", "are saturated: start with smaller weights, or normalise what goes into them."),
        ("redundant", "repeat an earlier unit: a narrower layer would do, or a less uniform start."),
    )
    found = [_about_nonfinite(layers, numbers), _about_gradients(layers, numbers)]
    found += [_about_units(layers, numbers, kind, says) for kind, says in units]
    return "\n".join([sentence for sentence in found if sentence] or ["Nothing to change."])


def _about_nonfinite(layers: Sequence[str], numbers: Numbers) -> str:
    for kind in ("gradient", "activation"):
        counts = numbers[f"{kind}_nonfinite"]
        if counts.any():
            worst = int(counts.argmax())
            values = f"{int(counts[worst]):,} value{'s' if counts[worst] > 1 else ''} of {layers[worst]}"
            return f"{kind.capitalize()}s are not finite, as {values}: lower the learning rate."
    return ""


def _about_gradients(layers: Sequence[str], numbers: Numbers) -> str:
    relative = numbers["relative"]
    if numbers["no_gradient"].any():
        layer = layers[int(numbers["no_gradient"].argmax())]
        return f"No gradient reaches {layer}: look for a layer behind it that is cut off or dead."
    if numbers["vanishing"].any():
        change = _on_their_way(layers, numbers, int(np.nanargmin(relative)))
        return f"Gradients shrink {change}: use Glorot or He initialisation, or normalisation."
    if numbers["exploding"].any():
        change = _on_their_way(layers, numbers, int(np.nanargmax(relative)))
        return f"Gradients grow {change}: start smaller, or clip them."
    return ""


def _on_their_way(layers: Sequence[str], numbers: Numbers, extreme: int) -> str:
    last = last_of(numbers["parameters"])
    here, there = (float(np.log10(numbers["rms"][layer])) for layer in (extreme, last))
    factor = Decimal(10) ** Decimal(abs(here - there) / (last - extreme))  # further apart than float64 reaches
    said = f"{factor:.1f}" if factor < _LONG else f"{factor:.1e}"
    return f"{said}x per layer on their way back to {layers[extreme]}"


def _about_units(layers: Sequence[str], numbers: Numbers, kind: str, says: str) -> str:
    if not numbers[kind].any():
        return ""
    shares = numbers[f"{kind}_share"]
    worst = int(np.nanargmax(shares))
    units = int(numbers["units"][worst])
    return f"{round(shares[worst] * units):,} of {units:,} units of {layers[worst]} {says}"
