"""``missing="maxent"`` against a naive EM, row by row, on the whole array."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from distributed import Client
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError, NonFiniteError
from covdist.limits import changed

from .containers import chunkings, quick
from .counting import Counted


def naive(x: np.ndarray, weights: np.ndarray | None = None, iterations: int = 2000) -> tuple[np.ndarray, ...]:
    """Return mean, covariance and filled rows."""
    w = np.ones(len(x)) if weights is None else weights
    d = x.shape[1]
    mean, cov = np.nanmean(x, axis=0), np.diag(np.nanvar(x, axis=0))
    for _ in range(iterations):
        filled, spare = np.array(x), np.zeros((d, d))
        for row, weight in zip(filled, w, strict=True):
            o, m = np.isfinite(row), np.isnan(row)
            slope = cov[np.ix_(m, o)] @ np.linalg.inv(cov[np.ix_(o, o)])
            row[m] = mean[m] + slope @ (row[o] - mean[o])
            spare[np.ix_(m, m)] += weight * (cov[np.ix_(m, m)] - slope @ cov[np.ix_(o, m)])
        before, mean = cov, w @ filled / w.sum()
        cov = ((filled - mean).T * w @ (filled - mean) + spare) / w.sum()
        if np.abs(cov - before).max() < 1e-13:
            break
    return mean, cov, filled


def holed(n: int = 120, d: int = 4, share: float = 0.2, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d) * 5
    x[rng.random(x.shape) < share] = np.nan
    x[~np.isfinite(x).any(axis=1), 0] = 0.0
    return x


@pytest.fixture
def turn():
    """Return a function that sets limits until the test ends."""
    with ExitStack() as stack:
        yield lambda **fields: stack.enter_context(changed(**fields))


FEW = {"pattern_table_bytes": 1}  # no table of patterns is worth it, so that each iteration is a pass


@cache
def told(weighted: bool) -> tuple[np.ndarray, np.ndarray | None, tuple[np.ndarray, ...]]:
    """Return rows, their weights, and what the naive loop makes of them."""
    x = holed()
    weights = np.random.default_rng(1).random(len(x)) if weighted else None
    return x, weights, naive(x, weights)


@pytest.mark.parametrize("passes", [False, True], ids=["patterns", "passes"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chunks", [None, (17, 3), (60, 4)], ids=str)
def test_equals_a_naive_loop(turn, passes, weighted, chunks):
    if passes:
        turn(**FEW)
    x, weights, (mean, cov, filled) = told(weighted)
    given_array = x if chunks is None else da.from_array(x, chunks=chunks)
    m = covdist.moments(given_array, missing="maxent", weights=weights).compute()
    np.testing.assert_allclose(m.cov(), cov, rtol=0, atol=1e-8 * np.diag(cov).max())
    np.testing.assert_allclose(m.mean(), mean, rtol=0, atol=1e-8 * np.sqrt(np.diag(cov).max()))
    found = m.dataset.attrs
    assert found["converged"]
    assert found["ridge"] == 0
    assert found["iterations"] == len(found["log_likelihood"])
    assert np.diff(found["log_likelihood"]).min() >= -1e-12 * abs(found["log_likelihood"][-1])
    if not weighted:
        full = covdist.fill(given_array, method="maxent")
        np.testing.assert_allclose(full, filled, rtol=0, atol=1e-8 * np.sqrt(np.diag(cov).max()))


@quick
@given(st.data(), st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.5]), st.booleans())
def test_any_holes_and_chunks(data, seed, share, passes):
    x = holed(60, 3, share, seed)
    x = np.concatenate([x, np.full((60, 1), np.nan), np.full((60, 1), 7.0)], axis=1)
    x[data.draw(st.integers(0, 59))] = np.nan
    drawn = chunkings(60)  # each pass reads again what the first one read: of 60 chunks it would take seconds
    chunks = data.draw(drawn.filter(lambda cuts: len(cuts) < 60) if passes else drawn), data.draw(chunkings(5))
    with changed(**FEW if passes else {}):
        m = covdist.moments(da.from_array(x, chunks=chunks), missing="maxent").compute()
        full = covdist.fill(da.from_array(x, chunks=chunks), method="maxent").compute().values
    whole = covdist.cov(x, missing="maxent")
    np.testing.assert_allclose(m.cov(), whole, rtol=1e-7, atol=1e-7)
    likelihood = np.array(m.dataset.attrs["log_likelihood"])
    # Columns that nearly depend on each other lose digits.
    rounding = len(x) * np.finfo(float).eps * np.linalg.cond(covdist.corr(x, missing="maxent")[:3, :3])
    assert np.diff(likelihood).min(initial=0) >= -1e-12 * np.abs(likelihood).max() - rounding
    known = [0, 1, 2, 4]
    assert np.isnan(m.cov().values[3]).all()
    assert (np.linalg.eigvalsh(m.cov().values[np.ix_(known, known)]) > -1e-9).all()
    held = np.isfinite(x)
    np.testing.assert_array_equal(full[held], x[held])
    assert np.isfinite(full[:, known]).all()
    assert (full[:, 4] == 7).all()


def test_no_holes_give_what_raise_gives():
    x = holed(share=0)
    found = covdist.cov(x, missing="maxent")
    np.testing.assert_array_equal(found, covdist.cov(x))
    assert found.attrs["iterations"] == 0
    xr.testing.assert_identical(covdist.fill(x, method="maxent"), xr.DataArray(x, dims=("sample", "unit")))


def test_closer_than_the_other_policies_at_random_holes():
    rng = np.random.default_rng(5)
    d, n, runs = 6, 2_000, 4
    errors = dict.fromkeys(["complete", "maxent", "pairwise", "drop", "interpolate"], 0.0)
    for _ in range(runs):
        root = rng.normal(size=(d, d)) + 2 * rng.normal(size=(1, d))
        full = rng.normal(size=(n, d)) @ root
        x = np.where(rng.random(full.shape) < 0.2, np.nan, full)
        scale = np.sqrt(np.diag(root.T @ root))
        for name in errors:
            found = covdist.cov(full) if name == "complete" else covdist.cov(x, missing=name)
            errors[name] += float((((found.values - root.T @ root) / np.outer(scale, scale)) ** 2).sum())
    assert errors["maxent"] <= 1.15**2 * errors["complete"]
    assert errors["maxent"] < min(errors[name] for name in ("pairwise", "drop", "interpolate"))


def test_a_singular_covariance_gets_a_ridge():
    x = holed(share=0)[:, [0, 1, 2, 2]]
    x[::3, 0] = np.nan
    found = covdist.cov(x, missing="maxent")
    assert found.attrs["ridge"] > 0
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[2, 2], np.var(x[:, 2]), rtol=1e-6)


def test_labels_several_sample_dims_and_infinity():
    x = holed(40, 4)
    array = xr.DataArray(x.reshape(10, 4, 2, 2), dims=("step", "sample", "a", "b"), name="loss")
    expected = covdist.cov(x, missing="maxent").values
    lazy = array.chunk(step=3, a=1)
    found = covdist.cov(lazy, dim=("step", "sample"), missing="maxent")
    assert found.dims == ("a_b", "a_b_2")
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8)
    full = covdist.fill(lazy.transpose("a", ...), dim=("step", "sample"), method="maxent")
    assert full.dims == ("a", "step", "sample", "b")
    np.testing.assert_allclose(full.transpose(*array.dims).values.reshape(40, 4), covdist.fill(x, method="maxent"))
    x[3, 1] = np.inf
    with pytest.raises(NonFiniteError, match=r"row 3, column 1 .*inf='missing'"):
        covdist.cov(x, missing="maxent")
    assert np.isfinite(covdist.cov(x, missing="maxent", inf="missing")).all()


def test_a_spectrum():
    x = holed()
    values = np.linalg.eigvalsh(covdist.cov(x, missing="maxent"))[::-1]
    for array in (x, da.from_array(x, chunks=(30, 4))):
        np.testing.assert_allclose(covdist.spectrum(array, 4, missing="maxent")["eigenvalue"], values, rtol=1e-8)


@cache
def plain_scales(passes: bool) -> tuple[covdist.Moments, xr.DataArray]:
    """Return the moments and the rows filled of values that are neither tiny nor huge."""
    with changed(**FEW if passes else {}):
        return covdist.moments(holed(), missing="maxent"), covdist.fill(holed(), method="maxent")


@pytest.mark.parametrize(
    ("scale", "passes"),
    [(1e-300, False), (1e-200, False), (1e-30, False), (1e200, False), (1e290, False), (1e-300, True), (1e290, True)],
)
def test_tiny_and_huge_values(turn, scale, passes):
    plain, full = plain_scales(passes)
    if passes:
        turn(**FEW)
    x, scales = holed(), np.array([scale, 1.0, scale, 1e-100])
    m = covdist.moments(da.from_array(x * scales, chunks=(17, 2)), missing="maxent").compute()
    np.testing.assert_allclose(m.corr(), plain.corr(), rtol=0, atol=1e-8)
    np.testing.assert_allclose(m.std() / scales, plain.std(), rtol=1e-8)
    np.testing.assert_allclose(m.mean() / scales, plain.mean(), rtol=1e-8)
    found, expected = (np.array(one.dataset.attrs["log_likelihood"]) for one in (m, plain))
    held = np.isfinite(x).sum(axis=0)
    np.testing.assert_allclose(found[-1], expected[-1] - held @ np.log(scales), rtol=1e-8)
    filled = covdist.fill(x * scales, method="maxent") / scales
    np.testing.assert_allclose(filled, full, rtol=1e-7)


@pytest.mark.parametrize("lazy", [False, True])
def test_what_no_column_tells_stays(lazy):
    x = np.full((30, 3), np.nan)
    x[:20, 1] = 5.0
    found = covdist.fill(da.from_array(x, chunks=(7, 3)) if lazy else x, method="maxent")
    np.testing.assert_array_equal(found, np.where([False, True, False], 5.0, np.full((30, 3), np.nan)))


def test_variances_saved_and_added(tmp_path):
    x = holed()
    m = covdist.moments(x, missing="maxent")
    np.testing.assert_allclose(covdist.var(x, missing="maxent"), m.var(), rtol=1e-12)
    m.save(tmp_path / "m")
    again = covdist.load(tmp_path / "m")
    xr.testing.assert_identical(again.cov(), m.cov())
    assert again.dataset.attrs["iterations"] == m.dataset.attrs["iterations"]
    assert int((m + again).count) == 2 * len(x)


@pytest.mark.parametrize("shared", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_passes_give_the_same_bits_wherever_they_run(turn, shared):
    turn(least_shard_seconds=1e-9, state_bytes_per_second=1e12, **FEW)
    x = da.from_array(holed(share=0.03), chunks=(11, 4))
    array = x.rechunk((7, 4)) if shared else x
    assert covdist.plan(array, missing="maxent").shards > 8
    m = covdist.moments(array, missing="maxent")
    found = [m.compute(scheduler="synchronous"), m.compute(scheduler="threads", num_workers=1)]
    with ThreadPoolExecutor(1) as pool, dask.config.set(pool=pool):
        found.append(m.compute())
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0"):
        found.append(m.compute())
    for other in found[1:]:
        xr.testing.assert_identical(other.dataset, found[0].dataset)
    assert found[0].dataset.attrs["iterations"] > 5


def test_a_graph_does_not_grow_with_the_iterations():
    x = da.from_array(holed(), chunks=(11, 4))
    once, often = (covdist.fill(x, method="maxent", max_iterations=n) for n in (1, 1000))
    assert len(once.__dask_graph__()) == len(often.__dask_graph__())
    assert once.__dask_keys__() != often.__dask_keys__()


@pytest.mark.parametrize("passes", [False, True], ids=["patterns", "passes"])
@pytest.mark.parametrize("lazy", [False, True])
def test_x_with_y_is_a_block_of_both_together(turn, passes, lazy):
    if passes:
        turn(**FEW)
    both, weights = holed(d=5), np.random.default_rng(1).random(120)
    mean, cov, _ = naive(both, weights)
    x, y = both[:, :2], both[:, 2:].reshape(120, 3, 1)
    if lazy:
        x, y = da.from_array(x, chunks=(31, 1)), da.from_array(y, chunks=(50, 2, 1))
    m = covdist.moments(x, y, missing="maxent", weights=weights).compute()
    unit = np.diag(cov).max()
    np.testing.assert_allclose(m.cov(), cov[:2, 2:], rtol=0, atol=1e-8 * unit)
    np.testing.assert_allclose(m.y.mean(), mean[2:], rtol=0, atol=1e-8 * np.sqrt(unit))
    np.testing.assert_allclose(m.x.var(), np.diag(cov)[:2], rtol=1e-8)
    spread = np.sqrt(np.diag(cov))
    np.testing.assert_allclose(m.corr(), (cov / np.outer(spread, spread))[:2, 2:], rtol=0, atol=1e-8)
    assert m.dataset.attrs["converged"]
    np.testing.assert_array_equal(m.dataset["nans_y"], np.isnan(both[:, 2:]).sum(axis=0))
    whole = np.nan_to_num(both)
    found = covdist.cov(whole[:, :2], whole[:, 2:], missing="maxent")
    np.testing.assert_allclose(found, covdist.cov(whole[:, :2], whole[:, 2:]), rtol=1e-13)


def test_infinity_in_y_is_named():
    x, y = holed(d=2), holed(d=3)
    y[7, 1] = np.inf
    with pytest.raises(NonFiniteError, match=r"^y .*holds inf at row 7, column 1 "):
        covdist.cov(
            xr.DataArray(x, dims=("n", "a"), name="x"),
            xr.DataArray(y, dims=("n", "b"), name="y"),
            dim="n",
            missing="maxent",
        )


def test_what_it_cannot_do_says_so():
    x = holed()
    with pytest.raises(DataError, match="by='group'"):
        covdist.moments(x, missing="maxent", by=np.arange(len(x)) % 2)
    with pytest.raises(DataError, match="full matrix"):
        covdist.spectrum(x, 1, method="sketch", missing="maxent")
    with pytest.raises(DataError, match="matrices of all columns"):
        covdist.cov(x, missing="maxent", matrix="tiles")


@pytest.mark.parametrize("lazy", [False, True])
def test_variances_without_holes_are_those_of_raise(lazy):
    x = np.random.default_rng(0).normal(size=(60, 4))
    given = da.from_array(x, chunks=(7, 4)) if lazy else x
    xr.testing.assert_identical(covdist.var(given, missing="maxent").compute(), covdist.var(given).compute())


def test_variances_fold_a_matrix_only_where_values_are_missing():
    whole, gaps = Counted(np.random.default_rng(0).normal(size=(60, 4)), 7, 4), Counted(holed(), 7, 4)
    with dask.config.set(scheduler="synchronous"):
        covdist.var(whole.array, missing="maxent").compute()
        covdist.var(gaps.array, missing="maxent").compute()
    assert whole.made == whole.every
    assert gaps.made == gaps.every + gaps.every


@pytest.mark.parametrize("passes", [False, True], ids=["patterns", "passes"])
def test_variances_of_arrays_that_are_computed_are_those_of_promises(turn, passes):
    if passes:
        turn(**FEW)
    x = holed()
    made = da.from_array(x, chunks=(11, 4)).rechunk((7, 4))
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0"):
        lazily = covdist.var(made, missing="maxent").compute()
    np.testing.assert_allclose(lazily, covdist.var(x, missing="maxent"), rtol=1e-9)
