"""From numbers to flags and sentences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covdist.errors import DataError
from covdist.readings.gradients.health.verdicts import FLAGS, Thresholds, advice, judged, per_layer

LAYERS = ["layer1", "layer2", "output"]
SHARES = ("dead_share", "saturated_share", "redundant_share")


def found(rms=(1.0, 1.0, 1.0), thresholds=Thresholds(), **others):
    """Return what is said of three layers of 20 units."""
    measured = {"rms": np.array(rms, float), "parameters": np.full(3, 4.0), "units": np.full(3, 20.0)}
    measured |= {name: np.zeros(3) for name in (*SHARES, "gradient_nonfinite", "activation_nonfinite")}
    measured |= {name: np.array(values, float) for name, values in others.items()}
    return measured | judged(measured, thresholds)


def said(*args, **others):
    return advice(LAYERS, found(*args, **others)).split("\n")


@pytest.mark.parametrize(
    ("relative", "expected"),
    [(1.0, "ok"), (0.011, "ok"), (0.009, "vanishing"), (99.0, "ok"), (101.0, "exploding"), (0.0, "no gradient"),
     (math.nan, "unknown")],
)  # fmt: skip
def test_the_verdict_follows_from_the_relative_gradient(relative, expected):
    numbers = found((relative * 7, 7.0, 7.0))
    assert numbers["verdict"].tolist() == [expected, "ok", "ok"]
    assert numbers["relative"][2] == 1


def test_a_gradient_that_is_not_finite_is_so_whatever_its_size():
    assert found((1e-9, 1, 1), gradient_nonfinite=(1, 0, 0))["verdict"][0] == "not finite"
    numbers = found(activation_nonfinite=(0, 2, 0))
    assert numbers["verdict"].tolist() == ["ok", "not finite", "ok"]
    assert numbers["not_finite"].tolist() == [False, True, False]


@pytest.mark.parametrize("kind", ["dead", "saturated", "redundant"])
def test_where_the_gradient_is_fine_or_unknown_the_verdict_is_on_the_activations(kind):
    shares = {f"{kind}_share": (0.5, 0.5, 0.5)}
    assert found((1e-9, 1, 1), **shares)["verdict"].tolist() == ["vanishing", kind, kind]
    assert found((np.nan,) * 3, parameters=(0, 0, 0), **shares)["verdict"].tolist() == [kind] * 3


def test_a_value_that_is_not_finite_hides_no_gradient_that_vanishes():
    first, second = said((1e-6, 1e-3, 1), activation_nonfinite=(1, 0, 0))
    assert "not finite" in first
    assert "shrink 1000.0x per layer" in second


def test_the_last_layer_with_gradients_is_the_measure():
    numbers = found((1e-3, 1.0, np.nan), parameters=(4, 4, 0))
    assert numbers["verdict"].tolist() == ["vanishing", "ok", "unknown"]
    assert "shrink 1000.0x per layer" in advice(LAYERS, numbers)


def test_where_nothing_reaches_the_last_layer_nothing_is_relative():
    numbers = found((1.0, 0.0, 0.0))
    assert numbers["verdict"].tolist() == ["unknown", "no gradient", "no gradient"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "Nothing to change."),
        ({"rms": (1e-6, 1e-3, 1)}, "shrink 1000.0x per layer on their way back to layer1"),
        ({"rms": (1e6, 1e3, 1)}, "grow 1000.0x per layer"),
        ({"rms": (2, 1e-3, 1)}, "back to layer2: use Glorot"),
        ({"rms": (1, 0, 1)}, "No gradient reaches layer2"),
        ({"gradient_nonfinite": (1, 3, 0)}, "Gradients are not finite, as 3 values of layer2"),
        ({"activation_nonfinite": (1, 0, 0)}, "Activations are not finite, as 1 value of layer1"),
        ({"dead_share": (0.05, 0.25, 0)}, "5 of 20 units of layer2 never"),
        ({"redundant_share": (0.15, np.nan, 0)}, "3 of 20 units of layer1 repeat"),
        ({"saturated_share": (0, 0.5, 0.3)}, "10 of 20 units of layer2 are saturated"),
        ({"dead_share": (0.1, 0, 0), "redundant_share": (0.1, 0, 0)}, "Nothing to change."),
    ],
)
def test_the_sentence(given, expected):
    (sentence,) = said(**given)
    assert expected in sentence


def test_the_most_pressing_comes_first():
    sentences = said((1e-5, 1, 1), dead_share=(0.5, 0, 0), redundant_share=(0.4, 0, 0), saturated_share=(0.4, 0, 0))
    words = ("shrink", "never fire", "saturated", "repeat")
    assert [word in sentence for word, sentence in zip(words, sentences, strict=True)] == [True] * 4


@given(st.lists(st.floats(1e-300, 1e300), min_size=3, max_size=3), st.floats(1e-3, 0.9), st.floats(1.5, 1e3))
def test_flags_are_comparisons_with_the_last_layer(rms, vanishing, exploding):
    numbers = found(rms, Thresholds(vanishing=vanishing, exploding=exploding))
    for row, size in enumerate(rms):
        assert numbers["vanishing"][row] == (0 < size / rms[-1] < vanishing)
        assert numbers["exploding"][row] == (size / rms[-1] > exploding)
    assert not any(numbers[name][2] for name in FLAGS)


@given(st.floats(-3, 3), st.integers(3, 8))
def test_the_factor_of_a_geometric_decay_is_found_without_error(power, layers):
    factor, error = per_layer(10.0 ** (power * np.arange(layers, 0, -1)))
    assert factor == pytest.approx(10**power, rel=1e-9)
    assert error < 1e-9


def test_the_factor_is_that_of_a_regression():
    rms = np.random.default_rng(0).lognormal(size=9)
    rms[3] = np.nan
    some = np.isfinite(rms)
    depth = np.arange(9, 0, -1)[some]
    design = np.stack([depth, np.ones(8)], axis=1)
    (slope, _), (left,), *_ = np.linalg.lstsq(design, np.log(rms[some]))
    error = np.sqrt(left / 6 * np.linalg.inv(design.T @ design)[0, 0])
    assert per_layer(rms) == pytest.approx((np.exp(slope), error))


@pytest.mark.parametrize("rms", [[], [1.0], [np.nan, 1.0], [0.0, 1.0]])
def test_of_one_layer_there_is_no_factor(rms):
    assert np.isnan(per_layer(np.array(rms))).all()


@pytest.mark.parametrize("name", ["vanishing", "exploding", "redundant", "saturated", "share"])
@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, "much", None])
def test_what_is_no_threshold(name, value):
    with pytest.raises(DataError, match=f"{name}=.* is not a threshold: pass a number greater than 0"):
        Thresholds(**{name: value})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("rms", "way"), [((1e-300, 1.0, 1e300), "shrink"), ((1e300, 1.0, 1e-300), "grow")])
def test_gradients_further_apart_than_float64_reaches(rms, way):
    assert said(rms)[0].startswith(f"Gradients {way} 1.0e+300x per layer on their way back to layer1: ")
    assert found((rms[0], rms[2], rms[2]))["relative"][0] == (0 if way == "shrink" else np.inf)
    assert said((rms[0], rms[2], rms[2]))[0].startswith(f"Gradients {way} 1.0e+300x per layer") == (way == "grow")
    factor, _ = per_layer(np.array([1e-300, 1e300]) if way == "shrink" else np.array([1e300, 1e-300]))
    assert factor == (0 if way == "shrink" else np.inf)
