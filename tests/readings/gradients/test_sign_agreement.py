"""``sign_agreement`` against the signs of the rows themselves."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError

X = np.random.default_rng(0).normal(0.3, 1, (60, 20))
EPOCHS = np.repeat([0, 1, 2], [30, 29, 1])


def signs(x, **options):
    return covdist.moments(x, state="signs", **options)


def direct(rows):
    """Return the share of rows with the sign of the exact mean, NaN where all are zero."""
    signs_of = np.sign(rows)
    mean = np.sign(rows.astype(np.longdouble).mean(axis=0))
    return np.where(signs_of.any(axis=0), (signs_of == mean).mean(axis=0), np.nan)


@given(
    values=st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=1, max_size=12),
    power=st.sampled_from([-1070, -500, 0, 1000]),
)
def test_it_is_the_share_of_the_rows_for_gradients_of_any_size(values, power):
    x = np.array(values, float)
    found = signs(np.ldexp(x, power)).sign_agreement()
    expected = direct(x)
    np.testing.assert_array_equal(found["agreement"], expected)
    live = expected[~np.isnan(expected)]
    np.testing.assert_allclose(found["layer_agreement"], live.mean() if len(live) else np.nan, rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8])
def test_other_dtypes(dtype):
    x = (3 * X).astype(dtype)
    np.testing.assert_array_equal(signs(x).sign_agreement()["agreement"], direct(x.astype(float)))


@pytest.mark.parametrize("chunks", [None, (7, 20), (7, 6)])
def test_groups_and_lazy(chunks):
    found = signs(X if chunks is None else da.from_array(X, chunks=chunks), by=EPOCHS).sign_agreement()
    assert all(bool(each.chunks) == (chunks is not None) for each in found.data_vars.values())
    found = found.compute()
    expected = np.array([direct(X[epoch == EPOCHS]) for epoch in range(3)])
    np.testing.assert_array_equal(found["agreement"], expected)
    np.testing.assert_allclose(found["layer_agreement"], expected.mean(axis=1), rtol=1e-14)
    assert found["agreement"].dims == ("group", "unit")
    assert found["agreement"].attrs["units"] == found["layer_agreement"].attrs["units"] == "1"


def test_groups_merge_and_are_saved(tmp_path):
    m = signs(X, by=EPOCHS)
    xr.testing.assert_equal(m.merge("group").sign_agreement(), signs(X).sign_agreement())
    m.save(tmp_path / "m.zarr")
    assert covdist.load(tmp_path / "m.zarr").sign_agreement().identical(m.sign_agreement())


def test_positions():
    x = X.reshape(60, 5, 2, 2)
    found = signs(xr.DataArray(x, dims=("step", "unit", "h", "w")), dim="step", each=("h", "w")).sign_agreement()
    np.testing.assert_array_equal(found["agreement"].sel(h=1, w=0), direct(x[:, :, 1, 0]))


def test_weights_that_repeat_rows():
    often = np.random.default_rng(1).integers(0, 4, 60)
    found = signs(X, weights=often).sign_agreement()
    expected = signs(np.repeat(X, often, axis=0)).sign_agreement()
    xr.testing.assert_equal(found["agreement"], expected["agreement"])


def test_a_large_step_does_not_sway_it():
    x = np.array([[1e300], [-1.0], [-1.0], [-1.0]])
    assert signs(x).sign_agreement()["agreement"].item() == 0.25


def test_a_mean_of_zero_has_the_sign_of_zeros():
    x = np.array([[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0], [0.0, 2.0, 0.0], [0.0, -2.0, 0.0]])
    found = signs(x).sign_agreement()
    np.testing.assert_array_equal(found["agreement"], [0.5, 0, np.nan])
    assert found["layer_agreement"].item() == 0.25


def test_no_rows():
    found = signs(X, weights=np.zeros(60)).sign_agreement()
    assert np.isnan(found["agreement"]).all()
    assert np.isnan(found["layer_agreement"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_let_through(value):
    x = np.array([[1.0, value], [1.0, 1.0]])
    found = signs(x, missing="propagate", inf="missing").sign_agreement()
    assert found["agreement"].values[0] == 1
    assert np.isnan(found["agreement"].values[1])
    assert np.isnan(found["layer_agreement"])


def test_bad_input():
    with pytest.raises(DataError, match=r"needs a state of kind signs, found a variances state.*state='signs'"):
        covdist.moments(X, state="variances").sign_agreement()
    with pytest.raises(DataError, match="'pairwise' has no form of the state 'signs'"):
        signs(X, missing="pairwise")
    with pytest.raises(DataError, match="needs a state of kind"):
        signs(X, by=EPOCHS).between("group")
    with pytest.raises(DataError, match="sign_agreement reads moments, found a ndarray"):
        covdist.sign_agreement(X)
