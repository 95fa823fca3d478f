"""``health`` against the formulas written out, and against networks whose faults are known."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.demo import training
from covdist.errors import DataError
from covdist.limits import changed
from readings.counting import Counted

from .networks import Kept, log

RNG = np.random.default_rng(0)


def trained(initialise, seed=0, chunk=None, **settings):
    kept = Kept()
    training.train(initialise, kept, training.TrainingSettings(seed=seed, **{"epochs": 3, **settings}))
    return kept.tree(chunk)


@pytest.fixture(scope="module")
def network():
    return trained(training.small_weights)


def check_numbers(found, gradient, activation):
    """Hold one layer against naive formulas in extended precision."""
    wide = gradient.astype(np.longdouble)
    expected = {
        "rms": np.sqrt((wide**2).mean()), "mean": wide.mean(), "std": wide.std(),
        "snr": np.sqrt((wide.mean(0) ** 2).sum() / wide.var(0).sum()), "zero_fraction": (wide == 0).mean(),
    }  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], float(value), rtol=1e-9, atol=1e-13 * float(expected["rms"]))
    assert (int(found["parameters"]), int(found["units"])) == (gradient.shape[1], activation.shape[1])
    still = np.ptp(activation, axis=0) == 0
    np.testing.assert_allclose(found["dead_share"], still.mean())
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.abs(np.tril(np.corrcoef(activation[:, ~still].astype(float).T), -1)) > 0.99
    np.testing.assert_allclose(found["redundant_share"], r.any(axis=1).sum() / activation.shape[1])


@pytest.mark.parametrize("chunk", [None, {"step": 17, "sample": 333}])
def test_the_numbers_are_those_of_the_formulas(network, chunk):
    found = covdist.health(network if chunk is None else network.chunk(chunk), by=())
    assert bool(found.chunks) == (chunk is not None)
    found = found.compute()
    assert found["layer"].values.tolist() == list(network.children)
    for layer, node in network.children.items():
        check_numbers(found.sel(layer=layer), node["gradient"].values, node["activation"].values)
    np.testing.assert_allclose(found["relative"], found["rms"] / found["rms"][-1])


def test_groups_are_those_of_both_variables(network):
    found = covdist.health(network)
    xr.testing.assert_identical(found, covdist.health(network, by="epoch"))
    assert found["rms"].dims == ("layer", "epoch")
    assert found["advice"].dims == found["per_layer"].dims == ("epoch",)
    for epoch in range(3):
        for layer, node in network.children.items():
            gradient, activation = node["gradient"], node["activation"]
            of_epoch = (
                gradient.values[gradient["epoch"] == epoch],
                activation.values[activation["sample_epoch"] == epoch],
            )
            check_numbers(found.sel(layer=layer, epoch=epoch), *of_epoch)


def test_groups_that_only_one_variable_has():
    tree = log({"a": RNG.normal(size=(4, 2))}, {"a": RNG.normal(size=(6, 3))})
    tree["a"] = tree["a"].dataset.assign_coords(
        epoch=("step", [0, 0, 2, 2]), sample_epoch=("sample", [2, 2, 2, 5, 5, 5])
    )
    found = covdist.health(tree, by="epoch").sel(layer="a")
    assert found["epoch"].values.tolist() == [0, 2, 5]
    assert np.isfinite(found["rms"]).values.tolist() == [True, True, False]
    assert np.isfinite(found["dead_share"]).values.tolist() == [False, True, True]
    assert found["verdict"].values.tolist() == ["ok", "redundant", "redundant"]  # of three rows


def test_all_rows_together_unless_each_variable_has_epochs():
    tree = log({"a": RNG.normal(size=(4, 2))}, {"a": RNG.normal(size=(6, 3))})
    tree["a"] = tree["a"].dataset.assign_coords(epoch=("step", [0, 0, 2, 2]))
    assert covdist.health(tree)["rms"].dims == ("layer",)
    tree["a"] = tree["a"].dataset.assign_coords(sample_epoch=("sample", [0, 0, 0, 2, 2, 2]))
    assert covdist.health(tree)["rms"].dims == ("layer", "epoch")
    assert covdist.health(tree, by=())["rms"].dims == ("layer",)


def test_many_small_layers_are_folded_together_with_the_same_numbers(network):
    lazy = network.chunk({"step": 17, "sample": 5000})
    with changed(least_shard_seconds=10.0):
        graph = covdist.health(lazy, by=()).__dask_graph__()
        asked = {key for key in graph if str(key).startswith("ask-")}
        together = covdist.health(lazy, by=()).compute()
    assert asked
    xr.testing.assert_allclose(
        together.drop_vars(["advice", "verdict"]), covdist.health(network, by=()).drop_vars(["advice", "verdict"])
    )
    assert together["advice"].item() == covdist.health(network, by=())["advice"].item()


def test_each_chunk_is_read_once():
    arrays = [Counted(RNG.normal(size=(60, 5)), 7, 5) for _ in range(4)]
    names = iter(arrays)
    tree = log(*({layer: next(names).array for layer in "ab"} for _ in range(2)))
    covdist.health(tree).compute(scheduler="threads")
    assert all(each.made == each.every for each in arrays)


# --- networks whose faults are known


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_network_that_does_not_learn_is_told_from_one_that_does(seed):
    vanishing, sound = (
        covdist.health(trained(start, seed, epochs=30), by=()) for start in (training.small_weights, training.he)
    )
    assert vanishing["vanishing"].values[:5].all()
    assert "Gradients shrink" in vanishing["advice"].item()
    assert vanishing["per_layer"] + 2 * vanishing["per_layer_error"] < 1
    assert not any(sound[name].any() for name in ("vanishing", "exploding", "no_gradient", "not_finite"))
    assert set(sound["verdict"].values) == {"ok"}
    assert "Gradients" not in sound["advice"].item()


def test_gradients_that_grow_explode():
    found = covdist.health(log({f"fc{n}": 30.0**-n * RNG.normal(size=(40, 30)) for n in range(4)}))
    assert found["exploding"].values.tolist() == [True, True, False, False]
    assert found["verdict"].values.tolist() == ["exploding", "exploding", "ok", "ok"]
    assert "Gradients grow" in found["advice"].item()
    np.testing.assert_allclose(found["per_layer"], 30, rtol=0.1)


def test_not_finite_values_are_counted_and_flagged_and_left_out():
    gradient, activation = RNG.normal(size=(9, 4)), RNG.normal(size=(20, 3))
    spoilt, broken = gradient.copy(), activation.copy()
    spoilt[2, 1], spoilt[5] = np.nan, np.inf
    broken[7, 2] = -np.inf
    found = covdist.health(log({"a": spoilt, "b": gradient}, {"b": broken}))
    assert found["gradient_nonfinite"].values.tolist() == [5, 0]
    assert found["activation_nonfinite"].values.tolist() == [0, 1]
    assert found["not_finite"].values.tolist() == [True, True]
    assert found["verdict"].values.tolist() == ["not finite", "not finite"]
    np.testing.assert_allclose(found["rms"][0], np.sqrt((np.delete(gradient, [2, 5], axis=0) ** 2).mean()))
    assert found["advice"].item() == "Gradients are not finite, as 5 values of a: lower the learning rate."


def test_a_layer_without_one_finite_row_is_not_finite():
    found = covdist.health(log({"a": np.full((3, 2), np.nan), "b": np.ones((3, 2))}, {"a": np.full((4, 2), np.inf)}))
    assert found["verdict"].values.tolist() == ["not finite", "ok"]
    assert np.isnan(found["dead_share"]).all()


@pytest.mark.parametrize(("steepness", "expected"), [(0.1, 0.0), (100.0, 1.0)])
@pytest.mark.parametrize(("function", "bounds"), [(np.tanh, (-1, 1)), (lambda z: 1 / (1 + np.exp(-z)), (0, 1))])
def test_saturated_units_have_no_slope(function, bounds, steepness, expected):
    values = function(steepness * RNG.normal(size=(500, 6))).astype("f4")
    tree = log(activations={"fc1": values, "head": RNG.normal(size=(500, 2)) * 7})
    found = covdist.health(tree, bounds={"fc*": bounds})
    assert found["saturated_share"].values[0] == expected
    assert found["saturated"].values.tolist() == [bool(expected), False]
    assert np.isnan(found["saturated_share"].values[1])


def test_the_slope_is_that_of_tanh():
    rows = RNG.normal(size=(200, 5)) * np.linspace(0.5, 20, 5)
    slopes = (1 - np.tanh(rows) ** 2).mean(axis=0)
    for share in (slopes.min(), 0.3):
        found = covdist.health(log(activations={"a": np.tanh(rows)}), bounds={"*": (-1, 1)}, saturated=share * 1.0001)
        assert round(float(found["saturated_share"][0]) * 5) == (slopes < share * 1.0001).sum()


def test_values_beyond_the_bounds_belong_to_another_function():
    found = covdist.health(log(activations={"a": RNG.normal(size=(50, 2)) * 5}), bounds={"a": (-1, 1)})
    assert np.isnan(found["saturated_share"]).all()


def test_wide_layers_have_no_share_of_redundant_units():
    tree = log(activations={"a": np.repeat(RNG.normal(size=(30, 4)), 2, axis=1)})
    assert covdist.health(tree)["redundant_share"].item() == 0.5
    assert np.isnan(covdist.health(tree, max_columns=7)["redundant_share"].item())


@pytest.mark.parametrize("size", [1e-160, 1e-30, 1e150])
def test_the_size_of_all_gradients_does_not_matter(size):
    gradients = {"a": 1e-3 * RNG.normal(size=(30, 4)), "b": RNG.normal(size=(30, 4))}
    plain, scaled = (covdist.health(log({k: v * by for k, v in gradients.items()})) for by in (1.0, size))
    np.testing.assert_allclose(scaled["relative"], plain["relative"], rtol=1e-12)
    np.testing.assert_allclose(scaled["snr"], plain["snr"], rtol=1e-10)
    assert scaled["vanishing"].values.tolist() == [True, False]


# --- how it is called


def test_layers_in_the_order_of_their_numbers_or_as_given():
    gradient = RNG.normal(size=(5, 2))
    tree = log({f"layer{n}": gradient for n in (1, 10, 2)})
    assert covdist.health(tree)["layer"].values.tolist() == ["layer1", "layer2", "layer10"]
    assert covdist.health(tree, layers=["layer2", "/layer1"])["layer"].values.tolist() == ["layer2", "layer1"]
    deep = {"block/2/mlp": gradient, "block/10/attn": gradient, "block/10/mlp": gradient}
    assert covdist.health(log(dict(sorted(deep.items()))))["layer"].values.tolist() == list(deep)
    tree = log(dict.fromkeys(["embed", "attn", "head"], gradient))
    assert covdist.health(tree)["layer"].values.tolist() == ["embed", "attn", "head"]


def test_gradients_of_single_samples_and_other_names():
    values = RNG.normal(size=(6, 4, 3))
    tree = xr.DataTree(xr.Dataset({"grad": (("step", "sample", "param"), values), "out": (("t", "unit"), values[0])}))
    found = covdist.health(tree, gradient="grad", activation="out").sel(layer="root")
    check_numbers(found, values.reshape(24, 3), values[0])
    found = covdist.health(tree, gradient="grad", dim="step")
    assert int(found["parameters"].item()) == 12


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gradient": "g", "activation": "h"}, "no node of the log holds a variable 'g' or 'h', found are gradient"),
        ({"activation": "h"}, "no node of the log holds a variable 'h', found are gradient: pass activation=..."),
        ({"layers": ["c"]}, "'c' is no layer of the log: pass some of a"),
        ({"layers": ["a", "a"]}, "'a' is named twice"),
        ({"share": 2}, "share=2 is not a threshold: pass a number greater than 0 and at most 1"),
        ({"bounds": {"b": (0, 1)}}, "bounds name 'b', which no layer matches: there are a"),
        ({"bounds": {"a": (1, 0)}}, r"bounds of 'a' are \(1, 0\): pass two finite numbers"),
        ({"by": "epoch"}, "a/gradient has no coordinate 'epoch' along step"),
        ({"dim": "batch"}, "a/gradient has no dim 'batch'"),
    ],
)  # fmt: skip
def test_what_does_not_fit(options, words):
    tree = log({"a": da.ones((4, 2))})
    with pytest.raises(DataError, match=words):
        covdist.health(tree, **options)


def test_moments_of_another_variable_than_was_asked_for():
    m = covdist.moments(np.ones((3, 2)))
    assert covdist.health({"a/gradient": m})["layer"].values == ["a"]
    with pytest.raises(DataError, match="no moments are of a variable 'h', found are a/gradient: pass activation="):
        covdist.health({"a/gradient": m}, activation="h")


def test_what_is_no_log():
    with pytest.raises(DataError, match="health reads a log, found a ndarray: pass the DataTree"):
        covdist.health(np.ones((3, 2)))


def test_every_variable_says_what_it_is(network):
    found = covdist.health(network)
    assert all(each.attrs["long_name"] and each.attrs["units"] for each in found.data_vars.values())
    assert found.attrs["vanishing"] == 0.01
