"""The demo trains for real, its advice follows from its numbers, and its numbers are those of the log."""

from __future__ import annotations

import io
import json
import math
from collections import defaultdict

import numpy as np
import pytest
from rich.console import Console

from covdist import demo
from covdist.demo import advice, training

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


def numbers(layer="layer1", rms=1.0, units=20, dead=0, redundant=0):
    return advice.LayerNumbers(layer, 0.0, rms**2, rms, 0.0, rms, units, dead, redundant)


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
    dead = {
        name: max(advice.dead_units(kept.activations(layer).var(axis=0)) for layer in NAMES)
        for name, (_, kept) in runs.items()
    }
    assert dead["vanishing"] >= 10
    assert dead["sound"] <= 4


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


# --- advice


@pytest.mark.parametrize(
    ("relative", "expected"),
    [
        (1.0, "ok"),
        (0.011, "ok"),
        (0.009, "vanishing"),
        (99.0, "ok"),
        (101.0, "exploding"),
        (0.0, "no gradient"),
        (math.inf, "not finite"),
        (math.nan, "not finite"),
    ],
)
def test_verdict(relative, expected):
    assert advice.verdict(relative) == expected


def test_judge_compares_with_the_last_layer():
    rows = advice.judge([numbers(rms=1e-6), numbers("layer2", rms=1e-3), numbers("output", rms=1e-2)])
    assert [row.relative for row in rows] == pytest.approx([1e-4, 0.1, 1.0])
    assert [row.verdict for row in rows] == ["vanishing", "ok", "ok"]


def test_judge_where_nothing_learns():
    rows = advice.judge([numbers(rms=0.0), numbers("output", rms=0.0)])
    assert [row.verdict for row in rows] == ["no gradient"] * 2


def test_dead_units_are_those_without_variance():
    assert advice.dead_units(np.array([0.0, 1e-300, 2.0, 0.0])) == 2
    assert advice.dead_units(np.array([1e-300])) == 0


def test_redundant_units_follow_an_earlier_one_with_either_sign():
    rows = np.random.default_rng(0).normal(size=(50, 3))
    units = np.column_stack([rows, -2 * rows[:, 0], rows[:, 0], rows[:, 1] + rows[:, 2]])
    assert advice.redundant_units(np.corrcoef(units.T)) == 2
    assert advice.redundant_units(np.corrcoef(rows.T)) == 0


def test_a_dead_unit_is_not_redundant():
    correlation = np.array([[1, np.nan, 0.995], [np.nan, np.nan, np.nan], [0.995, np.nan, 1]])
    assert advice.redundant_units(correlation) == 1


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([numbers(), numbers("output")], "Nothing to change."),
        ([numbers(rms=1e-6), numbers("layer2", 1e-3), numbers("output")], "shrink 1000.0x per layer"),
        ([numbers(rms=1e6), numbers("layer2", 1e3), numbers("output")], "grow 1000.0x per layer"),
        ([numbers(rms=2.0), numbers("layer2", 1e-3), numbers("output")], "back to layer2: use Glorot"),
        ([numbers(), numbers("layer2", 0.0), numbers("output")], "No gradient reaches layer2"),
        ([numbers(rms=math.nan), numbers("output")], "not finite"),
        ([numbers(dead=1), numbers("layer2", dead=5), numbers("output")], "5 of 20 units of layer2 never"),
        ([numbers(redundant=3), numbers("output")], "3 of 20 units of layer1 repeat"),
        ([numbers(dead=2, redundant=2), numbers("output")], "Nothing to change."),
    ],
)
def test_suggestion(layers, expected):
    (sentence,) = advice.suggestions(advice.judge(layers))
    assert expected in sentence


def test_the_most_pressing_comes_first():
    found = advice.suggestions(advice.judge([numbers(rms=1e-5, dead=9, redundant=8), numbers("output")]))
    assert ["shrink" in found[0], "never fire" in found[1], "repeat" in found[2]] == [True] * 3


# --- the table


def test_the_table_fits_80_columns():
    widest = advice.LayerNumbers("layer10", -1.2e-13, 1e-130, 1e-65, 3.21e-10, 1e-5, 2048, 1024, 1000)
    layers = [widest, numbers("output")]
    console = page()
    console.print(demo.layer_table("one run", advice.judge(layers)))
    first, last = [line.split() for line in console.export_text().splitlines() if "/" in line][-2:]
    assert first[:5] == ["layer10", "-1.2e-13", "1.0e-130", "3.2e-10", "1.0e-05"]
    assert first[5:] == ["vanishing", "1024/2048", "1000/2048"]
    assert last[4:] == ["1.0e+00", "ok", "0/20", "0/20"]


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
            assert layer["dead"] == advice.dead_units(activation.var(axis=0))


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
