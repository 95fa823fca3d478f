"""``m.rolling`` and ``m.expanding``: windows of groups are those of their rows."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError, MergeError

from .containers import quick
from .counting import Counted

RNG = np.random.default_rng(0)
X, STEP = RNG.normal(size=(90, 3)), np.repeat(np.arange(30), 3)


@quick
@given(
    st.integers(1, 40), st.integers(1, 12), st.sampled_from([0.0, 1e8]), st.sampled_from([1e-150, 1.0, 1e100]),
    st.booleans(), st.integers(0, 2**32),
)  # fmt: skip
def test_as_windows_of_the_rows(groups, n, mean, unit, weighted, seed):
    rng = np.random.default_rng(seed)
    by = np.sort(rng.integers(groups, size=80))
    x = (rng.normal(size=(80, 3)) + mean) * unit
    weights = rng.random(80) if weighted else None
    m = covdist.moments(x, by=by, weights=weights)
    labels = m.count["group"].values
    for found, before in ((m.rolling("group", n), n), (m.expanding("group"), 99)):
        for place, label in enumerate(labels):
            taken = np.isin(by, labels[max(0, place - before + 1) : place + 1])
            one = found.sel(group=label)
            if before == n and place < n - 1:
                assert one.count == 0
                assert one.mean().isnull().all()
                continue
            expected = covdist.moments(x[taken], weights=None if weights is None else weights[taken])
            assert one.count == expected.count
            size = expected.std().values + 1e-300
            np.testing.assert_allclose(one.std() / size, expected.std() / size, rtol=1e-13, atol=1e-13)
            np.testing.assert_allclose(one.corr(), expected.corr(), atol=1e-13)
            np.testing.assert_allclose(one.mean(), expected.mean(), rtol=1e-15, atol=1e-13 * float(size.max()))


@pytest.mark.parametrize("n", [1, 2, 7, 30, 31])
@pytest.mark.parametrize("least", [None, 1, 2])
def test_as_pandas(n, least):
    if least is not None and least > n:
        pytest.skip("refused")
    x = RNG.normal(size=30)
    m = covdist.moments(x, by=np.arange(30))
    series = pd.Series(x)
    expected = series.rolling(n, min_periods=least)
    found = m.rolling("group", n, min_periods=least)
    np.testing.assert_allclose(found.mean(), expected.mean(), rtol=1e-12)
    np.testing.assert_allclose(found.var(), expected.var(ddof=0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(m.expanding("group").mean(), series.expanding().mean(), rtol=1e-12)


def test_bins_without_rows():
    step = np.array([0, 1, 2, 9, 10, 11])
    values = np.array([1.0, 2.0, 3.0, 5.0, 7.0, 9.0])
    m = covdist.moments(values, by=covdist.bins(step, [0, 3, 6, 9, 12]))
    per_bin = pd.Series([2.0, np.nan, np.nan, 7.0])  # means
    np.testing.assert_array_equal(m.rolling("group_bins", 2).mean().isnull(), per_bin.rolling(2).mean().isnull())
    found = m.rolling("group_bins", 2, min_periods=1)
    np.testing.assert_allclose(found.mean(), per_bin.rolling(2, min_periods=1).mean())
    np.testing.assert_allclose(m.expanding("group_bins").mean(), [2, 2, 2, 4.5])
    np.testing.assert_array_equal(found.count, [3, 3, 0, 3])


def test_within_each_of_the_other_coordinate(tmp_path):
    label = np.tile([0, 1, 1], 30)
    x = xr.DataArray(X, dims=("row", "unit"), coords={"step": ("row", STEP), "label": ("row", label)})
    m = covdist.moments(x, dim="row", by=("label", "step")).rolling("step", 4)
    m.save(tmp_path / "m.zarr")
    for found in (m, covdist.load(tmp_path / "m.zarr")):
        one = found.sel(label=1).sel(step=10)
        np.testing.assert_allclose(one.cov(), np.cov(X[(label == 1) & (STEP > 6) & (STEP <= 10)].T, ddof=0), rtol=1e-12)
        assert found.sel(label=1).sel(step=2).count == 0
    assert "rolling('step', 4)" in str(m.dataset.attrs)


@pytest.mark.parametrize("state", ["full", "variances", "higher", ("full", "higher"), "norms"])
def test_of_any_state_lazily_and_without_reading_again(state):
    counted = Counted(X, 7, 3)
    m = covdist.moments(counted.array, by=STEP, state=state)
    assert m.rolling("group", 5).deferred.lazy
    done = m.compute(scheduler="sync")
    assert counted.made == counted.every
    found = done.rolling("group", 5).sel(group=20).var()
    np.testing.assert_allclose(found, X[(STEP > 15) & (STEP <= 20)].var(axis=0), rtol=1e-12)
    lazy = covdist.moments(da.from_array(X, chunks=(7, 2)), by=STEP, state=state).rolling("group", 5)
    np.testing.assert_allclose(lazy.var()[20], found, rtol=1e-13)
    assert counted.made == counted.every


def test_what_has_no_windows_says_so():
    m = covdist.moments(X, by=STEP)
    for n, least in ((0, None), (2.5, None), (3, 4), (3, 0), ("3", None)):
        with pytest.raises(DataError, match="pass 1 or more, min_periods up to n"):
            m.rolling("group", n, min_periods=least)
    with pytest.raises(MergeError, match=r"rolling\('step', 3\) needs groups.*has groups by 'group'"):
        m.rolling("step", 3)
    with pytest.raises(MergeError, match="has no groups"):
        covdist.moments(X).expanding("step")
    with pytest.raises(MergeError, match="depends on the order of the rows"):
        covdist.moments(X, by=STEP, state="lagged(lag=1)").expanding("group")


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("n", "least"), [(1, 1), (3, 3), (4, 1), (40, 2), (200, 5)])
def test_windows_of_groups_that_are_kept_as_rows(n, least, dtype):
    rng = np.random.default_rng(n)
    by = rng.integers(0, 150, 420) * 2
    by[:20] = 80  # a group of many rows
    x = (rng.normal(size=(420, 33)) + 3).astype(dtype)
    m = covdist.moments(x, by=by)
    labels = np.unique(by)
    assert len(m.state.folded) == 1
    cases = [(m.rolling("group", n, min_periods=least), n, least)]
    if n == 1:
        cases.append((m.expanding("group"), len(labels), 1))
    for found, size, at_least in cases:
        cov, var, count = (each.values for each in (found.cov(), found.var(), found.count))
        for place in range(len(labels)):
            own = labels[max(0, place - size + 1) : place + 1]
            rows = x[np.isin(by, own)].astype(float)
            if len(own) < at_least:
                assert int(count[place]) == 0
                continue
            assert int(count[place]) == len(rows)
            np.testing.assert_allclose(cov[place], np.cov(rows.T, ddof=0), rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(var[place], rows.var(axis=0), rtol=1e-11, atol=1e-12)
    assert len(m.rolling("group", 3).state.few) > 0
