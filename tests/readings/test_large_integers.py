"""Integers beyond 2**53, against exact rationals."""

from __future__ import annotations

import math
from fractions import Fraction

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from state.oracle import Exact

import covdist
from covdist.errors import DataError

rng = np.random.default_rng(0)
STEPS = rng.integers(0, 10, (60, 3))
BLOCKS = {
    "int64": STEPS + 2**60,
    "negative": STEPS - 2**62,
    "the ends": np.where(np.arange(60)[:, None] % 2, 2**63 - 1 - STEPS, STEPS + np.iinfo("i8").min),
    "uint64": STEPS.astype(np.uint64) + np.uint64(2**64 - 100),
    "mixed": np.where(np.arange(60)[:, None] < 20, STEPS, STEPS + np.array([0, 2**55, 2**61])),
    "small first": np.sort(STEPS << np.array([1, 30, 55]), axis=0),
}
each_block = pytest.mark.parametrize("x", BLOCKS.values(), ids=BLOCKS)


def assert_exact(found: np.ndarray, truth: Exact, sides: tuple[int, int] = (0, 0)) -> None:
    for i, j in np.ndindex(found.shape):
        spread = truth.cov(sides[0], i, sides[0], i) * truth.cov(sides[1], j, sides[1], j)
        assert (Fraction(found[i, j]) - truth.cov(sides[0], i, sides[1], j)) ** 2 <= Fraction(1, 10**24) * spread


@each_block
@pytest.mark.parametrize("rows", [60, 7, 1])
@pytest.mark.parametrize("missing", ["raise", "drop", "pairwise", "maxent", "interpolate"])
def test_covariance(x, rows, missing):
    assert_exact(covdist.cov(da.from_array(x, chunks=(rows, 3)), dim=0, missing=missing).values, Exact(x))


@each_block
def test_other_readings(x):
    truth = Exact(x, STEPS)
    assert_exact(covdist.cov(x, STEPS).values, truth, (0, 1))
    weights = np.linspace(0.5, 2, 60)
    assert_exact(covdist.cov(x, weights=weights).values, Exact(x, weights=weights))
    by = np.arange(60) % 3
    grouped = covdist.cov(x, by=by)
    for group in range(3):
        assert_exact(grouped.sel(group=group).values, Exact(x[by == group]))
    variances = [truth.cov(0, i, 0, i) for i in range(3)]
    np.testing.assert_allclose(covdist.var(x), [float(v) for v in variances], rtol=1e-12)
    m = covdist.moments(x).dataset
    for i in range(3):
        error = Fraction(m["mean"].values[i]) + Fraction(m["mean_low"].values[i]) - truth.mean(0, i)
        assert error**2 <= Fraction(1, 10**24) * variances[i]


@each_block
@pytest.mark.parametrize("lag", [1, 7])
def test_lagged_across_borders(x, lag, tmp_path):
    truth = Exact(x[: 60 - lag], x[lag:])
    parts = [covdist.moments(part, state=f"lagged(lag={lag})") for part in (x[:1], x[1:20], x[20:21], x[21:])]
    parts[1].save(tmp_path / "m.zarr")
    found = parts[0] + covdist.load(tmp_path / "m.zarr") + (parts[2] + parts[3])
    assert_exact(found.autocov().values, truth, (0, 1))
    whole = covdist.moments(x, state=f"lagged(lag={lag})")
    for end, rows in (("head", x[:lag]), ("tail", x[-lag:])):
        for m in (found, whole):
            parts = (m.dataset[name].values for name in (end, f"{end}_low") if name in m.dataset)
            np.testing.assert_array_equal(sum(np.vectorize(int, "O")(part) for part in parts), rows)


def test_lagged_integers_beside_fractions():
    whole, real = STEPS + 2**60, STEPS + 0.5
    states = [covdist.moments(part, state="lagged(lag=2)") for part in (whole, real)]
    both = np.concatenate([whole, real])
    np.testing.assert_allclose(
        (states[0] + states[1]).autocov(), np.cov(both[:-2].T, both[2:].T, ddof=0)[:3, 3:], rtol=1e-9
    )


@each_block
def test_spectrum_of_few_rows(x):
    truth = Exact(x)
    size = max(truth.cov(0, i, 0, i) for i in range(3))
    scaled = [[float(truth.cov(0, i, 0, j) / size) for j in range(3)] for i in range(3)]
    found = covdist.spectrum(x, 1, method="dual")["eigenvalue"].values[0] / float(size)
    np.testing.assert_allclose(found, np.linalg.eigvalsh(scaled)[-1], rtol=1e-12)


@pytest.mark.parametrize("value", [2**53 + 1, 2**63 - 1, -(2**63), -(2**53) - 1])
def test_constant_columns(value):
    assert covdist.var(np.full((40, 2), value)).values.tolist() == [0, 0]


@pytest.mark.parametrize("dtype", ["i8", "u8", "datetime64[ns]"])
@pytest.mark.parametrize("kind", ["linear", "nearest"])
def test_stamps_in_nanoseconds(dtype, kind):
    steps = np.array([0, 1, 2, 3, 5, 9])
    stamps = (1_700_000_000_000_000_000 + steps).astype("i8").astype(dtype)
    values = np.array([1.0, np.nan, np.nan, 7, np.nan, 19])
    found = covdist.fill(xr.DataArray(values, dims="t", coords={"t": stamps}), dim="t", kind=kind)
    expected = covdist.fill(xr.DataArray(values, dims="t", coords={"t": steps}), dim="t", kind=kind)
    assert found.values.tolist() == expected.values.tolist()


@pytest.mark.parametrize("lazy", [False, True])
@each_block
def test_rows_by_a_state(x, lazy):
    m, truth = covdist.moments(x), Exact(x)
    rows = da.from_array(x, chunks=(7, 2)) if lazy else x
    away = [[Fraction(int(value)) - truth.mean(0, i) for i, value in enumerate(row)] for row in x]
    spreads = [math.sqrt(truth.cov(0, i, 0, i)) for i in range(3)]
    expected = np.array([[float(each) / by for each, by in zip(row, spreads, strict=True)] for row in away])
    np.testing.assert_allclose(covdist.standardise(rows, m), expected, rtol=1e-12, atol=1e-12)
    correlation = np.array(m.corr())
    if np.linalg.cond(correlation) > 1e6:
        return
    distances = np.sqrt(np.sum(expected @ np.linalg.inv(correlation) * expected, axis=1))
    np.testing.assert_allclose(covdist.mahalanobis(rows, m), distances, rtol=1e-9)
    white = covdist.whiten(rows, m, method="cholesky")
    np.testing.assert_allclose(np.linalg.norm(white, axis=1), distances, rtol=1e-9)


@each_block
def test_distance_correlation(x):
    low = x.min(axis=0)
    near = (x.astype(object) - low.astype(object)).astype(np.float64)
    np.testing.assert_allclose(covdist.distance_corr(x), covdist.distance_corr(near), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_series_up_to_the_largest_integer(dtype):
    """As far from zero, exactly, as the same steps about 0: acf was off by 4e-7."""
    steps = np.array([3, 1, 2, 2, 1, 3, 1])[:, None]
    x = steps.astype(dtype) + np.array(np.iinfo(dtype).max - 9, dtype)
    about_zero, far = (covdist.moments(each, state="serial(lags=3)") for each in (steps.astype(float), x))
    np.testing.assert_allclose(far.autocorr(), about_zero.autocorr(), rtol=1e-13)
    found, true = (covdist.autocov(each, 2, estimator="series") for each in (x, steps.astype(float)))
    np.testing.assert_allclose(found, true, rtol=1e-13)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 2**63 - 1, 1 - 2**63, 2**64 - 1])
def test_a_sample_of_rows_that_float64_rounds_is_refused(lazy, value):
    """Their ranks were those of other numbers, or of a constant."""
    x = np.array([[1], [value], [3]], np.uint64 if value > 2**63 else np.int64)
    with pytest.raises(DataError, match=rf"rounds the integer {value}: subtract"):
        covdist.moments(da.from_array(x, chunks=(2, 1)) if lazy else x, state="sampled").compute()
    found = covdist.moments(x, state="sampled", weights=np.array([1, 0, 1]))
    assert found.mean().item() == 2
    np.testing.assert_allclose(covdist.corr(np.concatenate([x, x], axis=1), method="spearman"), 1, rtol=1e-15)


@pytest.mark.parametrize("value", [2**53, 2**60 + 256, -(2**63), 2**64 - 2048])
def test_a_sample_of_large_integers_that_float64_has(value):
    x = np.array([[1, 2], [value, 3], [3, 4]], np.uint64 if value > 2**63 else np.int64)
    found = covdist.moments(x, state="sampled").corr("spearman-approx")
    np.testing.assert_allclose(found, covdist.corr(x, method="spearman"), rtol=1e-12)
