"""Rows that leave a reading nothing to tell, and columns so unlike that rounding would answer in place of some."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from state.oracle import Exact

import covdist

rng = np.random.default_rng(0)
SIZES = [3, 4, 5, 7, 10, 33]
each_size = pytest.mark.parametrize("size", SIZES)


def one_hot(size: int, length: float = 3**-0.5) -> np.ndarray:
    return np.eye(size) * length


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("size", range(2, 40))
def test_spectra_of_one_hot_columns(size, count):
    """Bisection lost count of their equal eigenvalues."""
    for rows in range(2, size + 1):
        found = covdist.moments(one_hot(size)[:rows]).spectrum(count)
        vectors = found["eigenvector"].values.reshape(-1, size)
        np.testing.assert_allclose(vectors @ vectors.T, np.eye(count), atol=1e-12)
        np.testing.assert_allclose(found["eigenvalue"][: rows - 1], 1 / (3 * rows), rtol=1e-13)
        assert found["effective_rank"] == pytest.approx(rows - 1)


@each_size
def test_orthogonal_gradients_do_not_tell_the_true_one(size):
    m = covdist.moments(one_hot(size), state="variances")
    assert m.noise_scale()["noise_scale"] == np.inf
    assert m.noise_scale()["squared_norm"] == 0
    assert m.gradient_cosine()["cosine_debiased"] == 0


def test_batches_of_two_sizes_whose_norms_leave_no_gradient():
    rows = rng.normal(size=(30, 4)) / 7
    small, large = (covdist.moments(each, state="variances") for each in (rows * math.sqrt(3), rows))
    found = covdist.noise_scale({1: small, 3: large})
    assert found["noise_scale"] == np.inf
    assert covdist.noise_scale({1: large, 3: covdist.moments(rows[::-1])})["trace"] == 0


@each_size
def test_debiased_alignment_of_rows_as_far_from_each_other(size):
    both = (one_hot(size), rng.normal(size=(size, 2)))
    for x, y in (both, both[::-1]):
        if size < 4:
            continue
        assert np.isnan(covdist.moments(x, y, state="both norms").cka(debiased=True))


@each_size
def test_no_power_law_of_equal_eigenvalues(size):
    m = covdist.moments(np.concatenate([one_hot(size), -one_hot(size)]))
    assert m.power_law()["alpha"] == np.inf


def test_sample_size_of_blocks_with_one_mean():
    x = np.concatenate([rng.permutation([[0.1], [1 / 3], [0.7]]) for _ in range(8)])
    assert np.isnan(covdist.moments(x, blocks=8).effective_sample_size()).all()


@pytest.mark.parametrize("column", [[0.1, 1 / 3], [1.0, 0.0, 1.0, 0.3, 0.9], [1.0, -1.0, 0.7, -1.0, 1.1]])
def test_no_time_of_rows_that_alternate_up_to_the_last_lag(column):
    """All autocorrelations add up to -1/2, whatever the rows."""
    m = covdist.moments(np.array(column)[:, None], state="serial(lags=9)")
    pairs = m.autocorr().values[:10, 0].reshape(-1, 2).sum(axis=1)
    assert (pairs[: len(column) // 2] > 0).all()
    assert np.isnan(m.autocorr_time()).all()
    assert np.isnan(m.effective_sample_size()).all()


def test_errors_of_what_is_infinite():
    m = covdist.moments(np.array([[0.0, 1.0, 2.0, 1.0]] * 3 + [[1.0, 5.0, 4.0, 0.5]] * 3), blocks=3)
    with np.errstate(all="raise"):
        found = m.jackknife("spectrum", 1)
    assert found["condition_value"] == np.inf
    assert np.isnan(found["condition_error"])


def exact_gaussians(a: np.ndarray, b: np.ndarray, ddof: int) -> tuple[list[Fraction], list[Fraction]]:
    """Return determinants of 2 × 2 covariances, and of their sum weighed by the degrees of freedom."""
    matrices = []
    for rows in (a, b):
        truth, count = Exact(rows), len(rows)
        matrices.append([truth.cov(0, i, 0, j) * Fraction(count, count - ddof) for i, j in ((0, 0), (0, 1), (1, 1))])
    return matrices[0], matrices[1]


def log_determinant(matrix: list[Fraction]) -> float:
    found = matrix[0] * matrix[2] - matrix[1] ** 2
    return math.log(found.numerator) - math.log(found.denominator)


@pytest.mark.parametrize("unit", [1.0, 1e-10, 1e-20, 1e-100, 1e20])
def test_distances_of_columns_that_differ_by_very_different_factors(unit):
    a, b = rng.normal(size=(20, 2)) * [unit, 1], rng.normal(size=(25, 2))
    own, others = exact_gaussians(a, b, 1)
    pooled = [(19 * x + 24 * y) / 43 for x, y in zip(own, others, strict=True)]
    truth = 43 * log_determinant(pooled) - 19 * log_determinant(own) - 24 * log_determinant(others)
    m, m_b = covdist.moments(a), covdist.moments(b)
    assert covdist.equal_covariance(m, m_b)["statistic"] == pytest.approx(truth, rel=1e-12)

    centred, centred_b = (covdist.moments(each - each.mean(axis=0)) for each in (a, b))
    own, others = exact_gaussians(a, b, 0)
    middle = [(x + y) / 2 for x, y in zip(own, others, strict=True)]
    truth = (log_determinant(middle) - (log_determinant(own) + log_determinant(others)) / 2) / 2
    assert covdist.bhattacharyya(centred, centred_b) == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize("unit", [1e-200, 1e200, 1e-320])
@pytest.mark.parametrize("other", [1e-300, 1.0, 1e300])
def test_distances_of_spreads_beyond_float64(unit, other):
    a, b = (covdist.moments(rng.normal(size=(20, 2)) * by) for by in ([unit, 1.0], other))
    with np.errstate(all="raise", under="ignore"):
        for reading in (covdist.kl_divergence, covdist.jeffreys, covdist.bhattacharyya):
            assert reading(a, b) > 100


def test_divergence_of_spreads_whose_squares_underflow():
    rows = np.array([[-1.0], [1.0]])
    found = covdist.kl_divergence(covdist.moments(rows * 1e-200), covdist.moments(rows))
    assert found == pytest.approx(200 * math.log(10) - 0.5, rel=1e-12)


@pytest.mark.parametrize("power", range(2, 8))
@pytest.mark.parametrize("reading", ["logdet", "precision", "partial_corr"])
def test_a_dependent_column_behind_two_that_are_nearly_one(reading, power):
    """Its pivot, which should be 0, was rounding over theirs: as much as 0.03."""
    first = rng.integers(-(10**power), 10**power, 300).astype(float)
    second = first + rng.integers(-2, 3, 300)
    m = covdist.moments(np.column_stack([first, second, rng.integers(-2, 3, 300)]))
    assert np.isfinite(getattr(m, reading)()).all()
    for third in (second - first, 3 * first - 2 * second):
        for order in ([0, 1, 2], [1, 2, 0]):
            m = covdist.moments(np.column_stack([first, second, third])[:, order])
            with pytest.raises(covdist.CovdistError, match="columns is singular"):
                getattr(m, reading)()


@pytest.mark.parametrize("weights", [[0.1], [0.1, 0.0], [1.0, 1e-20], [1e-300, 0.7, 1e-30], [3e200]])
def test_weights_that_leave_one_row(weights):
    weights = np.array(weights)
    m = covdist.moments(rng.normal(size=(len(weights), 1)), weights=weights)
    with pytest.raises(covdist.CovdistError, match="ddof=1 leaves nothing to divide by"):
        m.var(ddof=1)
    if len(weights) > 1:
        assert np.isnan(m.gradient_cosine()["cosine_debiased"])


@pytest.mark.parametrize("rows", [4, 10, 1000])
def test_no_interval_of_proportional_columns(rows):
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=(rows, 1))
        m = covdist.moments(x * [1.0, 3.0, -0.7])
        assert np.isnan(m.corr_interval()["lower"]).all()
        assert np.isnan(m.corr_interval()["upper"]).all()
