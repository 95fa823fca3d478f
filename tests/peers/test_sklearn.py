"""The cases of scikit-learn's tests of ``EmpiricalCovariance`` and ``empirical_covariance``."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest

import covdist
from covdist.errors import DataError, NonFiniteError

from .data import X

COVARIANCE = [
    [2.020833333333333, 0.3958333333333333, -0.05208333333333333],
    [0.3958333333333333, 1.9097222222222217, 0.5104166666666666],
    [-0.05208333333333333, 0.5104166666666666, 1.7447916666666665],
]


def test_covariance_and_location():
    found = covdist.moments(X)
    np.testing.assert_allclose(found.cov(), COVARIANCE, rtol=1e-14)
    np.testing.assert_allclose(found.mean(), [0.25, 1.9166666666666667, 2.375], rtol=1e-15)


@pytest.mark.parametrize("wrap", [np.asfortranarray, pd.DataFrame, lambda x: da.from_array(x, chunks=(5, 2))])
def test_the_same_from_any_container(wrap):
    np.testing.assert_allclose(covdist.cov(wrap(X)), COVARIANCE, rtol=1e-14)


def test_one_column():
    np.testing.assert_allclose(covdist.cov(X[:, :1]), [[COVARIANCE[0][0]]], rtol=1e-14)
    np.testing.assert_allclose(covdist.cov(X[:, 0]), COVARIANCE[0][0], rtol=1e-14)


def test_one_sample_has_no_spread():
    np.testing.assert_array_equal(covdist.cov(np.arange(5).reshape(1, 5)), np.zeros((5, 5)))


@pytest.mark.parametrize("dtype", [int, np.uint8, bool, "f2", "f4"])
def test_other_dtypes(dtype):
    found = covdist.cov(np.array([[0, 1], [1, 0]], dtype))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [[0.25, -0.25], [-0.25, 0.25]])


def test_centred_by_others():
    """``assume_centered``: the second moment is the covariance and the products of the means."""
    found = covdist.moments(X)
    second = found.cov().values + np.outer(found.mean(), found.mean())
    np.testing.assert_allclose(second, X.T @ X / len(X), rtol=1e-14)
    centred = X - X.mean(axis=0)
    np.testing.assert_allclose(covdist.cov(centred), centred.T @ centred / len(X), rtol=1e-14)


def test_mahalanobis_distances_add_up():
    """Squared distances to the mean have the mean of the number of columns."""
    found = covdist.moments(X)
    away = X - found.mean().values
    squares = np.einsum("ij,ij->i", away @ np.linalg.inv(found.cov().values), away)
    assert squares.min() > 0
    np.testing.assert_allclose(squares.mean(), 3, rtol=1e-13)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_nothing_is_refused(shape):
    with pytest.raises(DataError, match="is empty"):
        covdist.cov(np.empty(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad):
    with pytest.raises(NonFiniteError, match="row 2, column 1"):
        covdist.cov(np.where(np.arange(36).reshape(12, 3) == 7, bad, X))
