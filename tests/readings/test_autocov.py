"""The covariance of rows with later rows, against numpy and exact arithmetic, across every border."""

from __future__ import annotations

from itertools import pairwise

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from distributed import Client
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.cli import main
from covdist.errors import DataError, MergeError, NonFiniteError

from .containers import chunkings, quick

RNG = np.random.default_rng(0)
N, D = 60, 3
X = np.cumsum(RNG.normal(size=(N, D)), axis=0) + 1e4
LAGS = [0, 1, 2, 7, 30, 59]


def expected(x: np.ndarray, lag: int, ddof: float = 0) -> np.ndarray:
    a, b = x[: len(x) - lag].astype(np.longdouble), x[lag:].astype(np.longdouble)
    return ((a - a.mean(axis=0)).T @ (b - b.mean(axis=0)) / (len(a) - ddof)).astype(float)


@pytest.mark.parametrize("lag", LAGS)
def test_equals_numpy(lag):
    x = xr.DataArray(X, dims=("step", "unit"), coords={"unit": list("abc")})
    found = covdist.autocov(x, lag, dim="step")
    assert found.dims == ("unit", "unit_2")
    np.testing.assert_allclose(found, expected(X, lag), rtol=1e-12, atol=1e-12)
    if lag < 59:
        np.testing.assert_allclose(covdist.autocov(X, lag, ddof=1), expected(X, lag, 1), rtol=1e-12, atol=1e-12)


@quick
@given(data=st.data(), lag=st.sampled_from(LAGS))
def test_any_chunks_and_shards(data, lag):
    x = da.from_array(X, chunks=tuple(data.draw(chunkings(n)) for n in X.shape))
    np.testing.assert_allclose(covdist.autocov(x, lag), expected(X, lag), rtol=1e-12, atol=1e-12)


def turned_round(x: np.ndarray, lag: int, ddof: float) -> np.ndarray:
    a, b = x[: len(x) - lag], x[lag:]
    first, second = (np.concatenate(pair).astype(np.longdouble) for pair in ((a, b), (b, a)))
    mean = first.mean(axis=0)
    return ((first - mean).T @ (second - mean) / (len(first) - ddof)).astype(float)


def about_one_mean(x: np.ndarray, lag: int, ddof: float) -> np.ndarray:
    away = x.astype(np.longdouble) - x.astype(np.longdouble).mean(axis=0)
    return (away[: len(x) - lag].T @ away[lag:] / (len(x) - ddof)).astype(float)


@quick
@given(data=st.data(), lag=st.sampled_from(LAGS), ddof=st.sampled_from([0, 1, 7]))
@pytest.mark.parametrize(("estimator", "formula"), [("reversible", turned_round), ("series", about_one_mean)])
def test_other_estimators(estimator, formula, data, lag, ddof):
    x = da.from_array(X, chunks=tuple(data.draw(chunkings(n)) for n in X.shape))
    if ddof < 2 * (N - lag):
        found = covdist.autocov(x, lag, ddof=ddof, estimator=estimator)
        np.testing.assert_allclose(found, formula(X, lag, ddof), rtol=1e-11, atol=1e-11)
        if estimator == "reversible":
            np.testing.assert_array_equal(found, found.T)


def test_estimators_of_groups_and_of_what_is_left_out():
    by = np.arange(N) % 2
    for estimator, formula in (("reversible", turned_round), ("series", about_one_mean)):
        found = covdist.autocov(X, 3, by=by, estimator=estimator)
        for group in range(2):
            np.testing.assert_allclose(found[group], formula(X[by == group], 3, 0), rtol=1e-11)
    holed = np.where(np.arange(N)[:, None] == 20, np.nan, X)
    with pytest.raises(DataError, match=r"'series' takes one mean of all rows, found some that are left out"):
        covdist.autocov(holed, 2, missing="drop", estimator="series")
    assert np.isnan(covdist.autocov(holed, 2, missing="propagate", estimator="series")).all()
    assert np.isfinite(covdist.autocov(holed, 2, missing="drop", estimator="reversible")).all()
    with pytest.raises(DataError, match="estimator='other' is unknown: pass one of 'pairs', 'reversible', 'series'"):
        covdist.autocov(X, 1, estimator="other")
    with pytest.raises(DataError, match="ddof=60 leaves nothing"):
        covdist.autocov(X, 1, ddof=60, estimator="series")


@quick
@given(data=st.data(), lag=st.sampled_from([0, 1, 2, 7, 30]))
def test_neighbours_merge_in_any_bracketing(data, lag):
    cuts = sorted(data.draw(st.lists(st.integers(0, N), max_size=8)))
    states = [covdist.moments(X[a:b], state=f"lagged(lag={lag})") for a, b in pairwise([0, *cuts, N]) if b > a]
    while len(states) > 1:
        at = data.draw(st.integers(0, len(states) - 2))
        states[at : at + 2] = [states[at] + states[at + 1]]
    np.testing.assert_allclose(states[0].autocov(), expected(X, lag), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "i4", "?"])
def test_dtypes(dtype):
    x = (RNG.normal(size=(40, 2)) * 3).astype(dtype)
    found = covdist.autocov(da.from_array(x, chunks=(7, 1)), 3)
    np.testing.assert_allclose(found, expected(x, 3), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("rows", [[20], [5, 6], [0, 59], [31, 33]], ids=str)
def test_dropped_rows_keep_their_place(rows, lazy):
    x = X.copy()
    x[rows, 1] = np.nan
    lag = 2
    kept = [t for t in range(N - lag) if np.isfinite(x[[t, t + lag]]).all()]
    pairs = np.cov(x[kept].T, x[[t + lag for t in kept]].T, ddof=0)[:D, D:]
    given = da.from_array(x, chunks=(1, D)) if lazy else x
    found = covdist.autocov(given, lag, missing="drop")
    np.testing.assert_allclose(found, pairs, rtol=1e-9)
    halves = [covdist.moments(part, state="lagged(lag=2)", missing="drop") for part in (x[:32], x[32:])]
    whole = halves[0] + halves[1]
    assert int(whole.count) == len(kept)
    assert int(whole.dataset["skipped"]) == N - lag - len(kept)
    np.testing.assert_allclose(whole.autocov(), pairs, rtol=1e-9)


def test_missing_values_are_named_or_run_through():
    x = X.copy()
    x[41, 2] = np.nan
    with pytest.raises(NonFiniteError, match="row 41, column 2 "):
        covdist.autocov(da.from_array(x, chunks=(11, D)), 3).compute()
    found = np.isnan(covdist.autocov(x, 3, missing="propagate").values)
    assert found.tolist() == [[False, False, True]] * 2 + [[True] * 3]
    with pytest.raises(DataError, match="no form of the state 'lagged'"):
        covdist.autocov(x, 3, missing="pairwise")


def test_groups_are_sequences_of_their_own():
    groups = np.repeat([0, 1, 2], 20)
    m = covdist.moments(da.from_array(X, chunks=(7, D)), by=groups, state="lagged(lag=2)").compute()
    for group in range(3):
        np.testing.assert_allclose(m.sel(group=group).autocov(), expected(X[groups == group], 2), rtol=1e-9)
    with pytest.raises(MergeError, match="depends on the order of the rows"):
        m.merge("group")


def test_other_lags_weights_and_words_are_refused():
    a, b = (covdist.moments(X, state=f"lagged(lag={lag})") for lag in (1, 2))
    with pytest.raises(MergeError, match="cannot merge lagged states of different parameters"):
        a + b
    with pytest.raises(DataError, match="weights of single rows"):
        covdist.moments(X, state="lagged", weights=np.ones(N))
    for lag in (-1, 1.5, "two"):
        with pytest.raises(DataError, match="whole number"):
            covdist.autocov(X, lag)
    with pytest.raises(DataError, match="has the parameters lag, found lags"):
        covdist.moments(X, state="lagged(lags=2)")
    with pytest.raises(DataError, match="cannot be folded together"):
        covdist.moments(X, state=("full", "lagged"))
    with pytest.raises(DataError, match=r"kind lagged"):
        covdist.moments(X).autocov()


def test_equal_bits_on_threads_and_workers():
    x = da.from_array(np.repeat(X, 50, axis=0), chunks=(37, D))
    lazy = covdist.autocov(x, 5)
    with dask.config.set(scheduler="synchronous"):
        alone = lazy.values
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0"):
        np.testing.assert_array_equal(lazy.compute(), alone)


def test_saved_merged_planned_and_run_as_a_job(tmp_path):
    np.save(tmp_path / "x.npy", X)
    first, second = (covdist.moments(part, state="lagged(lag=7)") for part in (X[:25], X[25:]))
    first.save(tmp_path / "a.zarr")
    again = covdist.load(tmp_path / "a.zarr")
    xr.testing.assert_identical(again.dataset, first.dataset)
    np.testing.assert_allclose((again + second).autocov(), expected(X, 7), rtol=1e-12)
    assert covdist.plan(X, state="lagged(lag=7)").state_bytes > covdist.plan(X, X).state_bytes
    with Client(processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=":0") as client:
        job = covdist.submit(tmp_path / "x.npy", job=tmp_path / "job", client=client, state="lagged(lag=7)").wait()
        options = ["--state", "lagged(lag=7)", "--scheduler", client.scheduler.address]
        ran = CliRunner().invoke(main, ["run", str(tmp_path / "x.npy"), "-o", str(tmp_path / "r.zarr"), *options])
    np.testing.assert_allclose(job.result().autocov(), expected(X, 7), rtol=1e-12)
    assert ran.exit_code == 0, ran.output
    np.testing.assert_allclose(covdist.load(tmp_path / "r.zarr").autocov(), expected(X, 7), rtol=1e-12)


def test_series_needs_rows_that_are_in_no_pair():
    """Of four rows at a lag of 3, two are in no pair; the mean of all takes them."""
    x = np.array([[1.0, 5.0], [np.nan, 2.0], [4.0, 1.0], [2.0, 3.0]])
    with pytest.raises(DataError, match="takes one mean of all rows, found some that are left out"):
        covdist.autocov(x, 3, missing="drop", estimator="series")
    np.testing.assert_array_equal(covdist.autocov(x, 3, missing="drop"), np.zeros((2, 2)))


@pytest.mark.parametrize("estimator", ["reversible", "series"])
@pytest.mark.filterwarnings("error")
def test_covariances_beyond_float64(estimator):
    assert not np.isfinite(covdist.autocov(X * 1e200, 1, estimator=estimator)).any()
