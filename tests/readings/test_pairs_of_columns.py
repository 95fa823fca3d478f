"""Each column of x with the same column of y, against xarray, pandas and exact rationals."""

from __future__ import annotations

import warnings
from functools import partial

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError
from covdist.state.columnwise import Columnwise
from tests.state.oracle import Exact

RNG = np.random.default_rng(0)
ROWS, WIDTH = 60, 5
X = RNG.normal(3, 1, (ROWS, WIDTH))
Y = 0.4 * X + RNG.normal(-2, 2, (ROWS, WIDTH))
Y[:, 3] = 7.0
GAPS = RNG.random((2, ROWS, WIDTH)) < 0.2
NAMES = list("abcde")
of_columns = {"dim": "t", "pairs": "columns"}


def named(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims=("t", "unit"), coords={"unit": NAMES}, name="activation")


def holed(number: int) -> xr.DataArray:
    return named(np.where(GAPS[number], np.nan, (X, Y)[number]))


def close(found: xr.DataArray, expected: xr.DataArray) -> None:
    assert found.dims == ("unit",)
    assert found["unit"].values.tolist() == NAMES
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def xarray_corr(x: xr.DataArray, y: xr.DataArray) -> xr.DataArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a constant column
        return xr.corr(x, y, dim="t")


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("chunks", [None, {"t": 7}, {"t": 11, "unit": 2}], ids=str)
def test_as_xarray_has_it(ddof, chunks):
    x, y = (each if chunks is None else each.chunk(chunks) for each in (named(X), named(Y)))
    found = covdist.cov(x, y, ddof=ddof, **of_columns)
    assert isinstance(found.data, da.Array) == (chunks is not None)
    close(found.compute(), xr.cov(named(X), named(Y), dim="t", ddof=ddof))
    corr = covdist.corr(x, y, **of_columns).compute()
    varying = [name for name in NAMES if name != "d"]
    np.testing.assert_allclose(corr.sel(unit=varying), xarray_corr(named(X), named(Y)).sel(unit=varying), rtol=1e-12)
    assert np.isnan(corr.sel(unit="d"))  # constant


def test_as_pandas_has_it():
    x, y = (pd.DataFrame(each, columns=NAMES).drop(columns="d") for each in (X, Y))
    found = covdist.corr(x, y, pairs="columns")
    np.testing.assert_allclose(found, x.corrwith(y), rtol=1e-12)
    assert found["unit"].values.tolist() == ["a", "b", "c", "e"]


@pytest.mark.parametrize("chunks", [None, {"t": 7}], ids=str)
def test_pairwise_as_xarray_leaves_out_values(chunks):
    x, y = (holed(number) if chunks is None else holed(number).chunk(chunks) for number in (0, 1))
    options = of_columns | {"missing": "pairwise"}
    close(covdist.cov(x, y, ddof=1, **options).compute(), xr.cov(holed(0), holed(1), dim="t", ddof=1))
    varying = [name for name in NAMES if name != "d"]
    expected = xarray_corr(holed(0), holed(1)).sel(unit=varying)
    np.testing.assert_allclose(covdist.corr(x, y, **options).compute().sel(unit=varying), expected, rtol=1e-12)
    both = (~GAPS.any(axis=0)).sum(axis=0)
    m = covdist.moments(x, y, dim="t", state="columnwise", missing="pairwise")
    np.testing.assert_array_equal(m.compute().count, both)
    few = covdist.cov(x, y, min_periods=int(np.sort(both)[2]), **options).compute()
    np.testing.assert_array_equal(np.isnan(few), both < np.sort(both)[2])


def test_drop_propagate_and_interpolate():
    kept = ~GAPS.any(axis=(0, 2))
    close(
        covdist.cov(holed(0), holed(1), missing="drop", **of_columns),
        xr.cov(named(X[kept]), named(Y[kept]), dim="t", ddof=0),
    )
    x = X.copy()
    x[5, 1] = np.nan
    found = covdist.cov(named(x), named(Y), missing="propagate", **of_columns)
    assert np.isnan(found).values.tolist() == [False, True, False, False, False]
    filled = [covdist.fill(holed(number), dim="t", ends="nearest") for number in (0, 1)]
    close(covdist.cov(holed(0), holed(1), missing="interpolate", **of_columns), xr.cov(*filled, dim="t", ddof=0))
    with pytest.raises(DataError, match=r"maxent.*columnwise"):
        covdist.cov(holed(0), holed(1), missing="maxent", **of_columns)


def test_weights_and_groups():
    weights = RNG.random(ROWS)
    expected = np.diagonal(covdist.cov(X, Y, weights=weights, ddof=1))
    np.testing.assert_allclose(covdist.cov(X, Y, weights=weights, ddof=1, pairs="columns"), expected, rtol=1e-12)
    frequency = RNG.integers(0, 4, ROWS)
    repeated = [np.repeat(each, frequency, axis=0) for each in (X, Y)]
    np.testing.assert_allclose(
        covdist.corr(X, Y, weights=frequency, pairs="columns"), covdist.corr(*repeated, pairs="columns"), rtol=1e-12
    )
    by = np.arange(ROWS) % 3
    grouped = covdist.cov(named(X), named(Y), by=by, **of_columns)
    assert grouped.dims == ("group", "unit")
    close(grouped.sel(group=1, drop=True), xr.cov(named(X[by == 1]), named(Y[by == 1]), dim="t", ddof=0))


@pytest.mark.parametrize("chunks", [ROWS, 9])
@pytest.mark.parametrize("mean", [0.0, 1e4, 1e8, 1e12])
def test_against_exact_rationals(mean, chunks):
    x, y = X + mean, Y - mean * np.arange(WIDTH)
    lazy = [da.from_array(each, chunks=(chunks, WIDTH)) for each in (x, y)]
    found, truth = covdist.cov(*lazy, pairs="columns").compute().values, Exact(x, y)
    for i in range(WIDTH):
        spread = float(truth.cov(0, i, 0, i) * truth.cov(1, i, 1, i)) ** 0.5
        assert abs(found[i] - float(truth.cov(0, i, 1, i))) <= 1e-12 * spread


@pytest.mark.parametrize("missing", ["raise", "pairwise"])
@pytest.mark.parametrize("size", [1e-200, 1e-30, 1e200])
def test_tiny_and_huge_values(size, missing):
    found = covdist.corr(X * size, Y * size, pairs="columns", missing=missing)
    np.testing.assert_allclose(found, covdist.corr(X, Y, pairs="columns"), rtol=1e-12)


def test_correlations_stay_within_one_and_a_column_is_itself():
    found = covdist.corr(X, -3 * X + 1, pairs="columns").values
    assert (found >= -1).all()
    np.testing.assert_allclose(found, -1, rtol=1e-14)


@pytest.mark.parametrize(("precision", "bound"), [("high", 1e-12), ("fast", 1e-5)])
def test_it_is_the_diagonal_of_the_block(precision, bound):
    m, whole = covdist.moments(X, Y, state="columnwise", precision=precision), covdist.moments(X, Y)
    np.testing.assert_allclose(m.cov(), np.diagonal(whole.cov()), rtol=bound, atol=bound)
    np.testing.assert_allclose(m.y.var(), whole.y.var(), rtol=1e-12)


def test_sums_files_and_wide_arrays(tmp_path):
    make = partial(covdist.moments, state="columnwise")
    halves = make(X[:20], Y[:20]) + make(X[20:], Y[20:])
    np.testing.assert_allclose(halves.cov(), make(X, Y).cov(), rtol=1e-12, atol=1e-15)
    for missing in ("raise", "pairwise"):
        m = make(X, Y, missing=missing, by=np.arange(ROWS) % 2)
        m.save(tmp_path / f"{missing}.zarr")
        again = covdist.load(tmp_path / f"{missing}.zarr")
        assert again.dataset.identical(m.dataset)
        assert again.cov().identical(m.cov())
    wide = RNG.normal(size=(4, 40_000))
    for missing in ("raise", "pairwise"):
        found = covdist.cov(wide, wide[::-1], pairs="columns", missing=missing)
        expected = ((wide - wide.mean(axis=0)) * (wide[::-1] - wide.mean(axis=0))).mean(axis=0)
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
    assert Columnwise.cost(10_000, 10_000).state_bytes < 200 * 10_000


def test_several_column_dims():
    x, y = (xr.DataArray(each.reshape(ROWS, WIDTH, 1), dims=("t", "h", "w")) for each in (X, Y))
    found = covdist.cov(x, y, **of_columns)
    np.testing.assert_allclose(found, covdist.cov(X, Y, pairs="columns"), rtol=1e-14)


REFUSED = {
    "widths": (lambda: covdist.cov(X, Y[:, :3], pairs="columns"), "5 columns and y 3"),
    "labels": (lambda: covdist.cov(named(X), named(Y)[:, ::-1], **of_columns), "first at column 0, 'a' and 'e'"),
    "rows": (lambda: covdist.corr(X, Y[:7], pairs="columns"), "same samples"),
    "no y": (lambda: covdist.cov(X, pairs="columns"), "pass y"),
    "words": (lambda: covdist.corr(X, Y, pairs="column"), "one of 'all', 'columns'"),
    "tiles": (lambda: covdist.cov(X, Y, pairs="columns", matrix="tiles"), "matrix='tiles'"),
    "nearest": (lambda: covdist.cov(X, Y, pairs="columns", nearest_psd=True), "nearest_psd"),
    "state": (lambda: covdist.moments(X, Y[:, :2], state="columnwise"), "as many"),
    "together": (lambda: covdist.moments(X, Y[:, :2], state=("columnwise", "cross")), "as many"),
}


@pytest.mark.parametrize(("call", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(call, words):
    with pytest.raises(DataError, match=words):
        call()


def test_together_with_the_block():
    m = covdist.moments(X, Y, state=("cross", "columnwise"))
    assert m.cov().shape == m.corr().shape == (WIDTH, WIDTH)
    found = m.read("column_covariance", m.layout.axes[:1], 0)
    np.testing.assert_allclose(found, np.diagonal(m.cov()), rtol=1e-12, atol=1e-15)
