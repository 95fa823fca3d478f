"""``gradient_cosine`` against the cosines of the rows themselves."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError
from covdist.limits import changed

X = np.random.default_rng(0).normal(1, 1, (60, 20)) * np.linspace(0.1, 3, 20)
EPOCHS = np.repeat([0, 1, 2], [30, 29, 1])


def folded(x, **options):
    return covdist.moments(x, state="variances", **options)


def direct(rows):
    """Return the cosine with the mean, and the mean product of two different steps over the mean square."""
    rows = rows.astype(np.longdouble)
    count, products = len(rows), rows @ rows.T
    squares = np.diagonal(products)
    mean = rows.mean(axis=0)
    cosine = (rows @ mean).mean() / np.sqrt((mean @ mean) * squares.mean())
    different = (products.sum() - squares.sum()) / (count * (count - 1))
    return float(cosine), float(np.sqrt(max(different, 0) / squares.mean()))


def between(means):
    norms = np.sqrt((means**2).sum(axis=1))
    return means @ means.T / norms[:, None] / norms


@given(
    rows=st.integers(2, 30), columns=st.integers(1, 6), seed=st.integers(0, 99), power=st.sampled_from([-160, 0, 150])
)
def test_it_is_the_cosine_of_the_rows_for_gradients_of_any_size(rows, columns, seed, power):
    x = 2 + np.random.default_rng(seed).normal(size=(rows, columns))
    cosine, debiased = direct(x)
    found = covdist.moments(x * 10.0**power).gradient_cosine()
    assert set(found) == {"cosine", "cosine_debiased"}
    assert found["cosine"].item() == pytest.approx(cosine, rel=1e-12)
    assert found["cosine_debiased"].item() == pytest.approx(debiased, rel=1e-9)


def test_the_debiased_one_of_few_steps_is_that_of_many():
    rng, truth = np.random.default_rng(1), np.full(50, 0.3)
    few = [folded(truth + rng.normal(size=(4, 50))).gradient_cosine() for _ in range(400)]
    expected = np.sqrt(truth @ truth / (truth @ truth + 50))
    squared = np.mean([each["cosine_debiased"].item() ** 2 for each in few])
    assert abs(np.sqrt(squared) - expected) < 0.03
    assert np.sqrt(np.mean([each["cosine"].item() ** 2 for each in few])) > expected + 0.2


@pytest.mark.parametrize("chunks", [None, (7, 20), (7, 6)])
def test_groups_strips_and_lazy(chunks):
    with changed(strip_columns=8, derived_columns=4):
        m = folded(X if chunks is None else da.from_array(X, chunks=chunks), by=EPOCHS)
        found = m.gradient_cosine()
        assert all(bool(each.chunks) == (chunks is not None) for each in found.data_vars.values())
        found = found.compute()
    expected = [direct(X[epoch == EPOCHS]) for epoch in range(2)]
    np.testing.assert_allclose(found["cosine"][:2], [each[0] for each in expected], rtol=1e-12)
    np.testing.assert_allclose(found["cosine_debiased"][:2], [each[1] for each in expected], rtol=1e-10)
    assert (found["cosine"][2], np.isnan(found["cosine_debiased"][2])) == (pytest.approx(1), True)
    means = np.array([X[epoch == EPOCHS].mean(axis=0) for epoch in range(3)])
    assert found["between"].dims == ("group", "group_2")
    np.testing.assert_allclose(found["between"], between(means), rtol=1e-12)
    assert found["group_2"].values.tolist() == [0, 1, 2]


def test_names_of_groups_by_two_coordinates():
    x = xr.DataArray(X, dims=("step", "unit"), coords={"epoch": ("step", EPOCHS), "split": ("step", list("ab") * 30)})
    found = covdist.moments(x, dim="step", by=("epoch", "split")).gradient_cosine()["between"]
    assert found.dims == ("epoch_split", "epoch_split_2")
    assert found["epoch_2"].values.tolist() == found["epoch"].values.tolist() == [0, 0, 1, 1, 2]
    assert found.attrs["units"] == "1"
    assert found.attrs["long_name"]


def test_positions():
    x = np.random.default_rng(2).normal(1, 1, (30, 5, 2, 3))
    m = covdist.moments(xr.DataArray(x, dims=("step", "unit", "h", "w")), dim="step", each=("h", "w"))
    found = m.gradient_cosine()
    assert found["cosine"].sel(h=1, w=2).item() == pytest.approx(direct(x[:, :, 1, 2])[0])
    means = x.mean(axis=0).reshape(5, 6).T
    np.testing.assert_allclose(found["between"].values.reshape(6, 6), between(means), rtol=1e-12)


@pytest.mark.parametrize("lazy", [False, True])
def test_layers(lazy):
    scales = {"fc1": 1e-160, "fc2": 1e150, "fc3": -1.0}
    rows = {name: X[number::3] for number, name in enumerate(scales)}
    layers = {name: folded(da.from_array(rows[name], chunks=(5, 20)) if lazy else rows[name]) for name in scales}
    scaled = {name: folded(scales[name] * rows[name]) for name in scales}
    found = covdist.gradient_cosine(layers)
    assert bool(found["between"].chunks) == lazy
    assert found["between"].dims == ("layer", "layer_2")
    expected = between(np.array([each.mean(axis=0) for each in rows.values()]))
    np.testing.assert_allclose(found["between"], expected, rtol=1e-12)
    np.testing.assert_allclose(found["cosine"].sel(layer="fc2"), direct(rows["fc2"])[0], rtol=1e-12)
    signs = np.array([1, 1, -1])
    np.testing.assert_allclose(
        covdist.gradient_cosine(scaled)["between"], expected * signs * signs[:, None], rtol=1e-12
    )


def test_layers_in_strips():
    with changed(strip_columns=8, derived_columns=4):
        x = da.from_array(X, chunks=(7, 6))
        found = covdist.gradient_cosine({"a": folded(x[:30]), "b": folded(x[30:])})
        np.testing.assert_allclose(
            found["between"], between(np.array([X[:30].mean(axis=0), X[30:].mean(axis=0)])), rtol=1e-12
        )
        with pytest.raises(DataError, match=r"chunked differently along their parameters: compute\(\)"):
            covdist.gradient_cosine({"a": folded(x), "b": folded(X)})


def test_weights_that_repeat_rows():
    often = np.random.default_rng(1).integers(1, 4, 60)
    found = folded(X, weights=often).gradient_cosine()
    xr.testing.assert_allclose(found, folded(np.repeat(X, often, axis=0)).gradient_cosine(), rtol=1e-10)


def test_no_mean_and_no_noise():
    opposite = folded(np.array([[1.0, 2.0], [-1.0, -2.0]])).gradient_cosine()
    assert np.isnan(opposite["cosine"])
    assert np.isnan(opposite["cosine_debiased"])
    faint = folded(np.array([[1e-200, 1.0], [1e-200, -1.0]])).gradient_cosine()
    assert (faint["cosine"].item(), faint["cosine_debiased"].item()) == (pytest.approx(0, abs=1e-160), 0)
    same = folded(np.ones((5, 2))).gradient_cosine()
    assert (same["cosine"].item(), same["cosine_debiased"].item()) == (1, 1)
    noise = folded(np.array([[1.0, 1.0], [-1.0, 1.0], [0.0, -1.0]])).gradient_cosine()
    assert noise["cosine"] > 0
    assert noise["cosine_debiased"] == 0
    zeros = folded(np.array([[0.0, 0.0], [1.0, 0.0]]), by=[0, 1]).gradient_cosine()["between"]
    assert np.isnan(zeros[0]).all()
    assert zeros[1, 1] == 1


def test_means_far_from_their_spread():
    found = folded(1e6 + X).gradient_cosine()
    assert found["cosine"].item() == pytest.approx(direct(1e6 + X)[0], rel=1e-14)


def test_nan_that_is_let_through():
    x = np.vstack([X, np.full(20, np.nan)])
    found = folded(x, by=[*EPOCHS, 0], missing="propagate").gradient_cosine()
    assert np.isnan(found["cosine"]).values.tolist() == [True, False, False]
    assert np.isnan(found["between"][0]).all()
    assert not np.isnan(found["between"][1:, 1:]).any()


def test_bad_input():
    with pytest.raises(DataError, match=r"leaves nothing to divide by"):
        folded(X, weights=np.zeros(60)).gradient_cosine()
    with pytest.raises(DataError, match="needs as many parameters in each, found a 20, b 3"):
        covdist.gradient_cosine({"a": folded(X), "b": folded(X[:, :3])})
    with pytest.raises(DataError, match=r"the layer 'b' has .*read one group of each"):
        covdist.gradient_cosine({"a": folded(X), "b": folded(X, by=EPOCHS)})
    with pytest.raises(DataError, match="gradient_cosine of layer 'a' reads moments, found a ndarray"):
        covdist.gradient_cosine({"a": X})
    with pytest.raises(DataError, match="gradient_cosine reads moments, found a dict"):
        covdist.gradient_cosine({})


def test_a_lazy_layer_without_groups_computes_to_numbers():
    x = np.random.default_rng(0).normal(size=(40, 6)) + 1
    lazy = covdist.moments(da.from_array(x, chunks=(9, 4)), state="variances").gradient_cosine()
    found, expected = lazy.compute(), covdist.moments(x, state="variances").gradient_cosine()
    for name, array in expected.items():
        assert found[name].shape == array.shape == ()
        np.testing.assert_allclose(found[name], array, rtol=1e-12)
