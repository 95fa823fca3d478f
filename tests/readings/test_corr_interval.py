"""Intervals of correlations are those of scipy's ``pearsonr``."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError

from .containers import quick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)) @ RNG.normal(size=(4, 4)) + 3


def of_scipy(a, b, level=0.95):
    return tuple(scipy.stats.pearsonr(a, b).confidence_interval(level))


@quick
@given(st.integers(4, 60), st.sampled_from([0.5, 0.9, 0.95, 0.999]), st.floats(-0.99, 0.99), st.integers(0, 2**32))
def test_of_any_rows_and_level(rows, level, rho, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    x[:, 1] = rho * x[:, 0] + np.sqrt(1 - rho**2) * x[:, 1]
    found = covdist.moments(x).corr_interval(level=level)
    expected = of_scipy(*x.T, level)
    np.testing.assert_allclose([found["lower"][0, 1], found["upper"][1, 0]], expected, rtol=1e-12, atol=1e-12)
    assert found["lower"].isnull().values.tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("lazy", [False, True])
def test_of_groups_and_of_pairs_that_hold_both(lazy):
    x, label = np.where(RNG.random(X.shape) < 0.2, np.nan, X), np.arange(50) % 2
    rows = da.from_array(x, chunks=(20, 4)) if lazy else x
    m = covdist.moments(rows, by=label, missing="pairwise")
    found = covdist.corr_interval(m)
    assert (found["lower"].chunks is not None) == lazy
    for group in (0, 1):
        own = x[label == group]
        for a, b in ((0, 1), (2, 3)):
            both = own[:, [a, b]][np.isfinite(own[:, [a, b]]).all(axis=1)]
            expected = of_scipy(*both.T)
            np.testing.assert_allclose(found["lower"][group, a, b], expected[0], rtol=1e-12)
            np.testing.assert_allclose(found["upper"][group, b, a], expected[1], rtol=1e-12)
    grouped = covdist.moments(X, by=np.minimum(np.arange(50), 47)).corr_interval()["lower"]
    assert grouped.isnull().all()  # three rows at most


def test_of_columns_and_of_x_with_y():
    x, y = X[:, :2], X[:, 2:]
    crossed, paired = (covdist.moments(x, y, state=state).corr_interval() for state in (None, "columnwise"))
    for i in range(2):
        expected = of_scipy(x[:, i], y[:, i])
        for found in (crossed["lower"][i, i], paired["lower"][i]):
            np.testing.assert_allclose(found, expected[0], rtol=1e-12)


def test_of_weighted_rows():
    often = RNG.integers(1, 5, size=50)
    found = covdist.moments(X, weights=often).corr_interval()
    repeated = covdist.moments(np.repeat(X, often, axis=0)).corr_interval()
    np.testing.assert_allclose(found["lower"], repeated["lower"], rtol=1e-10)
    alike = covdist.moments(X, weights=np.full(50, 0.3)).corr_interval()
    np.testing.assert_allclose(alike["upper"], covdist.moments(X).corr_interval()["upper"], rtol=1e-10)


def test_attributes_and_what_has_none():
    found = covdist.moments(X).corr_interval(level=0.9)
    assert found.attrs == {"level": 0.9}
    assert found["upper"].attrs == {"long_name": "upper limit of the correlation", "units": "1"}
    constant = np.column_stack([X[:, 0], np.ones(50), 2 * X[:, 0]])
    assert covdist.moments(constant).corr_interval()["upper"].isnull().all()
    with pytest.raises(DataError, match="variances"):
        covdist.moments(X, state="variances").corr_interval()
    with pytest.raises(DataError, match="level=1 is not a share"):
        covdist.moments(X).corr_interval(level=1)
