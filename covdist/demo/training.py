"""A small deep ReLU network in plain numpy, trained for real and recorded while it trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
CLASSES = 3

Initialise = Callable[[np.random.Generator, int, int], "Layer"]


class Log(Protocol):
    """The part of a recorder that training needs."""

    def log(self, step: int, arrays: Mapping[str, Array], *, epoch: int) -> None: ...


class Layer(NamedTuple):
    """Weights (inputs, units) and biases (units,); training changes both in place."""

    weight: Array
    bias: Array


class Data(NamedTuple):
    """Inputs (samples, inputs) and class numbers (samples,)."""

    inputs: Array
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to train; the same for every initialisation."""

    hidden: tuple[int, ...] = (48,) * 8
    samples: int = 2000
    epochs: int = 30
    batch: int = 100
    rate: float = 0.02
    momentum: float = 0.9
    decay: float = 0.0
    activations_every: int = 5
    seed: int = 7


@dataclass(frozen=True)
class Trained:
    """A trained network and the share of samples it classifies rightly."""

    layers: list[Layer] = field(repr=False)
    train_accuracy: float
    test_accuracy: float
    steps: int


def spirals(samples: int, rng: np.random.Generator) -> Data:
    """Three interleaved noisy spirals, one a class, seen through 20 inputs.

    These are the 2 coordinates, 14 sines and cosines of them, and 4 inputs of pure noise.
    """
    labels = rng.integers(CLASSES, size=samples)
    turn = 3 * np.pi * np.sqrt(rng.uniform(0.05, 1, samples))
    angle = turn + 2 * np.pi / CLASSES * labels
    plane = np.stack([np.cos(angle), np.sin(angle)], axis=1) * turn[:, None] / (3 * np.pi)
    plane += rng.normal(0, 0.03, plane.shape)
    return Data(_lift(plane, rng), labels)


def _lift(plane: NDArray[np.float64], rng: np.random.Generator) -> Array:
    turned = np.stack([plane @ (np.cos(t), np.sin(t)) for t in np.arange(7) * np.pi / 7], axis=1) * 4
    noise = rng.normal(0, 0.5, (len(plane), 4))
    return np.hstack([plane, np.sin(turned), np.cos(turned), noise]).astype(np.float32)


def small_weights(rng: np.random.Generator, inputs: int, units: int) -> Layer:
    """Weights and biases of one small size whatever the width: too small for a deep network."""
    weight = rng.normal(0, 0.05, (inputs, units))
    return Layer(weight.astype(np.float32), rng.normal(0, 0.05, units).astype(np.float32))


def he(rng: np.random.Generator, inputs: int, units: int) -> Layer:
    """He initialisation: weights of variance 2 / inputs, biases zero."""
    weight = rng.normal(0, np.sqrt(2 / inputs), (inputs, units))
    return Layer(weight.astype(np.float32), np.zeros(units, np.float32))


def train(initialise: Initialise, log: Log | None = None, settings: TrainingSettings = TrainingSettings()) -> Trained:
    """Train on the spirals by stochastic gradient descent with momentum, recording as it goes.

    ``log`` gets every layer's gradient (weights, then biases, flat) at each step, and its inputs and activations at
    every ``activations_every``-th. The seed of ``settings`` fixes everything random.
    """
    rng = np.random.default_rng(settings.seed)
    training, held_out = spirals(settings.samples, rng), spirals(settings.samples, rng)
    widths = (training.inputs.shape[1], *settings.hidden, CLASSES)
    layers = [initialise(rng, *pair) for pair in pairwise(widths)]
    steps = 0
    for step, (epoch, signals, gradients) in enumerate(fit(layers, training, rng, settings)):
        if log is not None:
            whole = step % settings.activations_every == 0
            log.log(step, _record(gradients, signals if whole else []), epoch=epoch)
        steps += 1
    return Trained(layers, accuracy(layers, training), accuracy(layers, held_out), steps)


def fit(
    layers: list[Layer], data: Data, rng: np.random.Generator, settings: TrainingSettings = TrainingSettings()
) -> Iterator[tuple[int, list[Array], list[Layer]]]:
    """Train ``layers`` in place, and before each step yield its epoch, all signals and each layer's gradient."""
    speeds = [Layer(np.zeros_like(w), np.zeros_like(b)) for w, b in layers]
    for epoch in range(settings.epochs):
        for batch in _batches(data, settings.batch, rng):
            signals = forward(layers, batch.inputs)
            gradients = _backward(layers, signals, batch.labels)
            yield epoch, signals, gradients
            _descend(layers, speeds, gradients, settings)


def forward(layers: list[Layer], inputs: Array) -> list[Array]:
    """The inputs of every layer in turn, then the outputs of the last."""
    signals = [inputs]
    for number, (weight, bias) in enumerate(layers, start=1):
        sums = signals[-1] @ weight + bias
        signals.append(sums if number == len(layers) else np.maximum(sums, 0))
    return signals


def accuracy(layers: list[Layer], data: Data) -> float:
    """The share of samples whose largest output is that of their class."""
    return float(np.mean(forward(layers, data.inputs)[-1].argmax(axis=1) == data.labels))


def layer_names(amount: int) -> list[str]:
    """The recorded name of each layer, first to last."""
    return [*(f"layer{number}" for number in range(1, amount)), "output"]


def _batches(data: Data, size: int, rng: np.random.Generator) -> Iterator[Data]:
    order = rng.permutation(len(data.labels))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield Data(data.inputs[rows], data.labels[rows])


def _backward(layers: list[Layer], signals: list[Array], labels: NDArray[np.int64]) -> list[Layer]:
    scores = np.exp(signals[-1] - signals[-1].max(axis=1, keepdims=True))
    error = scores / scores.sum(axis=1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    gradients = []
    for (weight, _), signal in zip(reversed(layers), reversed(signals[:-1]), strict=True):
        gradients.append(Layer(signal.T @ error, error.sum(axis=0)))
        error = (error @ weight.T) * (signal > 0)
    return gradients[::-1]


def _record(gradients: list[Layer], signals: list[Array]) -> dict[str, Array]:
    names = layer_names(len(gradients))
    arrays = {f"{name}/gradient": np.append(*layer) for name, layer in zip(names, gradients, strict=True)}
    for name, (before, after) in zip(names, pairwise(signals), strict=False):
        arrays |= {f"{name}/input": before, f"{name}/activation": after}
    return arrays


def _descend(layers: list[Layer], speeds: list[Layer], gradients: list[Layer], settings: TrainingSettings) -> None:
    for layer, speed, gradient in zip(layers, speeds, gradients, strict=True):
        for value, velocity, slope in zip(layer, speed, gradient, strict=True):
            velocity *= settings.momentum
            velocity -= settings.rate * (slope + settings.decay * value)
            value += velocity
