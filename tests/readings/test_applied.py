"""Rows whitened, standardised, as distances and along eigenvectors: lazily, in the chunks that they have."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError

from .containers import quick
from .counting import Counted

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 6)) @ RNG.normal(size=(6, 6)) + RNG.normal(size=6) * 10
M = covdist.moments(X)
BY = np.arange(60) % 3
METHODS = ["zca", "pca", "cholesky"]
each_method = pytest.mark.parametrize("method", METHODS)
APPLIED = {
    "whiten": lambda x, m: covdist.whiten(x, m),
    "standardise": lambda x, m: covdist.standardise(x, m),
    "mahalanobis": lambda x, m: covdist.mahalanobis(x, m),
    "project": lambda x, m: covdist.project(x, m.spectrum(2)),
}
each_function = pytest.mark.parametrize("name", APPLIED)


# ---- what they are


@quick
@given(
    st.sampled_from(METHODS),
    st.sampled_from([1e-200, 1e-30, 1.0, 1e100]),
    st.sampled_from([0.0, 1.0, 1e6]),
    st.integers(0, 1),
    st.integers(1, 6),
)
def test_whitening_gives_the_identity(method, unit, shift, ddof, columns):
    x = (X[:, :columns] + shift) * unit
    white = covdist.whiten(x, covdist.moments(x), method=method, ddof=ddof)
    np.testing.assert_allclose(covdist.cov(white.to_numpy(), ddof=ddof), np.eye(columns), atol=1e-8)
    np.testing.assert_allclose(white.mean("sample"), 0, atol=1e-8)


def test_whitening_of_other_rows_is_by_the_matrix_that_its_name_says():
    other, s = RNG.normal(size=(5, 6)), np.cov(X.T, ddof=0)
    centred = other - X.mean(axis=0)
    values, vectors = np.linalg.eigh(s)
    root = vectors / np.sqrt(values) @ vectors.T
    np.testing.assert_allclose(covdist.whiten(other, M), centred @ root, rtol=1e-9, atol=1e-9)
    lower = np.linalg.inv(np.linalg.cholesky(s))
    np.testing.assert_allclose(covdist.whiten(other, M, method="cholesky"), centred @ lower.T, rtol=1e-9, atol=1e-9)
    found = covdist.whiten(other, M, method="pca")
    expected = (centred @ vectors / np.sqrt(values))[:, ::-1]
    np.testing.assert_allclose(abs(found), abs(expected), rtol=1e-8, atol=1e-8)
    assert found.dims == ("sample", "component")


def test_whitening_of_few_rows_takes_shrinkage():
    m = covdist.moments(X[:4])
    with pytest.raises(DataError, match=r"rank is at most 3.*shrink='oas'"):
        covdist.whiten(X, m)
    white = covdist.whiten(X[:4], m, shrink="oas")
    inverse = np.linalg.inv(m.shrink("oas").to_numpy())
    centred = X[:4] - X[:4].mean(axis=0)
    np.testing.assert_allclose(white.values @ white.values.T, centred @ inverse @ centred.T, rtol=1e-9)


def test_standardise():
    np.testing.assert_allclose(covdist.standardise(X, M), (X - X.mean(axis=0)) / X.std(axis=0), rtol=1e-12, atol=1e-13)
    found = covdist.standardise(X, M, ddof=1)
    np.testing.assert_allclose(found, (X - X.mean(axis=0)) / X.std(axis=0, ddof=1), rtol=1e-12, atol=1e-13)
    constant = np.column_stack([X[:, 0], np.full(60, 3.0)])
    assert np.isnan(covdist.standardise(constant, covdist.moments(constant))[:, 1]).all()
    for kind in ("variances", "higher"):
        np.testing.assert_array_equal(covdist.standardise(X, covdist.moments(X, state=kind)).dims, ("sample", "unit"))


@pytest.mark.parametrize("shift", [1e6, 1e10])
def test_standardise_has_the_digits_that_a_float64_of_the_mean_loses(shift):
    x = np.round(X * 1024) / 1024 + shift
    found = covdist.standardise(x, covdist.moments(x))
    near = x - shift
    np.testing.assert_allclose(found, (near - near.mean(axis=0)) / near.std(axis=0), atol=1e-11)


def test_distances():
    away = X - X.mean(axis=0)
    expected = np.sqrt(np.einsum("ij,jk,ik->i", away, np.linalg.inv(np.cov(X.T, ddof=0)), away))
    found = covdist.mahalanobis(X, M)
    assert found.dims == ("sample",)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_allclose((found**2).mean(), 6, rtol=1e-12)
    tiny = covdist.mahalanobis(X * 1e-200, covdist.moments(X * 1e-200))
    np.testing.assert_allclose(tiny, expected, rtol=1e-10)


def test_distances_to_groups_by_their_pooled_covariance():
    """As pytorch-ood's ``Mahalanobis``: the mean of each class, and Σ (x - its class's mean)(...)ᵀ / N."""
    m = covdist.moments(X, by=BY)
    means = np.array([X[group == BY].mean(axis=0) for group in range(3)])
    inverse = np.linalg.inv((X - means[BY]).T @ (X - means[BY]) / len(X))
    other = RNG.normal(size=(7, 6)) * 10
    found = covdist.mahalanobis(other, m)
    assert found.dims == ("sample", "group")
    for group in range(3):
        away = other - means[group]
        expected = np.sqrt(np.einsum("ij,jk,ik->i", away, inverse, away))
        np.testing.assert_allclose(found.sel(group=group), expected, rtol=1e-10)


def test_projection():
    s = M.spectrum(3)
    found = covdist.project(X, s)
    np.testing.assert_allclose(found, X @ s["eigenvector"].values.T, rtol=1e-12)
    scores = covdist.project(X - X.mean(axis=0), s)
    np.testing.assert_allclose((scores**2).mean("sample"), s["eigenvalue"], rtol=1e-10)
    lazy = covdist.project(X, covdist.spectrum(da.from_array(X, chunks=(20, 6)), 3))
    assert lazy.chunks is not None
    np.testing.assert_allclose(abs(lazy), abs(found), rtol=1e-9, atol=1e-9)


# ---- what they keep


@each_function
@pytest.mark.parametrize("chunks", [(20, 6), (7, 4), (60, 1)])
def test_lazy_in_the_same_chunks(name, chunks):
    x = da.from_array(X, chunks=chunks)
    found = APPLIED[name](x, M)
    assert found.chunks[0] == x.chunks[0]
    if name in ("whiten", "standardise"):
        assert found.chunks == x.chunks
    whole = APPLIED[name](X, M)
    assert whole.chunks is None
    np.testing.assert_allclose(found.compute(), whole, rtol=1e-13, atol=1e-13)


@each_function
def test_each_chunk_is_read_once_and_nothing_before(name):
    counted = Counted(X, 20, 6)
    found = APPLIED[name](counted.array, M)
    assert not counted.made
    found.compute()
    assert counted.made == counted.every


@each_function
def test_lazy_moments(name):
    m = covdist.moments(da.from_array(X, chunks=(20, 6)))
    found = APPLIED[name](X, m)
    assert found.chunks is not None
    np.testing.assert_allclose(abs(found.compute()), abs(APPLIED[name](X, M)), rtol=1e-8, atol=1e-8)


@each_function
def test_labels(name):
    labels = {"unit": list("abcdef"), "step": np.arange(60) * 10, "epoch": ("step", BY)}
    x = xr.DataArray(X.T, dims=("unit", "step"), coords=labels, name="gradient", attrs={"units": "V"})
    found = APPLIED[name](x, covdist.moments(x, dim="step"))
    np.testing.assert_array_equal(found["epoch"], BY)
    np.testing.assert_array_equal(found["step"], labels["step"])
    assert found.name == name
    assert found.attrs["long_name"]
    assert found.attrs["units"] in ("1", "the rows' units")
    if name in ("whiten", "standardise"):
        assert found.dims == x.dims
        np.testing.assert_array_equal(found["unit"], x["unit"])
    expected = APPLIED[name](X, M)
    np.testing.assert_allclose(abs(found.transpose("step", ...)), abs(expected), rtol=1e-9, atol=1e-9)


@each_function
def test_several_dims_of_columns_and_of_samples(name):
    x = xr.DataArray(X.reshape(10, 6, 2, 3), dims=("batch", "token", "head", "unit"))
    m = covdist.moments(x, dim=("batch", "token"))
    found = APPLIED[name](x.chunk(batch=4, head=1), m)
    assert found.dims[:2] == ("batch", "token")
    if name in ("whiten", "standardise"):
        assert found.dims == x.dims
        assert found.chunks == ((4, 4, 2), (6,), (1, 1), (3,))
    expected = APPLIED[name](X, M).to_numpy()
    np.testing.assert_allclose(abs(found.to_numpy().reshape(expected.shape)), abs(expected), rtol=1e-9, atol=1e-9)


@each_function
def test_one_variable_and_float32(name):
    one = covdist.moments(X[:, 0])
    assert APPLIED[name](X[:, 0], one).sizes["sample"] == 60 if name != "project" else True
    assert APPLIED[name](X.astype("f4"), M).dtype == np.float64


# ---- what they refuse


@each_function
@pytest.mark.parametrize(
    ("x", "said"),
    [
        (X[:, :5], r"x has 5 columns, but the moments are of unit \(6\)"),
        (xr.DataArray(X, dims=("step", "param")), "x has the dims 'step', 'param', none of which is 'unit'"),
        (X.astype(complex), "complex"),
        ("file.npy", "open the file first"),
        ((lambda x: x[x[:, 0] > 0])(da.from_array(X, chunks=20)), "x has chunks of unknown size.*compute_chunk_sizes"),
    ],
)
def test_rows_of_other_columns(name, x, said):
    with pytest.raises(DataError, match=said):
        APPLIED[name](x, M)


@each_function
def test_other_labels(name):
    x = xr.DataArray(X, dims=("step", "unit"), coords={"unit": list("abcdef")})
    m = covdist.moments(x, dim="step")
    with pytest.raises(DataError, match="other labels along 'unit' than the moments, first x for d"):
        APPLIED[name](x.assign_coords(unit=list("abcxef")), m)


def test_other_states_and_options():
    grouped = covdist.moments(X, by=BY)
    for name in ("whiten", "standardise"):
        with pytest.raises(DataError, match=rf"{name} takes one state.*m\.sel\(group=\.\.\.\).*m\.merge\('group'\)"):
            APPLIED[name](X, grouped)
    with pytest.raises(DataError, match=r"choose one, such as by spectrum\.sel"):
        covdist.project(X, grouped.spectrum(1))
    with pytest.raises(DataError, match=r"found a DataArray: pass covdist\.spectrum"):
        covdist.project(X, M.cov())
    for name in ("whiten", "mahalanobis"):
        with pytest.raises(DataError, match="kind full, found a both state"):
            APPLIED[name](X, covdist.moments(X, X))
        with pytest.raises(DataError, match="shrink='oass' is unknown: pass one of 'ledoit-wolf', 'oas'"):
            getattr(covdist, name)(X, M, shrink="oass")
        with pytest.raises(DataError, match=f"{name} reads moments, found a ndarray"):
            APPLIED[name](X, X)
    with pytest.raises(DataError, match="method='zcaa' is unknown"):
        covdist.whiten(X, M, method="zcaa")
    with pytest.raises(DataError, match="has no option axis: covdist calls it dim"):
        covdist.standardise(X, M, axis=0)


def test_missing_values_stay_in_their_rows():
    x = X.copy()
    x[3, 1] = np.nan
    for name, function in APPLIED.items():
        assert np.isnan(function(x, M)[3]).any(), name
        assert np.isfinite(np.delete(function(x, M).to_numpy(), 3, axis=0)).all(), name


@pytest.mark.parametrize("lazy", [False, True])
def test_rows_beyond_float64_in_spreads_are_infinite(lazy):
    x = np.array([[1e-300], [3e-300], [1e300]])
    rows = da.from_array(x, chunks=2) if lazy else x
    with np.errstate(all="raise", under="ignore"):
        found = covdist.standardise(rows, covdist.moments(x[:2])).values
    np.testing.assert_allclose(found.ravel(), [-1, 1, np.inf])
