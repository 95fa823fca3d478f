"""``noise_scale`` where the truth is known, and against the formula."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError
from covdist.limits import changed

HESSIAN = np.diag(np.linspace(0.2, 3, 20))
POINT = np.linspace(-1, 1, 20)
SPREAD = np.linspace(1, 4, 20)
TRUTH = ((HESSIAN @ SPREAD) ** 2).sum() / ((HESSIAN @ POINT) ** 2).sum()


def gradients(samples, seed=0):
    """Of the loss (p - x)ᵀ H (p - x) / 2 of samples x of spread ``SPREAD`` about 0, at the point p: H (p - x)."""
    x = np.random.default_rng(seed).normal(size=(samples, 20)) * SPREAD
    return (POINT - x) @ HESSIAN


def direct(rows, batch_size):
    rows = rows.astype(np.longdouble)
    noise = rows.var(axis=0, ddof=1).sum()
    norm = (rows.mean(axis=0) ** 2).sum() - noise / len(rows)
    return batch_size * noise, norm


@pytest.mark.parametrize("batch_size", [1, 16])
def test_within_five_per_cent_of_the_truth_of_a_quadratic_model(batch_size):
    rows = gradients(200_000).reshape(-1, batch_size, 20).mean(axis=1)
    found = covdist.moments(rows, state="variances").noise_scale(batch_size=batch_size)
    assert abs(found["noise_scale"].item() / TRUTH - 1) < 0.05


def test_the_norm_is_unbiased_where_noise_is_most_of_it():
    found = [covdist.moments(gradients(40, seed), state="variances").noise_scale() for seed in range(400)]
    norms = np.array([each["squared_norm"].item() for each in found])
    truth = ((HESSIAN @ POINT) ** 2).sum()
    assert abs(norms.mean() - truth) < 4 * norms.std() / np.sqrt(len(norms))
    biased = [(gradients(40, seed).mean(axis=0) ** 2).sum() for seed in range(400)]
    assert np.mean(biased) - truth > 8 * norms.std() / np.sqrt(len(norms))


@given(
    rows=st.integers(2, 30), columns=st.integers(1, 6), seed=st.integers(0, 99), power=st.sampled_from([-160, 0, 150])
)
def test_it_is_the_formula_for_gradients_of_any_size(rows, columns, seed, power):
    x = 1 + np.random.default_rng(seed).normal(size=(rows, columns))
    trace, norm = direct(x, 4)
    found = covdist.moments(x * 10.0**power).noise_scale(batch_size=4)["noise_scale"].item()
    if abs(norm) > 1e-6 * trace:
        assert found == (pytest.approx(float(trace / norm), rel=1e-6) if norm > 0 else np.inf)


@pytest.mark.parametrize("chunks", [None, (7, 20), (7, 6)])
def test_groups_strips_and_lazy(chunks):
    x, by = gradients(60), np.repeat([0, 1, 2], [30, 29, 1])
    with changed(strip_columns=8, derived_columns=4):
        m = covdist.moments(x if chunks is None else da.from_array(x, chunks=chunks), by=by, state="variances")
        found = m.noise_scale()
        assert all(bool(each.chunks) == (chunks is not None) for each in found.data_vars.values())
        found = found.compute()
    for group in range(2):
        trace, norm = direct(x[by == group], 1)
        np.testing.assert_allclose(found["trace"][group], float(trace), rtol=1e-12)
        np.testing.assert_allclose(found["squared_norm"][group], float(norm), rtol=1e-10)
    assert np.isnan(found["noise_scale"][2])
    assert found["group"].values.tolist() == [0, 1, 2]


def test_weights_that_repeat_rows():
    x, often = gradients(30), np.random.default_rng(1).integers(1, 4, 30)
    found = covdist.moments(x, weights=often).noise_scale()
    expected = covdist.moments(np.repeat(x, often, axis=0)).noise_scale()
    np.testing.assert_allclose(found["noise_scale"], expected["noise_scale"], rtol=1e-10)


def test_without_noise_and_without_signal():
    same = covdist.moments(np.ones((5, 2))).noise_scale()
    assert (same["noise_scale"].item(), same["squared_norm"].item()) == (0, 2)
    assert np.isnan(covdist.moments(np.zeros((5, 2))).noise_scale()["noise_scale"].item())
    assert covdist.moments(np.array([[1.0], [-1.0]])).noise_scale()["noise_scale"].item() == np.inf


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, None, True, "8"])
def test_what_is_no_batch_size(batch_size):
    with pytest.raises(DataError, match="is not a number of samples: pass a whole number, 1 or more"):
        covdist.moments(np.eye(3)).noise_scale(batch_size=batch_size)


def test_one_row_has_no_noise_to_tell():
    with pytest.raises(DataError, match="ddof=1 leaves nothing to divide by"):
        covdist.moments(np.ones((1, 2))).noise_scale()


def batches(size: int, rows: int, seed: int) -> np.ndarray:
    return gradients(rows * size, seed).reshape(rows, size, 20).mean(axis=1)


def test_two_batch_sizes_within_five_per_cent_of_the_truth():
    states = {
        size: covdist.moments(batches(size, rows, 5), state="variances") for size, rows in ((64, 6000), (4, 9000))
    }
    found = covdist.noise_scale(states)
    assert abs(found["noise_scale"].item() / TRUTH - 1) < 0.05
    assert found.attrs["batch_size"] == [4, 64]


@given(seed=st.integers(0, 99), power=st.sampled_from([-160, 0, 150]), weighted=st.booleans())
def test_two_batch_sizes_are_the_formula(seed, power, weighted):
    rng = np.random.default_rng(seed)
    small, large = 1 + rng.normal(size=(9, 5)) * 3, 1 + rng.normal(size=(1, 5))
    often = rng.integers(1, 4, 9) if weighted else np.ones(9, int)
    short, long = np.average((small**2).sum(axis=1), weights=often), (large**2).sum()
    trace, norm = (short - long) / (1 / 2 - 1 / 16), (16 * long - 2 * short) / 14
    weights = {"weights": often} if weighted else {}
    scale = 10.0**power
    found = covdist.noise_scale({16: covdist.moments(large * scale), 2: covdist.moments(small * scale, **weights)})
    expected = max(trace, 0) / norm if norm > 0 else np.inf if trace > 0 else np.nan
    assert found["noise_scale"].item() == pytest.approx(expected, rel=1e-8, nan_ok=True)
    if power == 0:
        assert found["trace"].item() == pytest.approx(trace, rel=1e-8)
        assert found["squared_norm"].item() == pytest.approx(norm, rel=1e-8)


def test_two_batch_sizes_by_group_lazy_and_in_strips():
    by = [0] * 10 + [1] * 10
    pairs = {size: batches(size, 20, size) for size in (1, 8)}
    with changed(strip_columns=8, derived_columns=4):
        lazy = {
            size: covdist.moments(da.from_array(x, chunks=(7, 6)), by=np.array(by), state="variances")
            for size, x in pairs.items()
        }
        found = covdist.noise_scale(lazy)
        assert all(each.chunks for each in found.data_vars.values())
        found = found.compute()
    for group in range(2):
        rows = slice(10 * group, 10 * group + 10)
        one = covdist.noise_scale({size: covdist.moments(x[rows]) for size, x in pairs.items()})
        for name in found:
            np.testing.assert_allclose(found[name][group], one[name], rtol=1e-9)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "of two batch sizes, found 0"),
        ({8: np.eye(3)}, "of two batch sizes, found 1"),
        ({8: np.eye(3), 0: np.eye(3)}, "0 is not a number of samples"),
        ({8: np.eye(3), 16: np.eye(4)}, "fold gradients of the same layer and groups"),
    ],
)
def test_what_are_no_two_batch_sizes(given, words):
    with pytest.raises(DataError, match=words):
        covdist.noise_scale({size: covdist.moments(x) for size, x in given.items()})
    with pytest.raises(DataError, match="noise_scale of batches of 2 reads moments, found a ndarray"):
        covdist.noise_scale({1: covdist.moments(np.eye(3)), 2: np.eye(3)})


def test_a_lazy_layer_without_groups_computes_to_numbers():
    x = np.random.default_rng(0).normal(size=(40, 6)) + 1
    lazy = covdist.moments(da.from_array(x, chunks=(9, 4)), state="variances").noise_scale()
    found, expected = lazy.compute(), covdist.moments(x, state="variances").noise_scale()
    for name, array in expected.items():
        assert found[name].shape == array.shape == ()
        np.testing.assert_allclose(found[name], array, rtol=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("missing", ["pairwise", "drop"])
def test_groups_and_windows_without_weight_have_none(missing):
    x, by = np.array([[1.0, 4.0], [2.0, np.nan], [3.0, 6.0], [5.0, 1.0]]), np.array([0, 0, 1, 1])
    m = covdist.moments(x, by=by, missing=missing, weights=np.array([0.0, 0.0, 1.0, 1.0]))
    assert np.isnan(m.noise_scale()["noise_scale"].values[0])
    full = covdist.moments(x, by=by, missing=missing).rolling("group", 2)
    np.testing.assert_array_equal(np.isnan(full.noise_scale()["squared_norm"]), [True, False])


@pytest.mark.filterwarnings("error")
def test_infinite_gradients():
    x = np.array([[np.inf, 1e200], [1.0, 2e200]])
    assert not np.isfinite(covdist.moments(x, missing="propagate").noise_scale()["noise_scale"])
