"""Exponentially weighted moments against pandas and recomputed weights; scaled states that go on."""

from __future__ import annotations

from fractions import Fraction

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from distributed import Client

import covdist
from covdist.cli import main
from covdist.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)) + np.array([0.0, 100.0, -5.0])
HALFLIFE = 7.5
WEIGHTS = 0.5 ** (np.arange(119, -1, -1) / HALFLIFE)


def weighted(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.cov(x.T, aweights=weights, ddof=0)


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: da.from_array(x, chunks=(13, 2))], ids=["numpy", "dask"])
def test_equals_pandas(wrap):
    m = covdist.moments(wrap(X), halflife=HALFLIFE)
    ewm = pd.DataFrame(X).ewm(halflife=HALFLIFE)
    np.testing.assert_allclose(m.mean(), ewm.mean().iloc[-1], rtol=1e-12)
    np.testing.assert_allclose(m.cov(), ewm.cov(bias=True).loc[119], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(m.cov(ddof=1), ewm.cov(bias=False).loc[119], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(m.corr(), ewm.corr().loc[119], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("lazy", [False, True])
def test_follows_the_sample_coordinate(lazy):
    steps = np.cumsum(RNG.integers(1, 5, len(X)))
    x = xr.DataArray(X, dims=("step", "unit"), coords={"step": steps})
    m = covdist.moments(x.chunk(step=11) if lazy else x, dim="step", halflife=20)
    np.testing.assert_allclose(m.cov(), weighted(X, 0.5 ** ((steps[-1] - steps) / 20)), rtol=1e-12)
    times = np.datetime64("2026-01-01") + np.sort(RNG.integers(0, 10**6, len(X))) * np.timedelta64(1, "s")
    x = xr.DataArray(X, dims=("time", "unit"), coords={"time": times})
    expected = pd.DataFrame(X).ewm(halflife=pd.Timedelta("1h"), times=times).mean().iloc[-1]
    np.testing.assert_allclose(covdist.moments(x, dim="time", halflife=np.timedelta64(1, "h")).mean(), expected)


def test_with_weights_and_groups():
    weights, groups = RNG.random(len(X)), np.arange(len(X)) % 2
    m = covdist.moments(X, halflife=HALFLIFE, weights=weights, by=groups)
    for group in (0, 1):
        rows = groups == group
        np.testing.assert_allclose(m.sel(group=group).cov(), weighted(X[rows], (weights * WEIGHTS)[rows]), rtol=1e-12)


@pytest.mark.parametrize("state", ["full", "variances", "higher"])
@pytest.mark.parametrize("lazy", [False, True])
def test_older_moments_go_on(state, lazy):
    x = da.from_array(X, chunks=(10, 3)) if lazy else X
    older, newer = (covdist.moments(part, halflife=HALFLIFE, state=state) for part in (x[:80], x[80:]))
    whole = covdist.moments(X, halflife=HALFLIFE, state=state)
    found = older.scaled(0.5 ** (40 / HALFLIFE)) + newer
    assert int(found.count) == 120
    for ddof in (0, 1):
        np.testing.assert_allclose(found.var(ddof), whole.var(ddof), rtol=1e-12)
    if state == "higher":
        np.testing.assert_allclose(found.kurtosis(), whole.kurtosis(), rtol=1e-11)


@pytest.mark.parametrize("missing", ["drop", "pairwise", "interpolate", "maxent"])
def test_goes_with_every_policy(missing):
    x = X.copy()
    x[RNG.random(x.shape) < 0.05] = np.nan
    m = covdist.moments(da.from_array(x, chunks=(17, 3)), halflife=HALFLIFE, missing=missing)
    given = covdist.moments(x, weights=WEIGHTS, missing=missing)
    np.testing.assert_allclose(m.cov(), given.cov(), rtol=1e-8)
    np.testing.assert_allclose(m.scaled(3.0).cov(), m.cov(), rtol=1e-13)


def test_old_rows_fade_to_nothing():
    x = RNG.normal(size=(5000, 2))
    np.testing.assert_allclose(covdist.moments(x, halflife=1).mean(), covdist.moments(x[-200:], halflife=1).mean())


@pytest.mark.parametrize("halflife", [0.01, 1e-300, 5e-324])
@pytest.mark.parametrize("lazy", [False, True])
def test_rows_that_fade_to_nothing_count_for_nothing(halflife, lazy):
    """The number of half-lives of the first rows is beyond float64, and the weight of the others below it."""
    x = da.from_array(X, chunks=(13, 3)) if lazy else X
    for options in ({}, {"missing": "pairwise"}, {"state": "sampled"}):
        older, newer = (covdist.moments(part, halflife=halflife, **options) for part in (x[:80], x[80:]))
        found, whole = older.scaled(0.5 ** (40 / halflife)) + newer, covdist.moments(x, halflife=halflife, **options)
        np.testing.assert_array_equal(found.mean(), X[-1])
        np.testing.assert_array_equal(whole.mean(), X[-1])
        np.testing.assert_array_equal(found.count, whole.count)


@pytest.mark.parametrize(
    ("values", "halflife"),
    [
        (np.array([-128, 0, 127], np.int8), 100.0),
        (np.array([-(2**15), 5, 2**15 - 1], np.int16), 5e4),
        (np.array([-(2**63), 0, 2**63 - 1]), 1e19),
        (np.array([0, 2**63, 2**64 - 1], np.uint64), 1e19),
        (np.array([-3e38, 0, 3e38], np.float32), 4e38),
        (np.array([-300, 5, 300]).astype("m8[D]").astype("m8[s]") * 1000, "100000D"),
        (np.array(["1000-01-01", "2000-01-01", "2600-01-01"], "M8[s]"), "100000D"),
        (np.array(["1700-01-01", "2000-01-01", "2260-01-01"], "M8[ns]"), "100000D"),
    ],
    ids=lambda each: str(getattr(each, "dtype", "")),
)
def test_positions_further_apart_than_their_dtype_holds(values, halflife):
    exact = list(map(int, values.astype(np.int64) if values.dtype.kind in "mM" else values))
    second = 10**9 if values.dtype == "M8[ns]" else 1
    steps = 100000 * 86400 * second if isinstance(halflife, str) else halflife
    weights = np.array([0.5 ** float(Fraction(exact[-1] - each) / Fraction(steps)) for each in exact])
    x = xr.DataArray(X[:3], dims=("t", "unit"), coords={"t": values})
    np.testing.assert_allclose(
        covdist.moments(x, dim="t", halflife=halflife).mean(), np.average(X[:3], axis=0, weights=weights), rtol=1e-13
    )


@pytest.mark.parametrize("halflife", [0, -1.0, float("nan"), "soon", [1, 2]], ids=str)
def test_no_time_to_halve_in(halflife):
    with pytest.raises(DataError, match=r"^halflife=.* is not a length along the samples: pass a number"):
        covdist.moments(X, halflife=halflife)


def test_what_cannot_fade_or_be_scaled_is_refused():
    with pytest.raises(DataError, match="runs along one dim, found 2"):
        covdist.moments(X.reshape(12, 10, 3), dim=(0, 1), halflife=3)
    with pytest.raises(DataError, match="are not positions"):
        covdist.moments(xr.DataArray(X, dims=("s", "u"), coords={"s": ["a"] * 120}), dim="s", halflife=3)
    with pytest.raises(DataError, match="0 or more"):
        covdist.moments(X).scaled(-1)
    with pytest.raises(DataError, match="cannot be scaled"):
        covdist.moments(X, state="lagged").scaled(0.5)


def test_in_a_job_and_on_the_command_line(tmp_path):
    np.save(tmp_path / "x.npy", X)
    with Client(processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=":0") as client:
        job = covdist.submit(tmp_path / "x.npy", job=tmp_path / "job", client=client, halflife=HALFLIFE).wait()
        options = ["--halflife", str(HALFLIFE), "--scheduler", client.scheduler.address]
        ran = CliRunner().invoke(main, ["run", str(tmp_path / "x.npy"), "-o", str(tmp_path / "r.zarr"), *options])
    np.testing.assert_allclose(job.result().cov(), weighted(X, WEIGHTS), rtol=1e-12)
    assert ran.exit_code == 0, ran.output
    result = covdist.load(tmp_path / "r.zarr")
    assert result.dataset.attrs["halflife"] == "7.5"
    np.testing.assert_allclose(result.scaled(0.1).cov(ddof=1), result.cov(ddof=1), rtol=1e-13)
