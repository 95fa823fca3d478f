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
    with pytest.raises(DataError, match="is no number of samples: pass a whole number, 1 or more"):
        covdist.moments(np.eye(3)).noise_scale(batch_size=batch_size)


def test_one_row_has_no_noise_to_tell():
    with pytest.raises(DataError, match="ddof=1 leaves nothing to divide by"):
        covdist.moments(np.ones((1, 2))).noise_scale()
