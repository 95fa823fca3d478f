"""The demo trains for real, its advice follows from its numbers, and its numbers are those of the log."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections import defaultdict

import numpy as np
import pytest
from rich.console import Console

from covdist import demo
from covdist.demo import training
from covdist.demo.digits import digits

NAMES = training.layer_names(9)


class Kept:
    """A recorder that keeps copies in memory: the oracle's log."""

    def __init__(self):
        self.arrays = defaultdict(list)
        self.epochs = []

    def log(self, step, arrays, *, epoch):
        self.epochs.append(epoch)
        for name, array in arrays.items():
            self.arrays[name].append(np.array(array, dtype=np.float64))

    def gradients(self, layer):
        return np.stack(self.arrays[f"{layer}/gradient"])

    def activations(self, layer):
        return np.concatenate(self.arrays[f"{layer}/activation"])


@pytest.fixture(scope="module")
def runs():
    found = {}
    for name, (_, initialise) in demo.RUNS.items():
        kept = Kept()
        found[name] = training.train(initialise, kept), kept
    return found


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    console = page()
    return demo.run(tmp_path_factory.mktemp("demo"), console), console.export_text()


def page():
    return Console(width=80, record=True, file=io.StringIO())


def rms(array):
    return math.sqrt(np.mean(array**2))


def dead(activations):
    """Units that never change."""
    return np.count_nonzero(np.ptp(activations, axis=0) == 0)


# --- training


def test_only_the_sound_start_learns(runs):
    sound, vanishing = runs["sound"][0], runs["vanishing"][0]
    assert sound.test_accuracy > 0.95
    assert sound.train_accuracy > 0.95
    assert vanishing.test_accuracy < 0.45  # chance is 1/3


def test_gradients_vanish_from_small_weights_alone(runs):
    ratios = {name: rms(kept.gradients("layer1")) / rms(kept.gradients("output")) for name, (_, kept) in runs.items()}
    assert 0 < ratios["vanishing"] < 1e-3
    assert 0.05 < ratios["sound"] < 20


def test_small_weights_leave_units_dead(runs):
    most = {name: max(dead(kept.activations(layer)) for layer in NAMES) for name, (_, kept) in runs.items()}
    assert most["vanishing"] >= 10
    assert most["sound"] <= 4


def test_recorded_gradient_is_the_slope_of_the_loss():
    settings = training.TrainingSettings(hidden=(7, 6), samples=40, batch=40, epochs=1)
    data = training.spirals(settings.samples, np.random.default_rng(settings.seed))
    layers = []

    def start(rng, inputs, units):
        layer = training.Layer(rng.normal(0, 0.5, (inputs, units)), rng.normal(0, 0.1, units))
        layers.append(training.Layer(layer.weight.copy(), layer.bias.copy()))
        return layer

    def loss():
        outputs = training.forward(layers, data.inputs)[-1]
        chosen = outputs[np.arange(len(data.labels)), data.labels]
        return np.mean(np.log(np.exp(outputs).sum(axis=1)) - chosen)

    kept = Kept()
    training.train(start, kept, settings)
    for name, layer in zip(training.layer_names(3), layers, strict=True):
        slopes = np.split(kept.gradients(name)[0], [layer.weight.size])
        for array, slope in zip((layer.weight.reshape(-1), layer.bias), slopes, strict=True):
            place = np.abs(slope).argmax()
            start_value = array[place]
            array[place] = start_value + 1e-6
            above = loss()
            array[place] = start_value - 1e-6
            assert (above - loss()) / 2e-6 == pytest.approx(slope[place], rel=1e-5)
            array[place] = start_value


def test_the_seed_fixes_the_run():
    settings = training.TrainingSettings(epochs=1)
    first, again = (training.train(training.he, settings=settings) for _ in range(2))
    other = training.train(training.he, settings=training.TrainingSettings(epochs=1, seed=8))
    np.testing.assert_array_equal(first.layers[0].weight, again.layers[0].weight)
    assert not np.array_equal(first.layers[0].weight, other.layers[0].weight)


def test_records_gradients_always_and_activations_sometimes():
    kept = Kept()
    trained = training.train(training.he, kept, training.TrainingSettings(epochs=2, samples=600, activations_every=4))
    assert trained.steps == 12
    assert kept.epochs == [0] * 6 + [1] * 6
    assert kept.gradients("layer1").shape == (12, 21 * 48)
    assert kept.activations("layer1").shape == (300, 48)
    np.testing.assert_array_equal(kept.arrays["layer2/input"][1], kept.arrays["layer1/activation"][1])


# --- from the log to the page


def test_the_log_gives_the_numbers_that_training_saw(shown, runs):
    found, _ = shown
    for name, (trained, kept) in runs.items():
        assert found[name]["test_accuracy"] == trained.test_accuracy
        assert [layer["layer"] for layer in found[name]["layers"]] == NAMES
        for layer in found[name]["layers"]:
            gradient, activation = kept.gradients(layer["layer"]), kept.activations(layer["layer"])
            assert layer["rms"] == pytest.approx(rms(gradient), rel=1e-9)
            assert layer["mean"] == pytest.approx(gradient.mean(), rel=1e-6, abs=1e-9 * rms(gradient))
            assert layer["dead_share"] == dead(activation) / activation.shape[1]


def test_the_page_says_what_is_wrong(shown):
    found, text = shown
    assert [layer["verdict"] for layer in found["sound"]["layers"]] == ["ok"] * 9
    assert found["vanishing"]["layers"][0]["verdict"] == "vanishing"
    assert "Glorot or He initialisation" in found["vanishing"]["suggestions"][0]
    assert found["sound"]["suggestions"] == ["Nothing to change."]
    words = " ".join(text.split())
    for word in (*NAMES, "vanishing", "held out", "never fire", "Nothing to change."):
        assert word in words
    assert "…" not in text


def test_the_numbers_are_plain(shown):
    assert json.loads(json.dumps(shown[0])) == shown[0]


# --- digits


def test_digits_are_told_apart_by_their_bars():
    data = digits(500, np.random.default_rng(0))
    assert data.inputs.shape == (500, 13 * 8)
    assert data.inputs.dtype == np.float32
    assert set(data.labels) == set(range(10))
    lit = (data.inputs > 0.45).sum(axis=1)
    rows = {digit: np.median(lit[data.labels == digit]) for digit in range(10)}
    assert rows == {0: 24, 1: 8, 2: 20, 3: 20, 4: 16, 5: 20, 6: 24, 7: 12, 8: 28, 9: 24}  # four pixels a bar


def test_only_some_digits():
    assert set(digits(100, np.random.default_rng(0), only=(3, 6)).labels) == {3, 6}


def test_weight_decay_shrinks_weights_and_the_steps_of_training_are_those_of_fit():
    settings = training.TrainingSettings(hidden=(8,), samples=100, epochs=2, batch=50)
    rng = np.random.default_rng(0)
    data = training.spirals(100, rng)
    starts = [training.he(rng, *widths) for widths in ((20, 8), (8, 3))]
    norms = []
    for decay in (0.0, 1.0):
        layers = [training.Layer(*(value.copy() for value in layer)) for layer in starts]
        steps = training.fit(layers, data, np.random.default_rng(1), dataclasses.replace(settings, decay=decay))
        assert [epoch for epoch, *_ in steps] == [0, 0, 1, 1]
        norms.append(np.linalg.norm(layers[0].weight))
    assert norms[1] < 0.95 * norms[0]
