"""The cases of dask's tests of ``cov``, ``corrcoef``, ``var``, ``std`` and moments, with columns instead of rows."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.stats

import covdist
from covdist.errors import DataError, NonFiniteError

X = np.arange(56.0).reshape(7, 8).T ** 1.5
D = da.from_array(X, chunks=(4, 4))
Y = np.arange(8.0) ** 2
E = da.from_array(Y, chunks=4)
CHUNKS = [(8, 7), (4, 4), (1, 1), (3, 7), ((2, 0, 6), (5, 2))]


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("ddof", [0, 1, 3])
def test_cov_and_corrcoef(chunks, ddof):
    rows = da.from_array(X, chunks=chunks)
    found = covdist.cov(rows, ddof=ddof)
    assert dask.is_dask_collection(found)
    np.testing.assert_allclose(found, da.cov(D.T, ddof=ddof), rtol=1e-12)
    np.testing.assert_allclose(covdist.corr(rows), da.corrcoef(D.T), rtol=1e-12)


def test_rows_instead_of_columns():
    np.testing.assert_allclose(covdist.cov(D, dim=1, ddof=1), da.cov(D), rtol=1e-12)
    np.testing.assert_allclose(covdist.corr(D, dim=1), da.corrcoef(D), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["i4", "i8", "u2", "f4", ">f8"])
def test_dtypes(dtype):
    whole = np.arange(56).reshape(8, 7).astype(dtype)
    rows = da.from_array(whole, chunks=(4, 4))
    np.testing.assert_allclose(covdist.cov(rows, ddof=1), np.cov(whole.astype(float).T), rtol=1e-12)
    assert covdist.cov(rows).dtype == covdist.corr(rows).dtype == np.float64


def test_two_arrays():
    """dask stacks both; covdist gives the block of x's columns with y's."""
    np.testing.assert_allclose(covdist.cov(D, D, ddof=1), da.cov(D.T, D.T)[:7, 7:], rtol=1e-12)
    np.testing.assert_allclose(np.ravel(covdist.cov(D, E, ddof=1)), da.cov(D.T, E)[:7, 7], rtol=1e-12)
    np.testing.assert_allclose(np.ravel(covdist.cov(E, D, ddof=1)), da.cov(E, D.T)[0, 1:], rtol=1e-12)
    np.testing.assert_allclose(np.ravel(covdist.corr(E, D)), da.corrcoef(E, D.T)[0, 1:], rtol=1e-12)


def test_no_divisor_is_refused():
    for ddof in (8, 10):
        with pytest.raises(DataError, match=f"ddof={ddof} leaves nothing to divide by with 8 rows"):
            covdist.cov(D, ddof=ddof).compute()


def test_frequencies():
    rows, frequencies = np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]]), np.array([1, 4, 1])
    found = covdist.cov(rows, weights=da.from_array(frequencies, chunks=2), ddof=1)
    np.testing.assert_allclose(found, [[0.4, -0.4], [-0.4, 0.4]], rtol=1e-15)
    np.testing.assert_allclose(found, np.cov(rows.T, fweights=frequencies), rtol=1e-15)
    np.testing.assert_allclose(covdist.cov(rows, weights=np.ones(3, int), ddof=1), [[1, -1], [-1, 1]])


def test_analytic_weights():
    weights = np.array([0.5, 2.0, 0.5, 1.0, 1.0, 3.0, 0.25, 1.5])
    found = covdist.cov(D, weights=weights)
    np.testing.assert_allclose(found, np.cov(X.T, aweights=weights, ddof=0), rtol=1e-12)
    np.testing.assert_allclose(covdist.cov(D, weights=np.full(8, 0.7)), np.cov(X.T, ddof=0), rtol=1e-12)
    both = covdist.cov(D, weights=weights * np.arange(1, 9))
    np.testing.assert_allclose(both, np.cov(X.T, aweights=weights, fweights=np.arange(1, 9), ddof=0), rtol=1e-12)


@pytest.mark.parametrize("shape", [(2, 8), (8, 1, 1), (7,), (9,)])
def test_weights_of_other_shapes_are_refused(shape):
    with pytest.raises(DataError, match="weights has shape"):
        covdist.cov(D, weights=da.ones(shape))


def test_one_row_has_no_correlation():
    assert np.isnan(covdist.corr(da.from_array(np.array([[1, 2]])))).all()


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("dim", [0, 1, (0, 1)])
def test_var_and_std(name, chunks, dim):
    found = getattr(covdist, name)(da.from_array(X, chunks=chunks), dim=dim, ddof=1)
    np.testing.assert_allclose(found, getattr(np, name)(X, axis=dim, ddof=1), rtol=1e-13)


@pytest.mark.parametrize("name", ["skewness", "kurtosis"])
@pytest.mark.parametrize("chunks", CHUNKS)
def test_higher_moments(name, chunks):
    expected = {"skewness": scipy.stats.skew, "kurtosis": scipy.stats.kurtosis}[name](X)
    np.testing.assert_allclose(getattr(covdist, name)(da.from_array(X, chunks=chunks)), expected, rtol=1e-11)


@pytest.mark.parametrize("name", ["var", "std", "mean"])
def test_what_is_missing(name):
    """As ``nanvar``: each column without what is missing in it."""
    holed = np.where(np.arange(56).reshape(8, 7) % 5 == 1, np.nan, X)
    rows = da.from_array(holed, chunks=(3, 4))
    found = getattr(covdist.moments(rows, missing="pairwise"), name)()
    expected = np.diagonal(found) if found.ndim == 2 else found
    np.testing.assert_allclose(expected, getattr(np, f"nan{name}")(holed, axis=0), rtol=1e-12)
    spread = getattr(covdist.moments(rows, missing="propagate"), name)()
    np.testing.assert_array_equal(np.isnan(spread), np.isnan(holed).any(axis=0))
    with pytest.raises(NonFiniteError, match="row 0, column 1"):
        covdist.var(rows).compute()


@pytest.mark.parametrize("rows", [da.ones((4, 3)) * 1j, da.from_array(np.array([["a"], ["b"]]))])
def test_what_is_not_real_is_refused(rows):
    with pytest.raises(DataError, match="real numbers"):
        covdist.cov(rows)


def test_a_single_number_is_refused():
    with pytest.raises(DataError, match="single number"):
        covdist.cov(da.ones(()))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_nothing_is_refused(shape):
    with pytest.raises(DataError, match="is empty"):
        covdist.var(da.ones(shape))


def test_masked_rows():
    mask = np.zeros(X.shape, bool)
    mask[2, 3] = mask[5] = True
    rows = da.ma.masked_array(D, mask)
    np.testing.assert_allclose(covdist.cov(rows, missing="drop"), np.cov(X[~mask.any(axis=1)].T, ddof=0), rtol=1e-12)
    with pytest.raises(NonFiniteError, match="row 2, column 3"):
        covdist.cov(rows).compute()
