"""Scales of layers, applied to networks and measured again."""

from __future__ import annotations

from itertools import pairwise

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.demo.training import Layer, forward
from covdist.errors import DataError

from .containers import quick

WIDTHS = (20, 30, 16, 24, 3)
NAMES = ["fc1", "fc2", "fc3", "out"]


def network(seed: int) -> tuple[list[Layer], np.ndarray]:
    """Return layers of weights far too small or large, with biases, and inputs."""
    rng = np.random.default_rng(seed)
    layers = [
        Layer(rng.normal(size=(a, b)) * 10.0 ** rng.integers(-3, 2), rng.normal(size=b) * 0.1)
        for a, b in pairwise(WIDTHS)
    ]
    return layers, rng.normal(size=(300, WIDTHS[0]))


def states(layers: list[Layer], inputs: np.ndarray) -> dict[str, covdist.Moments]:
    outputs = forward(layers, inputs)[1:]
    # As files have them, which is not the order of the layers.
    return {name: covdist.moments(each) for name, each in sorted(zip(NAMES, outputs, strict=True), reverse=True)}


def scaled(layers: list[Layer], found) -> list[Layer]:
    parts = zip(layers, found["weight_scale"].values, found["bias_scale"].values, strict=True)
    return [Layer(layer.weight * weight, layer.bias * bias) for layer, weight, bias in parts]


@quick
@given(st.integers(0, 2**32), st.sampled_from([1.0, 0.01, 30.0]))
def test_all_layers_at_once_have_the_target_variance(seed, target):
    layers, inputs = network(seed)
    found = covdist.initial_scale(states(layers, inputs), target=target, order=NAMES)
    assert found["layer"].values.tolist() == NAMES
    for each in forward(scaled(layers, found), inputs)[1:]:
        np.testing.assert_allclose(each.var(), target, rtol=1e-9)


def test_one_layer_after_the_other_is_the_same():
    """LSUV: scale a layer, pass the inputs again, and go on."""
    layers, inputs = network(0)
    layers = [Layer(layer.weight, layer.bias * 0) for layer in layers]
    found, one_by_one = covdist.initial_scale(states(layers, inputs), order=NAMES), layers
    for number, name in enumerate(NAMES):
        alone = states(one_by_one, inputs)[name].initial_scale()
        np.testing.assert_allclose(alone["weight_scale"], found["weight_scale"].sel(layer=name), rtol=1e-9)
        np.testing.assert_array_equal(alone["weight_scale"], alone["bias_scale"])
        layer = one_by_one[number]
        scaled_one = Layer(layer.weight * float(alone["weight_scale"]), layer.bias)
        one_by_one = [*one_by_one[:number], scaled_one, *one_by_one[number + 1 :]]
    np.testing.assert_allclose([each.var() for each in forward(one_by_one, inputs)[1:]], 1, rtol=1e-9)


def test_a_layer_left_out_keeps_its_weights():
    layers, inputs = network(1)
    found = covdist.initial_scale(states(layers, inputs), order=["fc1", "fc3", "out"])
    weight = found["weight_scale"].reindex(layer=NAMES, fill_value=1.0)
    scales = [float(found["bias_scale"].sel(layer=name)) for name in ("fc1", "fc1", "fc3", "out")]
    changed = [
        Layer(layer.weight * float(weight.sel(layer=name)), layer.bias * scale)
        for layer, name, scale in zip(layers, NAMES, scales, strict=True)
    ]
    signals = forward(changed, inputs)[1:]
    np.testing.assert_allclose([signals[place].var() for place in (0, 2, 3)], 1, rtol=1e-9)


def gradients(layers: list[Layer], inputs: np.ndarray, by_output: np.ndarray) -> dict[str, np.ndarray]:
    """Return the gradients by each layer's inputs, given those by the network's outputs."""
    found, signals = {}, forward(layers, inputs)
    for number in reversed(range(len(layers))):
        by_output = by_output @ layers[number].weight.T
        found[NAMES[number]] = by_output
        by_output = by_output * (signals[number] > 0)
    return found


def test_gradients_by_inputs_the_last_layer_first():
    layers, inputs = network(2)
    by_output = np.random.default_rng(3).normal(size=(300, 3)) * 1e-8
    order = NAMES[::-1]
    before = {name: covdist.moments(each) for name, each in gradients(layers, inputs, by_output).items()}
    found = covdist.initial_scale(before, order=order, target=4.0)
    bias = np.concatenate([[1.0], np.cumprod(found["weight_scale"].values[::-1])])[1:]  # keeps each unit's sign
    weights = found["weight_scale"].values[::-1]
    changed = [Layer(each.weight * a, each.bias * b) for each, a, b in zip(layers, weights, bias, strict=True)]
    for each in gradients(changed, inputs, by_output).values():
        np.testing.assert_allclose(each.var(), 4, rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-200, 1e-30, 1e150])
def test_tiny_and_huge_outputs(unit):
    x = np.random.default_rng(0).normal(size=(50, 4)) + 3
    found = covdist.moments(x * unit, state="variances").initial_scale(target=2.0)
    np.testing.assert_allclose(found["weight_scale"] * unit, np.sqrt(2) / x.std(), rtol=1e-12)
    np.testing.assert_allclose(found["std"], x.std() * unit, rtol=1e-12)


def test_groups_and_lazy():
    x, by = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 2
    lazy = {name: covdist.moments(da.from_array(x * scale), by=by) for name, scale in (("a", 1), ("b", 5))}
    found = covdist.initial_scale(lazy, order=["a", "b"])
    assert all(each.chunks is not None for each in found.values())
    np.testing.assert_allclose(found["weight_scale"].sel(layer="b"), [0.2, 0.2], rtol=1e-12)
    np.testing.assert_allclose(found["bias_scale"].sel(layer="a", group=1), 1 / x[1::2].std(), rtol=1e-12)
    still = covdist.moments(np.where(by[:, None] == 1, 3.0, x), by=by).initial_scale()
    assert np.isnan(still["weight_scale"].sel(group=1))
    assert np.isfinite(still["weight_scale"].sel(group=0))


M = covdist.moments(np.eye(3))


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ({"a": M, "b": M}, {}, r"needs the order in which the signal passes the layers, found 2.*order=\['a', 'b'"),
        (
            {"a": M, "b": M},
            {"order": ["a", "c"]},
            "is not an order of layers: name each of them once, there are 'a', 'b'",
        ),
        ({"a": M, "b": M}, {"order": ["a", "a"]}, "is not an order of layers"),
        ({"a": M}, {"order": "a"}, "is not an order of layers"),
        ({}, {}, "found 0 states"),
        ({"a": np.eye(3)}, {}, "initial_scale reads moments, found a ndarray"),
        (np.eye(3), {}, "initial_scale reads moments, found a ndarray"),
        (M, {"target": 0}, "target=0 does not fit: pass a variance greater than 0"),
        (covdist.moments(np.ones((5, 2))), {}, "deviation of the layer is 0, which no factor brings to a target"),
        ({"fc1": covdist.moments(np.ones((5, 2)))}, {}, "deviation of the layer 'fc1' is 0"),
    ],
)
def test_bad_input(given, options, said):
    with pytest.raises(DataError, match=said):
        covdist.initial_scale(given, **options)
