"""Moments within groups and between them add up to those of all rows."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError, MergeError

from .containers import quick

RNG = np.random.default_rng(0)


def data(groups: int, shift: float, unit: float) -> tuple[np.ndarray, np.ndarray]:
    by = RNG.integers(groups, size=60)
    return (RNG.normal(size=(60, 4)) + RNG.normal(size=(groups, 4))[by] * shift) * unit, by


@quick
@given(st.integers(1, 7), st.sampled_from([0.0, 1.0, 1e6]), st.sampled_from([1.0, 1e-200, 1e100]), st.booleans())
def test_they_add_up(groups, shift, unit, weighted):
    x, by = data(groups, shift, unit)
    m = covdist.moments(x, by=by, weights=RNG.random(60) if weighted else None)
    within, between, total = m.within("group"), m.between("group"), m.merge("group")
    size = total.std().values
    scaled = (each.cov().values / size[:, None] / size if unit != 1e-200 else None for each in (within, between, total))
    if unit == 1e-200:  # whose covariances underflow
        np.testing.assert_allclose(np.hypot(within.std(), between.std()), total.std(), rtol=1e-13)
    else:
        a, b, c = scaled
        np.testing.assert_allclose(a + b, c, atol=1e-13)
    np.testing.assert_array_equal(within.mean(), total.mean())
    np.testing.assert_allclose(between.mean(), total.mean(), atol=1e-13 * float(abs(total.mean()).max()))
    assert within.count == between.count == total.count == 60


def test_of_rows_less_the_mean_of_their_group():
    x, by = data(5, 10.0, 1.0)
    means = np.array([x[by == group].mean(axis=0) for group in range(5)])[by]
    m = covdist.moments(x, by=by)
    np.testing.assert_allclose(m.within("group").cov(ddof=5), (x - means).T @ (x - means) / 55, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(m.between("group").cov(), np.cov(means.T, ddof=0), rtol=1e-11)


@pytest.mark.parametrize("state", ["norms", ("full", "higher"), ("norms", "variances")])
def test_of_states_that_hold_more(state):
    x, by = data(3, 1.0, 1.0)
    m, full = covdist.moments(x, by=by, state=state), covdist.moments(x, by=by)
    for name in ("within", "between"):
        found, expected = (getattr(each, name)("group").cov() for each in (m, full))
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(covdist.mahalanobis(x, m), covdist.mahalanobis(x, full), rtol=1e-11)


@pytest.mark.parametrize("unit", [1.0, 1e-200])
def test_of_single_columns(unit):
    x, by = data(4, 10.0, unit)
    m, full = covdist.moments(x, by=by, state="variances"), covdist.moments(x, by=by)
    for name in ("within", "between"):
        found, expected = (getattr(each, name)("group") for each in (m, full))
        np.testing.assert_allclose(found.std(), expected.std(), rtol=1e-13)
        np.testing.assert_allclose(found.mean(), expected.mean(), rtol=1e-13)


def test_of_single_columns_with_missing_values():
    """Whose columns have weights of their own, which a state without spread keeps."""
    x, by = data(4, 10.0, 1.0)
    x[::5, 1] = np.nan
    m = covdist.moments(x, by=by, state="variances", missing="pairwise")
    within, between, total = m.within("group"), m.between("group"), m.merge("group")
    np.testing.assert_allclose(within.var() + between.var(), total.var(), rtol=1e-12)
    np.testing.assert_allclose(between.mean(), total.mean(), rtol=1e-12)
    np.testing.assert_array_equal(between.count, np.isfinite(x).sum(axis=0))


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("state", ["full", "variances"])
def test_of_groups_by_several_coordinates(state, lazy):
    x, label = data(3, 5.0, 1.0)
    epoch, split = np.arange(60) % 2, np.array(["a", "b"])[np.arange(60) // 40]
    coords = {"label": ("sample", label), "epoch": ("sample", epoch), "split": ("sample", split)}
    array = xr.DataArray(x, dims=("sample", "unit"), coords=coords)
    m = covdist.moments(array.chunk(sample=7) if lazy else array, dim="sample", by=("epoch", "label"), state=state)
    three = covdist.moments(array, dim="sample", by=("epoch", "label", "split"), state=state)
    for name in ("within", "between"):
        found = getattr(m, name)("label")
        assert found.deferred.lazy == lazy
        assert found.mean().dims == ("epoch", "unit")
        for each in range(2):
            alone = covdist.moments(x[epoch == each], by=label[epoch == each], state=state)
            expected = getattr(alone, name)("group")
            np.testing.assert_allclose(found.sel(epoch=each).var(), expected.var(), rtol=1e-12)
            np.testing.assert_allclose(found.sel(epoch=each).mean(), expected.mean(), rtol=1e-13)
        merged = getattr(three, name)("split")
        assert merged.layout.groups.levels == ("epoch", "label")
        total = three.within("split").var() + three.between("split").var()
        np.testing.assert_allclose(total, three.merge("split").var(), rtol=1e-12)


def test_lazily_and_saved(tmp_path):
    x, by = data(3, 1.0, 1.0)
    m = covdist.moments(da.from_array(x, chunks=(20, 4)), by=by)
    assert m.within("group").deferred.lazy
    m.within("group").save(tmp_path / "w.zarr")
    done = covdist.moments(x, by=by)
    np.testing.assert_allclose(covdist.load(tmp_path / "w.zarr").cov(), done.within("group").cov(), rtol=1e-13)


def test_what_has_no_such_groups_says_so():
    x, by = data(3, 1.0, 1.0)
    with pytest.raises(MergeError, match=r"within\('epoch'\) needs groups.*groups by 'group'"):
        covdist.moments(x, by=by).within("epoch")
    with pytest.raises(MergeError, match="this state has no groups"):
        covdist.between(covdist.moments(x), "group")
    with pytest.raises(DataError, match="kind full, found a both state"):
        covdist.moments(x, x, by=by).within("group")
    with pytest.raises(DataError, match="within reads moments"):
        covdist.within(x, "group")
