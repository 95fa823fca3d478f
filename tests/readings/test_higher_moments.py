"""Skewness and kurtosis against scipy and exact rational arithmetic, however the rows are cut."""

from __future__ import annotations

from fractions import Fraction

import dask.array as da
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from click.testing import CliRunner
from distributed import Client
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.cli import main
from covdist.errors import DataError

from .containers import chunkings, quick

RNG = np.random.default_rng(0)
X = RNG.gamma(2.0, size=(500, 3)) * [1.0, 5.0, 1e-3] + [0.0, 100.0, -7.0]
READINGS = {"skewness": scipy.stats.skew, "kurtosis": scipy.stats.kurtosis}
each_reading = pytest.mark.parametrize("name", READINGS)


def exact(x: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    values = [Fraction(float(value)) for value in x]
    weight = [Fraction(1)] * len(values) if weights is None else [Fraction(float(w)) for w in weights]
    total = sum(weight)
    mean = sum(w * v for w, v in zip(weight, values, strict=True)) / total
    m2, m3, m4 = (sum(w * (v - mean) ** k for w, v in zip(weight, values, strict=True)) / total for k in (2, 3, 4))
    sign = -1 if m3 < 0 else 1
    return {"skewness": sign * float(m3 * m3 / m2**3) ** 0.5, "kurtosis": float(m4 / m2**2 - 3)}


@each_reading
def test_equals_scipy(name):
    found = getattr(covdist, name)(xr.DataArray(X, dims=("step", "unit")), dim="step")
    assert found.dims == ("unit",)
    np.testing.assert_allclose(found, READINGS[name](X), rtol=1e-11)


@each_reading
@quick
@given(data=st.data())
def test_any_chunks(name, data):
    x = da.from_array(X, chunks=tuple(data.draw(chunkings(n)) for n in X.shape))
    np.testing.assert_allclose(getattr(covdist, name)(x), READINGS[name](X), rtol=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e-200, 1e-310, 1e200, 1e300])
@pytest.mark.parametrize("shift", [0.0, 1.0, 1e6])
def test_exact_at_any_scale_and_shift(scale, shift, weighted):
    x = (RNG.exponential(size=40) + shift) * scale
    weights = RNG.random(40) if weighted else None
    expected = exact(x, weights)
    pieces = [covdist.moments(x[cut], state="higher", weights=None if weights is None else weights[cut])
              for cut in (slice(13), slice(13, 14), slice(14, 40))]  # fmt: skip
    whole = pieces[0] + pieces[1] + pieces[2]
    tolerance = 1e-6 if scale == 1e-310 else 1e-11 * max(1.0, shift)  # subnormal numbers have fewer digits
    assert float(whole.skewness()) == pytest.approx(expected["skewness"], rel=tolerance)
    assert float(whole.kurtosis()) == pytest.approx(expected["kurtosis"], rel=tolerance, abs=tolerance)


def test_an_outlier_does_not_overflow():
    x = np.append(RNG.normal(size=99), 1e100)
    expected = exact(x)
    assert float(covdist.skewness(x)) == pytest.approx(expected["skewness"])
    assert float(covdist.kurtosis(x)) == pytest.approx(expected["kurtosis"])


def test_a_gaussian_has_no_excess_and_a_constant_column_none_at_all():
    x = np.stack([RNG.normal(size=200_000), np.full(200_000, 0.1)], axis=1)
    found = covdist.kurtosis(x)
    assert abs(float(found[0])) < 0.05
    assert np.isnan(found[1])
    assert np.isnan(covdist.skewness(x)[1])


@each_reading
def test_by_groups_and_beside_the_covariance_in_one_pass(name):
    groups = np.arange(len(X)) % 4
    m = covdist.moments(X, by=groups, state=("full", "higher"))
    for group in range(4):
        rows = X[groups == group]
        np.testing.assert_allclose(getattr(m.sel(group=group), name)(), READINGS[name](rows), rtol=1e-10)
        np.testing.assert_allclose(m.sel(group=group).cov(), np.cov(rows.T, ddof=0), rtol=1e-10)
    np.testing.assert_allclose(getattr(m.merge("group"), name)(), READINGS[name](X), rtol=1e-10)


@each_reading
def test_missing_rows_are_dropped(name):
    x = X.copy()
    x[3, 1] = np.nan
    np.testing.assert_allclose(
        getattr(covdist, name)(x, missing="drop"), READINGS[name](np.delete(X, 3, axis=0)), rtol=1e-10
    )
    assert np.isnan(getattr(covdist, name)(x, missing="propagate").values).tolist() == [False, True, False]
    with pytest.raises(DataError, match="no form of the state 'higher'"):
        getattr(covdist, name)(x, missing="pairwise")


def test_a_state_without_them_says_which_has_them():
    with pytest.raises(DataError, match=r"kind higher, found a full state.*state="):
        covdist.moments(X).skewness()


def test_saved_merged_planned_and_run_as_a_job(tmp_path):
    np.save(tmp_path / "x.npy", X)
    a, b = (covdist.moments(part, state="higher") for part in (X[:200], X[200:]))
    a.save(tmp_path / "a.zarr")
    merged = covdist.load(tmp_path / "a.zarr") + b
    np.testing.assert_allclose(merged.kurtosis(), scipy.stats.kurtosis(X), rtol=1e-10)
    assert covdist.plan(X, state="higher").state_bytes < 1000
    with Client(processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=":0") as client:
        job = covdist.submit(tmp_path / "x.npy", job=tmp_path / "job", client=client, state="higher").wait()
        options = ["--state", "full", "--state", "higher", "--scheduler", client.scheduler.address]
        ran = CliRunner().invoke(main, ["run", str(tmp_path / "x.npy"), "-o", str(tmp_path / "r.zarr"), *options])
    np.testing.assert_allclose(job.result().skewness(), scipy.stats.skew(X), rtol=1e-10)
    assert ran.exit_code == 0, ran.output
    result = covdist.load(tmp_path / "r.zarr")
    np.testing.assert_allclose(result.skewness(), scipy.stats.skew(X), rtol=1e-10)
    np.testing.assert_allclose(result.cov(), np.cov(X.T, ddof=0), rtol=1e-10)
