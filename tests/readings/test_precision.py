"""Precision, partial correlation, log-determinant and condition number against numpy's and regressions."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError

from .counting import Counted

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)) @ RNG.normal(size=(5, 5)) + RNG.normal(size=5) * 10
S = np.cov(X.T, ddof=0)
READINGS = ["precision", "partial_corr", "logdet", "condition_number"]
each_reading = pytest.mark.parametrize("name", READINGS)


def test_equal_to_numpy():
    m = covdist.moments(X)
    np.testing.assert_allclose(m.precision(), np.linalg.inv(S), rtol=1e-11)
    np.testing.assert_array_equal(m.precision(), m.precision().T)
    np.testing.assert_allclose(m.precision(ddof=1), np.linalg.inv(np.cov(X.T)), rtol=1e-11)
    np.testing.assert_allclose(m.logdet(), np.linalg.slogdet(S)[1], rtol=1e-12)
    np.testing.assert_allclose(m.logdet(ddof=1), np.linalg.slogdet(np.cov(X.T))[1], rtol=1e-12)
    np.testing.assert_allclose(m.condition_number(), np.linalg.cond(S), rtol=1e-10)
    np.testing.assert_allclose(m.condition_number(), m.spectrum(1)["condition"], rtol=1e-10)


def test_partial_correlation_is_that_of_what_regression_leaves():
    found = covdist.moments(X).partial_corr()
    for i, j in ((0, 1), (2, 4), (3, 1)):
        others = np.column_stack([np.delete(X, [i, j], axis=1), np.ones(len(X))])
        left = [X[:, k] - others @ np.linalg.lstsq(others, X[:, k], rcond=None)[0] for k in (i, j)]
        np.testing.assert_allclose(found[i, j], np.corrcoef(left)[0, 1], rtol=1e-11)
    np.testing.assert_array_equal(np.diagonal(found), 1)
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize("units", [1e-150, 1e-30, 1e30, 1e150])
def test_units_of_columns_make_no_difference(units):
    scale = np.array([1.0, units, 1.0, 1.0, 1 / units])
    m, scaled = covdist.moments(X), covdist.moments(X * scale)
    np.testing.assert_allclose(scaled.partial_corr(), m.partial_corr(), rtol=1e-10)
    np.testing.assert_allclose(scaled.logdet(), m.logdet() + 2 * np.log(scale).sum(), rtol=1e-12)
    np.testing.assert_allclose(scaled.precision() * scale[:, None], m.precision() / scale, rtol=1e-10)


def test_tiny_rows():
    found = covdist.moments(X * 1e-200)
    np.testing.assert_allclose(found.logdet(), np.linalg.slogdet(S)[1] - 10 * np.log(1e200), rtol=1e-12)
    np.testing.assert_allclose(found.condition_number(), np.linalg.cond(S), rtol=1e-10)


@each_reading
def test_groups_weights_lazy_and_reads_nothing(name):
    by, weights = np.arange(60) % 2, RNG.random(60)
    counted = Counted(X, 20, 5)
    m = covdist.moments(counted.array, by=by, weights=weights)
    lazy = getattr(m, name)()
    assert lazy.chunks is not None
    m, found = m.compute(), lazy.compute()
    counted.made.clear()
    assert found.identical(getattr(m, name)())
    assert found.identical(getattr(covdist, name)(m))
    assert not counted.made
    for group in range(2):
        alone = covdist.moments(X[by == group], weights=weights[by == group])
        np.testing.assert_allclose(found.sel(group=group), getattr(alone, name)(), rtol=1e-9)


@each_reading
def test_a_group_of_few_rows_has_none(name):
    found = getattr(covdist.moments(X, by=(np.arange(60) < 3)), name)()
    assert np.isnan(found.sel(group=True)).all()
    assert np.isfinite(found.sel(group=False)).all()


@each_reading
def test_labels(name):
    x = xr.DataArray(X, dims=("step", "unit"), coords={"unit": list("abcde")})
    found = getattr(covdist.moments(x, dim="step"), name)()
    assert found.name == name
    assert found.attrs["units"]
    assert found.attrs["long_name"]
    assert found.dims in ((), ("unit", "unit_2"))
    one = getattr(covdist.moments(X[:, 0]), name)()
    assert one.dims == ()


@each_reading
@pytest.mark.parametrize(
    ("x", "said"),
    [
        (X[:4], r"rank is at most 3, one less than the rows, so at least 2 eigenvalues are 0; pass shrink='oas'"),
        (np.where(np.arange(5) == 2, 7.0, X), r"singular: pivot 2 is 0\.0e\+00.*pass shrink='oas'"),
    ],
)
def test_singular_ones_say_what_made_them_so(name, x, said):
    with pytest.raises(DataError, match=said):
        getattr(covdist.moments(x), name)()
    assert np.isfinite(getattr(covdist.moments(x), name)(shrink="oas")).all()


@pytest.mark.parametrize("copies", [1, 1e-8])
def test_dependent_columns_name_the_pivot_or_the_eigenvalue(copies):
    m = covdist.moments(np.column_stack([X, (X[:, 1] - X[:, 3]) * copies]))
    for name in READINGS[:3]:
        with pytest.raises(DataError, match=r"singular: pivot 5 is -?\d\.\de[-+]\d\d, the share"):
            getattr(m, name)()
    with pytest.raises(DataError, match=r"smallest eigenvalue is -?\d\.\de[-+]\d\d of its largest.*shrink='oas'"):
        m.condition_number()


def test_nearly_dependent_columns_have_one():
    m = covdist.moments(np.column_stack([X, X[:, 1] + 1e-5 * RNG.normal(size=60)]))
    assert float(m.condition_number()) > 1e9
    assert np.isfinite(m.precision()).all()


@each_reading
@pytest.mark.parametrize(
    ("m", "said"),
    [
        (covdist.moments(np.where(X[3, 1] == X, np.nan, X), missing="propagate"), "NaN or infinity, first in column 1"),
        (covdist.moments(X, state="variances"), "kind full, found a variances state"),
        (covdist.moments(X, X), "kind full, found a both state"),
        (covdist.moments(X, missing="pairwise"), "kind full, found a pairwise state"),
        (covdist.moments(X, matrix="tiles"), "matrix='memory'"),
        (da.from_array(X), "reads moments, found a"),
    ],
)  # fmt: skip
def test_what_has_none_says_so(name, m, said):
    with pytest.raises(DataError, match=said):
        getattr(covdist, name)(m)


def test_a_fit_of_few_rows_is_as_good_as_its_matrix():
    x = X.copy()
    x[::7, 2] = np.nan
    found = covdist.moments(x, missing="maxent")
    np.testing.assert_allclose(found.precision().values @ found.cov().values, np.eye(5), atol=1e-9)
