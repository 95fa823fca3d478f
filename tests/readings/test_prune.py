"""Pruning against least squares of the rows themselves, and on networks that are trained."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.demo.training import Layer, TrainingSettings, accuracy, forward, he, spirals, train
from covdist.errors import DataError

from .containers import quick
from .counting import Counted

RNG = np.random.default_rng(0)
D, OUT = 8, 5
X = RNG.normal(size=(70, D)) @ RNG.normal(size=(D, D)) + RNG.normal(size=D) * 3
W = RNG.normal(size=(OUT, D))
M = covdist.moments(X)


def least_squares(x: np.ndarray, w: np.ndarray, pruned: list[int], one: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Return weights of units that are left, what is added to the biases, and the mean square of what is lost."""
    left = np.setdiff1d(np.arange(x.shape[1]), pruned)
    inputs = np.column_stack([x[:, left], np.ones(len(x))]) if one else x[:, left]
    found = np.linalg.lstsq(inputs, x @ w.T, rcond=None)[0]
    loss = np.sum((x @ w.T - inputs @ found) ** 2) / len(x)
    weights = np.zeros_like(w)
    weights[:, left] = found[: len(left)].T
    return weights, found[-1] if one else np.zeros(len(w)), loss


# ---- what is exact


@pytest.mark.parametrize("one", [True, False])
@pytest.mark.parametrize("units", [[3], [6, 0], [1, 7, 2, 5, 0, 3, 4]])
def test_weights_and_losses_are_those_of_least_squares(one, units):
    found = M.prune(W, units=units, append_one=one)
    weights, bias, _ = least_squares(X, W, units, one)
    np.testing.assert_allclose(found["weights"], weights, rtol=1e-8, atol=1e-10)
    if one:
        np.testing.assert_allclose(found["bias_change"], bias, rtol=1e-8, atol=1e-10)
    else:
        assert "bias_change" not in found
    losses = [least_squares(X, W, units[: count + 1], one)[2] for count in range(len(units))]
    np.testing.assert_allclose(found["loss"], losses, rtol=1e-8)
    everything = X - X.mean(axis=0) if one else X
    np.testing.assert_allclose(
        found["loss_share"], losses / np.mean(np.sum((everything @ W.T) ** 2, axis=1)), rtol=1e-8
    )
    assert found["order"].values.tolist() == units
    assert np.flatnonzero(found["pruned"]).tolist() == sorted(units)


@quick
@given(st.integers(0, 2**32), st.booleans(), st.integers(1, 6), st.integers(1, 3))
def test_each_step_takes_the_unit_whose_loss_is_least(seed, one, count, outputs):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 7)) @ rng.normal(size=(7, 7)) + rng.normal(size=7)
    w = rng.normal(size=(outputs, 7))
    found = covdist.moments(x).prune(w, share=(count + 0.5) / 7, append_one=one)
    pruned: list[int] = []
    for step in range(count):
        losses = {unit: least_squares(x, w, [*pruned, unit], one)[2] for unit in range(7) if unit not in pruned}
        pruned.append(int(found["order"][step]))
        np.testing.assert_allclose(losses[pruned[-1]], min(losses.values()), rtol=1e-6)
        np.testing.assert_allclose(found["loss"][step], losses[pruned[-1]], rtol=1e-8)


@quick
@given(st.sampled_from([1e-200, 1e-30, 1.0, 1e100]), st.sampled_from([0.0, 1.0, 1e6]), st.booleans())
def test_units_of_the_columns_make_no_difference(unit, shift, one):
    scale = unit * np.array([1.0, 1e-3, 1.0, 1e3, 1.0, 1.0, 2.0, 1.0])
    x, w = X + (shift if one else 0.0), W / scale
    found, plain = covdist.moments(x * scale).prune(w, share=0.5, append_one=one), M.prune(W, share=0.5, append_one=one)
    assert found["order"].values.tolist() == plain["order"].values.tolist()
    np.testing.assert_allclose(found["weights"] * scale, plain["weights"], rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(found["loss"], plain["loss"], rtol=1e-7)


@pytest.mark.parametrize("damping", [0.01, 1.0])
def test_damping_is_a_ridge_of_each_units_variance_on_what_changes(damping):
    found = M.prune(W, units=[2, 5], damping=damping)
    left, s = [0, 1, 3, 4, 6, 7], np.cov(X.T, ddof=0)
    ridge = s + damping * np.diag(np.diagonal(s))
    change = np.linalg.solve(ridge[np.ix_(left, left)], s[np.ix_(left, [2, 5])] @ W[:, [2, 5]].T)
    np.testing.assert_allclose(found["weights"][:, left], W[:, left] + change.T, rtol=1e-9)
    moved = found["weights"].values - W
    np.testing.assert_allclose(found["loss"][-1], np.trace(moved @ ridge @ moved.T), rtol=1e-9)


# ---- units that others determine


def test_what_others_determine_goes_first_and_costs_nothing():
    x = np.column_stack([X, X[:, :3] @ RNG.normal(size=(3, 2)) + 7, np.full(70, 4.0)])
    w = RNG.normal(size=(OUT, D + 3))
    found = covdist.moments(x).prune(w, share=4.5 / (D + 3))
    np.testing.assert_allclose(found["loss_share"][:3], 0, atol=1e-10)
    assert found["loss_share"][3] > 1e-6
    outputs, left = x @ w.T, x @ found["weights"].values.T + found["bias_change"].values
    np.testing.assert_allclose(np.mean(np.sum((outputs - left) ** 2, axis=1)), found["loss"][-1], rtol=1e-8)
    for few in ([8], [0, 9], [10]):  # what is left is singular, too
        some = covdist.moments(x).prune(w, units=few)
        np.testing.assert_allclose(outputs, x @ some["weights"].values.T + some["bias_change"].values, atol=1e-8)


def test_few_rows():
    m = covdist.moments(X[:4])
    found = m.prune(W, share=0.5)
    np.testing.assert_allclose(found["loss_share"], 0, atol=1e-10)
    outputs = X[:4] @ found["weights"].values.T + found["bias_change"].values
    np.testing.assert_allclose(outputs, X[:4] @ W.T, atol=1e-8)
    damped = m.prune(W, share=0.5, damping=0.01)
    assert abs(damped["weights"] - W * ~damped["pruned"].values).max() < 10


def test_one_row():
    found = covdist.moments(X[:1]).prune(W, share=0.5)
    np.testing.assert_allclose(found["bias_change"], X[0] @ (W - found["weights"].values).T, rtol=1e-12)
    assert (found["loss"] == 0).all()
    assert np.isnan(found["loss_share"]).all()


# ---- names, laziness, refusals


def test_labels_and_dims():
    x = xr.DataArray(X, dims=("step", "unit"), coords={"unit": list("abcdefgh")})
    w = xr.DataArray(W.T.astype("f4"), dims=("unit", "neuron"), coords={"neuron": list("vwxyz")})
    found = covdist.moments(x, dim="step").prune(w, units=["c", "a"])
    assert found["weights"].dims == ("unit", "neuron")
    assert found["bias_change"].dims == ("neuron",)
    assert found["pruned"].sel(unit=["a", "b", "c"]).values.tolist() == [True, False, True]
    expected = M.prune(W.astype("f4"), units=[2, 0])
    np.testing.assert_allclose(found["weights"].T, expected["weights"], rtol=1e-12)
    assert all(each.attrs["long_name"] and each.attrs["units"] for each in found.values())
    masked = M.prune(W, units=np.arange(D) < 2)
    assert masked["order"].values.tolist() == [0, 1]


@pytest.mark.parametrize("state", ["norms", ("full", "higher")])
@pytest.mark.parametrize("one", [True, False])
def test_other_states_with_a_matrix(state, one):
    found = covdist.moments(X, state=state).prune(W, share=0.5, append_one=one)
    np.testing.assert_allclose(
        found["weights"], M.prune(W, share=0.5, append_one=one)["weights"], rtol=1e-9, atol=1e-12
    )


def test_units_along_several_dims():
    x = xr.DataArray(X.reshape(70, 2, 4), dims=("step", "head", "unit"))
    w = xr.DataArray(W.reshape(OUT, 2, 4), dims=("neuron", "head", "unit"))
    found, plain = covdist.moments(x, dim="step").prune(w, units=[5, 1]), M.prune(W, units=[5, 1])
    assert found["weights"].dims == w.dims
    np.testing.assert_allclose(found["weights"].values.reshape(OUT, D), plain["weights"], rtol=1e-12)
    assert found["pruned"].dims == ("head_unit",)


def test_lazy_and_no_rows_read():
    counted = Counted(X, 20, D)
    m = covdist.moments(counted.array)
    found = m.prune(da.from_array(W), share=0.3)
    assert all(each.chunks is not None for each in found.values())
    assert not counted.made
    eager = m.compute().prune(W, share=0.3)
    for name, each in found.compute().items():
        np.testing.assert_array_equal(each, eager[name])
        assert each.dtype == eager[name].dtype
    weighted = covdist.moments(X, weights=np.repeat([1, 2], 35)).prune(W, share=0.3)
    repeated = covdist.moments(np.concatenate([X, X[35:]])).prune(W, share=0.3)
    np.testing.assert_allclose(weighted["weights"], repeated["weights"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("weights", "options", "said"),
    [
        (W, {}, r"needs either share= or units=: pass share=0\.3"),
        (W, {"share": 0.5, "units": [1]}, "needs either share= or units="),
        (W, {"share": 1.5}, r"share=1\.5 does not fit: pass a number between 0 and 1"),
        (W, {"share": 0.01}, r"would leave 8 of unit \(8\): prune at least one unit, and leave one"),
        (W, {"units": list(range(D))}, r"would leave 0 of unit \(8\)"),
        (W, {"units": [8]}, r"units names 8, of which unit \(8\) has 0: pass labels"),
        (W, {"units": [1, 1]}, "units names a unit twice"),
        (W, {"share": 0.5, "damping": -1}, "damping=-1 does not fit"),
        (W[:, 1:], {"share": 0.5}, r"weights has 7 columns, but the moments are of unit \(8\)"),
        (W[0], {"share": 0.5}, r"weights have the shape \(8,\): pass those of the next layer"),
        (xr.DataArray(W, dims=("a", "b")), {"share": 0.5}, "weights has the dims 'a', 'b', none of which is 'unit'"),
        (W.astype(complex), {"share": 0.5}, "complex"),
    ],
)
def test_bad_options(weights, options, said):
    with pytest.raises(DataError, match=said):
        M.prune(weights, **options)


@pytest.mark.parametrize(
    ("m", "said"),
    [
        (covdist.moments(X, by=np.arange(70) % 2), r"prune takes one state.*choose a group"),
        (covdist.moments(X, state="variances"), "found a variances state"),
        (covdist.moments(np.where(X[3, 1] == X, np.nan, X), missing="propagate"), "NaN or infinity"),
        (covdist.moments(X[:, 0]), "prune would leave"),
        (X, "prune reads moments, found a ndarray"),
    ],
)
def test_states_that_do_not_fit(m, said):
    with pytest.raises(DataError, match=said):
        covdist.prune(m, W[:, :1] if said == "prune would leave" else W, share=0.5)


# ---- networks


def pruned_by(layers: list[Layer], number: int, kept: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> list[Layer]:
    """Return a network without some units of a layer, and other weights and biases behind it."""
    before, after = layers[number], Layer(weights[kept].astype("f4"), bias.astype("f4"))
    return [*layers[:number], Layer(before.weight[:, kept], before.bias[kept]), after, *layers[number + 2 :]]


@pytest.mark.slow
def test_corrected_networks_keep_their_accuracy():
    """30 % of the hidden units, over five seeds: less than a hundredth is lost, and more by the size of weights."""
    lost, lost_by_size = [], []
    for seed in range(5):
        settings = TrainingSettings(hidden=(48, 48), samples=2000, epochs=30, rate=0.05, seed=seed)
        trained, rng = train(he, settings=settings), np.random.default_rng(seed)
        training, held_out = spirals(2000, rng), spirals(2000, rng)
        layers = by_size = trained.layers
        for number in range(2):
            behind = layers[number + 1]
            found = covdist.moments(forward(layers, training.inputs)[number + 1]).prune(behind.weight.T, share=0.3)
            bias = behind.bias + found["bias_change"].values
            layers = pruned_by(layers, number, ~found["pruned"].values, found["weights"].values.T, bias)
            size = np.linalg.norm(by_size[number].weight, axis=0)
            kept = np.argsort(np.argsort(size)) >= len(size) - len(layers[number].bias)
            by_size = pruned_by(by_size, number, kept, by_size[number + 1].weight, by_size[number + 1].bias)
        assert [len(each.bias) for each in layers] == [len(each.bias) for each in by_size] == [34, 34, 3]
        lost.append(trained.test_accuracy - accuracy(layers, held_out))
        lost_by_size.append(trained.test_accuracy - accuracy(by_size, held_out))
    assert max(lost) < 0.01
    assert all(np.array(lost_by_size) > lost)


# ---- what is undefined, or far from 1


@pytest.mark.parametrize("damping", [0.0, 0.01])
def test_a_share_of_nothing_is_undefined(damping):
    """Sums of 3 x - 3 x are 0: what rounding leaves of them is nothing to have a share of."""
    x = np.arange(-9.0, 9.0)[:, None] / 7 * [1.0, 0.0, 3.0] + [0.1, 0.0, 0.1]
    x[:, 1] = np.cos(np.arange(18))
    found = covdist.moments(x).prune(np.array([[3.0, 0.0, -1.0]]), units=[0, 1], damping=damping)
    assert np.isnan(found["loss_share"]).all()
    assert (np.isfinite(found["loss"])).all()


@pytest.mark.parametrize("unit", [1e-200, 1e200])
@pytest.mark.filterwarnings("error")
def test_shares_of_losses_that_float64_cannot_hold(unit):
    found, plain = M.prune(W * unit, units=[3, 1]), M.prune(W, units=[3, 1])
    np.testing.assert_allclose(found["loss_share"], plain["loss_share"], rtol=1e-12)
    np.testing.assert_allclose(found["weights"] / unit, plain["weights"], rtol=1e-12, atol=1e-14)
    assert (found["loss"] == (0 if unit < 1 else np.inf)).all()


@pytest.mark.filterwarnings("error")
def test_weights_and_units_of_opposite_scales():
    found = covdist.moments(X * 1e200).prune(W * 1e200, units=[3, 1])
    plain = M.prune(W, units=[3, 1])
    np.testing.assert_allclose(found["weights"] / 1e200, plain["weights"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["loss_share"], plain["loss_share"], rtol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_no_numbers(bad):
    with pytest.raises(DataError, match=r"weights hold NaN or infinity: pass those of a layer that trains"):
        M.prune(np.where(W[0, 0] == W, bad, W), units=[3])


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ([None], "units names None, of which"),
        ([2**70], "units names 1180591620717411303424, of which"),
        ({"a"}, r"units names \{'a'\}, of which"),
        ([["a"], ["b", "c"]], r"units=\[\['a'\], \['b', 'c'\]\] are no units"),
        ([True, False], r"units is a mask of the shape \(2,\), expected one of unit \(8\)"),
    ],
)
def test_what_names_no_units(units, said):
    with pytest.raises(DataError, match=said):
        M.prune(W, units=units)
