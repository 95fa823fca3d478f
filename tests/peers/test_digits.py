"""Networks on digits: health tells those that learn from those that do not, and pruned ones keep their accuracy."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

import covdist
from covdist.demo import training
from tests.readings.gradients.networks import Kept
from tests.readings.test_prune import pruned_by


def halves(rng: np.random.Generator) -> list[training.Data]:
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    rows = np.array_split(rng.permutation(len(digits.target)), 2)
    return [training.Data((digits.data[some] / 16).astype(np.float32), digits.target[some]) for some in rows]


@pytest.fixture
def digits(monkeypatch):
    """Let training take digits: one half to train on, then the other."""
    numbers, parts = count(), {}

    def drawn(samples: int, rng: np.random.Generator) -> training.Data:
        number = next(numbers)
        if number % 2 == 0:
            parts[0], parts[1] = halves(rng)
        return parts[number % 2]

    monkeypatch.setattr(training, "spirals", drawn)
    monkeypatch.setattr(training, "CLASSES", 10)
    return parts


@pytest.mark.parametrize("seed", range(10))
def test_the_network_that_does_not_learn_is_flagged(digits, seed):
    found = {}
    for start in (training.small_weights, training.he):
        log = Kept()
        training.train(start, log, training.TrainingSettings(epochs=20, seed=seed))
        found[start] = covdist.health(log.tree(), by=())
    vanishing, sound = found.values()
    assert vanishing["vanishing"].any()
    assert "Gradients shrink" in vanishing["advice"].item()
    assert not any(sound[name].any() for name in ("vanishing", "exploding", "no_gradient", "not_finite"))


@pytest.mark.parametrize("seed", range(5))
def test_three_in_ten_units_can_go(digits, seed):
    settings = training.TrainingSettings(hidden=(96, 96), epochs=40, rate=0.05, seed=seed)
    trained = training.train(training.he, settings=settings)
    layers = by_size = trained.layers
    for number in range(2):
        behind = layers[number + 1]
        outputs = training.forward(layers, digits[0].inputs)[number + 1]
        found = covdist.moments(outputs).prune(behind.weight.T, share=0.3)
        layers = pruned_by(
            layers,
            number,
            ~found["pruned"].values,
            found["weights"].values.T,
            behind.bias + found["bias_change"].values,
        )
        size = np.linalg.norm(by_size[number].weight, axis=0)
        kept = np.argsort(np.argsort(size)) >= len(size) - len(layers[number].bias)
        by_size = pruned_by(by_size, number, kept, by_size[number + 1].weight, by_size[number + 1].bias)
    lost, lost_by_size = (trained.test_accuracy - training.accuracy(each, digits[1]) for each in (layers, by_size))
    assert lost < 0.01
    assert lost < lost_by_size
