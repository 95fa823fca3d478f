"""Maximal correlations of cases whose value is known."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

import covdist
from covdist.errors import DataError, NonFiniteError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4000, 3))
X[:, 1] = 0.6 * X[:, 0] + 0.8 * X[:, 1]


def test_of_gaussian_columns_it_is_that_of_pearson():
    found = covdist.maximal_corr(X)
    np.testing.assert_allclose(found[0, 1], 0.6, atol=0.03)
    assert found[0, 2] < 3 * np.sqrt(6 / 4000)
    np.testing.assert_array_equal(found, found.T)
    assert np.diag(found).tolist() == [1.0] * 3


def test_functions_of_a_column_have_all_of_it():
    x = np.linspace(-1, 1, 1001)
    y = np.column_stack([x**2, abs(x), x**3, np.ones(1001)])
    found = covdist.maximal_corr(x, y)
    np.testing.assert_allclose(found.values[:3], 1, atol=1e-3)
    assert np.isnan(found[3])


def test_of_few_different_values_it_is_the_contingency_tables():
    a = RNG.integers(0, 3, size=500)
    b = (a + (RNG.random(500) < 0.3)) % 3
    table = np.histogram2d(a, b, bins=3)[0] / 500
    scaled = table / np.sqrt(np.outer(table.sum(axis=1), table.sum(axis=0)))
    expected = np.linalg.svd(scaled, compute_uv=False)[1]
    np.testing.assert_allclose(covdist.maximal_corr(a, b), expected, rtol=1e-10)
    np.testing.assert_allclose(covdist.maximal_corr(a > 0, b > 0), abs(np.corrcoef(a > 0, b > 0)[0, 1]), rtol=1e-10)


def test_monotone_maps_chunks_and_groups_change_nothing():
    x, label = X[:300], np.arange(300) % 2
    found = covdist.maximal_corr(x, by=label)
    np.testing.assert_array_equal(covdist.maximal_corr(np.exp(x), by=label), found)
    lazy = covdist.maximal_corr(da.from_array(x, chunks=(70, 2)), by=label)
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy, found)
    np.testing.assert_array_equal(found[1], covdist.maximal_corr(x[1::2]))
    paired = covdist.maximal_corr(x, x[:, ::-1], pairs="columns")
    np.testing.assert_allclose(paired, [covdist.maximal_corr(x)[0, 2], 1, covdist.maximal_corr(x)[2, 0]], rtol=1e-12)


def test_bad_options_and_values():
    with pytest.raises(DataError, match="features=0 is not a number"):
        covdist.maximal_corr(X, features=0)
    with pytest.raises(NonFiniteError, match="nan at row 1, column 0"):
        covdist.maximal_corr(np.array([[1.0], [np.nan], [2.0]]))
    assert np.isnan(covdist.maximal_corr(np.array([[1.0, np.nan], [np.nan, 2.0]]), missing="drop")).all()
