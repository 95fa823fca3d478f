"""Erasers against the formula by roots of matrices, and against all other maps that leave no covariance."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import scipy.linalg
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError

from .containers import quick
from .counting import Counted

RNG = np.random.default_rng(0)
N, D = 90, 6
LABEL = RNG.integers(3, size=N)
Z = np.eye(3)[LABEL]  # whose columns add up to 1
X = RNG.normal(size=(N, D)) @ RNG.normal(size=(D, D)) + 3 * RNG.normal(size=(3, D))[LABEL] + 5


def eraser(x: np.ndarray = X, z: np.ndarray = Z, **options: object) -> xr.Dataset:
    return covdist.leace(covdist.moments(x, z), covdist.moments(x), **options)


def by_roots(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """I - W⁺ Q W by the paper, through the symmetric root."""
    root = np.real(scipy.linalg.sqrtm(np.cov(x.T, ddof=0)))
    basis = scipy.linalg.orth(np.linalg.solve(root, covariance(x, z)), rcond=1e-8)
    return np.eye(len(root)) - root @ basis @ basis.T @ np.linalg.inv(root)


def covariance(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)).T @ (z - z.mean(axis=0)) / len(x)


def change(x: np.ndarray, erased: np.ndarray, norm: np.ndarray) -> float:
    return float(np.mean(np.sum(((x - erased) @ norm) ** 2, axis=1)))


# ---- what it is


@pytest.mark.parametrize("z", [Z, Z[:, :1], RNG.normal(size=(N, 2)) + X[:, :2], RNG.normal(size=(N, 8))])
def test_projection_and_bias(z):
    found = eraser(X, z)
    projection = found["projection"].values
    np.testing.assert_allclose(projection, by_roots(X, z), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(projection @ projection, projection, atol=1e-9)
    np.testing.assert_allclose(found["bias"], X.mean(axis=0) - projection @ X.mean(axis=0), rtol=1e-9, atol=1e-9)
    erased = covdist.erase(X, found)
    np.testing.assert_allclose(erased, X @ projection.T + found["bias"].values, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(erased.mean("sample"), X.mean(axis=0), rtol=1e-12)
    assert all(each.attrs["long_name"] and each.attrs["units"] for each in found.values())


@quick
@given(
    st.integers(0, 2**32),
    st.sampled_from([1e-200, 1e-30, 1.0, 1e100]),
    st.sampled_from([0.0, 1e6]),
    st.integers(1, 4),
    st.integers(3, 40),
)
def test_erased_rows_have_no_covariance_with_the_concept(seed, unit, shift, columns, rows):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, columns))
    x = (rng.normal(size=(rows, 5)) @ rng.normal(size=(5, 5)) + z @ rng.normal(size=(columns, 5)) + shift) * unit
    found = covdist.erase(x, eraser(x, z)).values
    left = covariance(found / unit - shift, z)
    np.testing.assert_allclose(left, 0, atol=1e-9 if shift else 1e-12 * (1 + abs(x / unit).max()) * 10)


def test_no_linear_model_finds_the_concept():
    ones = np.ones((N, 1))
    for x, better in ((X, True), (covdist.erase(X, eraser()).values, False)):
        inputs = np.column_stack([x, ones])
        guess = inputs @ np.linalg.lstsq(inputs, Z, rcond=None)[0]
        spread = abs(guess - Z.mean(axis=0)).max()
        assert (spread > 0.1) == better
        assert better or spread < 1e-10


@quick
@given(st.integers(0, 2**32))
def test_no_other_affine_map_without_covariance_changes_less(seed):
    """All of them are I - B Y with Y B = I, B the covariance; in any norm."""
    rng = np.random.default_rng(seed)
    found = eraser(X, Z[:, :2])
    basis = scipy.linalg.orth(covariance(X, Z[:, :2]))
    reading = np.linalg.pinv(basis) @ (np.eye(D) - found["projection"].values)
    np.testing.assert_allclose(reading @ basis, np.eye(2), atol=1e-9)
    away = rng.normal(size=(2, D)) * rng.choice([1e-3, 1.0])
    other = reading + away - away @ basis @ np.linalg.pinv(basis)
    centred, norm = X - X.mean(axis=0), rng.normal(size=(D, D))
    least, more = (change(centred, centred @ (np.eye(D) - basis @ each).T, norm) for each in (reading, other))
    assert least < more
    np.testing.assert_allclose(change(X, covdist.erase(X, found).values, norm), least, rtol=1e-9)


def test_directions_that_only_rounding_makes_stay():
    """The columns of all classes add up to 1: two directions go, not three."""
    found = eraser()
    assert np.linalg.matrix_rank(np.eye(D) - found["projection"].values, tol=1e-8) == 2
    unrelated = eraser(X, np.zeros((N, 2)))
    np.testing.assert_array_equal(unrelated["projection"], np.eye(D))
    weak = eraser(X, RNG.normal(size=(N, 1)), tolerance=0.6)
    np.testing.assert_array_equal(weak["projection"], np.eye(D))


# ---- hard rows


def test_few_rows_constant_and_dependent_columns():
    for x in (X[:4], np.column_stack([X, X[:, :1] - X[:, 1:2], np.full(N, 2.0)])):
        z = Z[: len(x)]
        found = covdist.erase(x, eraser(x, z)).values
        np.testing.assert_allclose(covariance(found, z), 0, atol=1e-9)
        if x.shape[1] == D + 2:
            np.testing.assert_allclose(found[:, -1], 2.0, rtol=1e-12)
            np.testing.assert_allclose(found[:, -2], found[:, 0] - found[:, 1], atol=1e-8)


@pytest.mark.parametrize("method", ["oas", "ols"])
def test_a_shrunk_covariance_leaves_none_either(method):
    found = eraser(X[:5], Z[:5], shrink=method)
    np.testing.assert_allclose(covariance(covdist.erase(X[:5], found).values, Z[:5]), 0, atol=1e-9)
    assert abs(found["projection"] - eraser(X[:5], Z[:5])["projection"]).max() > 0.01


def test_one_column():
    x = X[:, 0]
    found = eraser(x, Z)
    np.testing.assert_allclose(covdist.erase(x, found), np.full(N, x.mean()), rtol=1e-9)


# ---- names, laziness, refusals


def test_lazy_in_the_same_chunks_and_read_once():
    x, z = Counted(X, 20, 4), Counted(Z, 30, 3)
    found = covdist.leace(covdist.moments(x.array, z.array), covdist.moments(x.array))
    assert all(each.chunks is not None for each in found.values())
    assert not x.made
    erased = covdist.erase(x.array, found)
    assert erased.chunks == x.array.chunks
    np.testing.assert_allclose(erased.compute(), covdist.erase(X, eraser()), rtol=1e-10, atol=1e-10)
    rows = covdist.erase(da.from_array(X, chunks=(7, 2)), eraser())
    assert rows.chunks[0][0] == 7
    np.testing.assert_allclose(rows.compute(), erased.compute(), rtol=1e-10, atol=1e-10)


def test_labels_and_several_dims():
    x = xr.DataArray(
        X.reshape(N, 2, 3), dims=("step", "head", "unit"), coords={"step": np.arange(N)}, attrs={"units": "V"}
    )
    z = xr.DataArray(Z, dims=("step", "concept"))
    found = covdist.leace(covdist.moments(x, z, dim="step"), covdist.moments(x, dim="step"))
    erased = covdist.erase(x, found)
    assert erased.dims == x.dims
    assert erased.attrs["units"] == "V"
    np.testing.assert_array_equal(erased["step"], x["step"])
    np.testing.assert_allclose(erased.values.reshape(N, D), covdist.erase(X, eraser()), rtol=1e-10, atol=1e-10)
    labelled = xr.DataArray(X, dims=("step", "unit"), coords={"unit": list("abcdef")})
    m = covdist.moments(labelled, dim="step")
    named = covdist.moments(labelled, z.rename(concept="unit"), dim="step").leace(m)
    assert named["projection"].sel(unit="a", unit_2="b").ndim == 0
    with pytest.raises(DataError, match="x has other labels along 'unit'"):
        covdist.erase(labelled.assign_coords(unit=list("abcxef")), named)


@pytest.mark.parametrize(
    ("m_xz", "m_x", "said"),
    [
        (covdist.moments(X), None, r"leace reads moments of x and of the concept z, found a full state"),
        (covdist.moments(X, Z, state="cross"), None, r"needs the covariance of x, which a cross state.*as m_x"),
        (covdist.moments(X, Z), covdist.moments(X[:, 1:]), r"m_x is of unit \(5\), and m_xz of unit \(6\)"),
        (covdist.moments(X, Z), covdist.moments(X, state="variances"), "found a variances state"),
        (covdist.moments(X, Z, by=LABEL), covdist.moments(X), "leace takes one state"),
        (covdist.moments(X, Z), covdist.moments(X, by=LABEL), "leace takes one state"),
        (X, None, "leace reads moments, found a ndarray"),
    ],
)
def test_what_does_not_fit(m_xz, m_x, said):
    with pytest.raises(DataError, match=said):
        covdist.leace(m_xz, m_x)


def test_bad_options():
    with pytest.raises(DataError, match="tolerance=2 does not fit: pass a correlation below 1"):
        eraser(tolerance=2)
    with pytest.raises(DataError, match="shrink='oass' is unknown"):
        eraser(shrink="oass")
    with pytest.raises(DataError, match=r"erase needs an eraser, found a DataArray"):
        covdist.erase(X, eraser()["projection"])
    with pytest.raises(DataError, match=r"x has 5 columns, but the moments are of unit \(6\)"):
        covdist.erase(X[:, 1:], eraser())
    holes = np.where(X[3, 1] == X, np.nan, X)
    with pytest.raises(DataError, match="NaN or infinity"):
        covdist.leace(covdist.moments(holes, Z, missing="propagate"), covdist.moments(holes, missing="propagate"))


def test_a_concept_that_is_not_known_is_refused():
    """Nothing was erased of it, unsaid."""
    z = np.where(np.arange(N)[:, None] == 3, np.nan, Z)
    with pytest.raises(DataError, match="NaN or infinity"):
        covdist.leace(covdist.moments(X, z, missing="propagate"), covdist.moments(X))


@pytest.mark.parametrize("unit", [5e-310, 1e-300, 1e300])
@pytest.mark.filterwarnings("error")
def test_columns_near_the_ends_of_float64(unit):
    x = (X - 5) * unit
    found, plain = eraser(x), eraser(X - 5)
    np.testing.assert_allclose(found["projection"], plain["projection"], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(found["bias"] / unit, plain["bias"], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(covdist.erase(x, found) / unit, covdist.erase(X - 5, plain), rtol=1e-7, atol=1e-7)


@pytest.mark.filterwarnings("error")
def test_columns_whose_ratio_is_beyond_float64():
    """The share of one in another is infinite; the rest of the map is not."""
    x = X * [1e-290, 1, 1, 1, 1, 1e290]
    plain, found = eraser()["projection"].values, eraser(x)["projection"].values
    np.testing.assert_allclose(np.diagonal(found), np.diagonal(plain), rtol=1e-7)
    assert np.isinf(found[5, 0])
    np.testing.assert_allclose(found[1:5, 1:5], plain[1:5, 1:5], rtol=1e-7, atol=1e-9)
