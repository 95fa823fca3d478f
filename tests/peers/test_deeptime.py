"""The cases of deeptime's tests of its ``Covariance``: at a lag, in parts, with weights, constant columns."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

import covdist

from .data import WEIGHTS, X

LAGGED = [[-1.0, 0.1, 0.4], [-0.2, -1.08, 0.3975], [-0.05, -0.705, 0.200625]]  # lag 2, of data without their means
EARLY = [[2.0, 0.5, 0.4], [0.5, 2.29, 0.5775], [0.4, 0.5775, 1.280625]]
LATE = [[2.0, 0.0, -0.65], [0.0, 1.76, -0.045], [-0.65, -0.045, 1.280625]]


@pytest.mark.parametrize("chunk", [1, 2, 5, 12])
def test_at_a_lag(chunk):
    rows = da.from_array(X, chunks=(chunk, 2))
    np.testing.assert_allclose(covdist.autocov(rows, 2), LAGGED, atol=1e-14)
    np.testing.assert_allclose(covdist.autocov(rows, 2, ddof=1), np.multiply(LAGGED, 10 / 9), atol=1e-14)
    np.testing.assert_allclose(covdist.cov(rows[:-2], rows[2:]), LAGGED, atol=1e-14)
    np.testing.assert_allclose(covdist.cov(rows[:-2]), EARLY, atol=1e-14)
    np.testing.assert_allclose(covdist.cov(rows[2:]), LATE, atol=1e-14)


def test_at_no_lag():
    np.testing.assert_allclose(covdist.autocov(X, 0), np.cov(X.T, ddof=0), atol=1e-14)
    np.testing.assert_allclose(covdist.cov(X, ddof=1), np.cov(X.T), atol=1e-14)


@pytest.mark.parametrize("cuts", [[6], [1, 2, 11], [*range(1, 12)]])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_in_parts(cuts, weights):
    parts = [
        covdist.moments(X[part], weights=None if weights is None else weights[part])
        for part in np.split(np.arange(12), cuts)
    ]
    found = sum(parts[1:], parts[0])
    np.testing.assert_allclose(found.cov(), np.cov(X.T, ddof=0, aweights=weights), atol=1e-14)
    np.testing.assert_allclose(found.mean(), np.average(X, axis=0, weights=weights), rtol=1e-14)


def test_reversible_is_both_sides_pooled():
    found = covdist.moments(X[:-2]) + covdist.moments(X[2:])
    np.testing.assert_allclose(found.cov(), [[2, 0.25, -0.125], [0.25, 2.0475, 0.31875], [-0.125, 0.31875, 1.403125]])
    np.testing.assert_allclose(found.mean(), [0.5, 2.05, 2.375])


def test_several_runs_do_not_reach_into_each_other():
    runs = np.repeat([0, 1], [7, 5])
    found = covdist.autocov(X, 2, by=runs)
    for run in range(2):
        own = X[runs == run]
        np.testing.assert_allclose(found[run], covdist.cov(own[:-2], own[2:]), atol=1e-14)


@pytest.mark.parametrize("value", [0.0, 0.1, 3.0, 1e9])
def test_constant_columns(value):
    rows = np.column_stack([X[:, 0], np.full(12, value), X[:, 1], np.full(12, value)])
    for found in (covdist.cov(rows), covdist.autocov(rows, 2)):
        assert not found[[1, 3]].any()
        assert not found[:, [1, 3]].any()
    np.testing.assert_allclose(covdist.cov(rows)[::2, ::2], np.cov(X[:, :2].T, ddof=0), atol=1e-14)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_two_sides(weights):
    found = covdist.cov(X[:, :2], X[:, 2:], weights=weights)
    np.testing.assert_allclose(found, np.cov(X.T, ddof=0, aweights=weights)[:2, 2:], atol=1e-14)


def test_of_chosen_columns_the_block():
    whole = covdist.autocov(X, 2)
    np.testing.assert_array_equal(covdist.autocov(X[:, [0, 2]], 2), whole[[0, 2]][:, [0, 2]])


@pytest.mark.parametrize("shift", [1e6, 1e8])
def test_far_from_zero(shift):
    np.testing.assert_allclose(covdist.autocov(X + shift, 2), LAGGED, atol=1e-9)
    np.testing.assert_allclose(covdist.cov(X + shift), np.cov(X.T, ddof=0), atol=1e-9)
