"""``Moments``: sums, groups, sides, and what it is to dask and to a notebook."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from operator import add

import dask
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
VALUES = RNG.normal(size=(30, 4)) + 3
LABELS = np.array(["val", "train", "test"])[RNG.integers(0, 3, 30)]


def units(chunks: int | None = None, **coords: object) -> xr.DataArray:
    data = VALUES if chunks is None else da.from_array(VALUES, chunks=(chunks, 4))
    return xr.DataArray(data, dims=("step", "unit"), coords={"unit": list("abcd"), **coords})


def assert_moments(found: covdist.Moments, rows: np.ndarray) -> None:
    assert int(found.count) == len(rows)
    np.testing.assert_allclose(found.mean(), rows.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.var(), rows.var(axis=0), rtol=1e-12, atol=1e-30)
    np.testing.assert_allclose(found.std(), rows.std(axis=0), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.cov(), np.cov(rows.T, ddof=0), rtol=1e-12, atol=1e-13)


@quick
@given(st.lists(st.integers(1, 29), unique=True, max_size=5).map(sorted), st.sampled_from([None, 4]))
def test_parts_add_up(cuts, chunks):
    x = units(chunks)
    ends = [0, *cuts, 30]
    parts = [covdist.moments(x[a:b], dim="step") for a, b in pairwise(ends)]
    total = reduce(add, parts)
    assert_moments(total, VALUES)
    assert_moments(reduce(covdist.Moments.merge, parts), VALUES)
    assert total.layout.provenance["rows"] == 30
    assert dask.is_dask_collection(total) == (chunks is not None)


def test_adding_changes_neither_part():
    a, b = covdist.moments(VALUES[:10]), covdist.moments(VALUES[10:])
    assert_moments(a + b, VALUES)
    assert_moments(a, VALUES[:10])
    assert_moments(b, VALUES[10:])


def test_a_number_cannot_be_added():
    with pytest.raises(TypeError):
        covdist.moments(VALUES) + 1


@pytest.mark.parametrize("chunks", [None, 4])
@pytest.mark.parametrize("by", ["label", LABELS, xr.DataArray(LABELS, dims="step", name="label")])
def test_groups_by_strings_in_any_order(chunks, by):
    name = "group" if isinstance(by, np.ndarray) else "label"
    m = covdist.moments(units(chunks, label=("step", LABELS)), dim="step", by=by)
    assert m.count.dims == (name,)
    for label in ("test", "train", "val"):
        rows = VALUES[label == LABELS]
        assert_moments(m.sel(**{name: label}), rows)
        np.testing.assert_allclose(m.cov().sel({name: label}), np.cov(rows.T, ddof=0), rtol=1e-11, atol=1e-13)
    assert_moments(m.merge(name), VALUES)


@pytest.mark.parametrize("ddof", [0, 1])
def test_groups_of_a_single_row(ddof):
    by = np.arange(30)[::-1]
    cov = covdist.cov(VALUES, by=by, ddof=ddof)
    corr = covdist.corr(VALUES, by=by)
    assert cov.shape == corr.shape == (30, 4, 4)
    assert np.isnan(corr).all()
    assert (cov == 0).all() if ddof == 0 else np.isnan(cov).all()
    np.testing.assert_array_equal(covdist.moments(VALUES, by=by).mean(), VALUES[::-1])


def test_one_group_of_a_single_row_among_others():
    by = np.where(np.arange(30) == 7, "one", "many")
    cov = covdist.cov(VALUES, by=by, ddof=1)
    assert np.isnan(cov.sel(group="one")).all()
    np.testing.assert_allclose(cov.sel(group="many"), np.cov(np.delete(VALUES, 7, 0).T), rtol=1e-12)


def test_sums_of_groups_hold_the_groups_of_both():
    x = units(epoch=("step", np.arange(30) // 10))
    parts = [covdist.moments(x[a:b], dim="step", by="epoch") for a, b in [(18, 30), (0, 18)]]
    m = parts[0] + parts[1]
    assert m.count["epoch"].values.tolist() == [0, 1, 2]
    for epoch in range(3):
        assert_moments(m.sel(epoch=epoch), VALUES[10 * epoch : 10 * epoch + 10])
    assert_moments(m.merge("epoch"), VALUES)


def test_weighted_groups():
    weights = RNG.random(30)
    m = covdist.moments(units(7, label=("step", LABELS)), dim="step", by="label", weights=weights)
    rows = LABELS == "val"
    expected = np.cov(VALUES[rows].T, aweights=weights[rows])
    np.testing.assert_allclose(m.sel(label="val").cov(ddof=1), expected, rtol=1e-12)


def test_what_does_not_fit_together_does_not_merge():
    m = covdist.moments(units(), dim="step")
    others = [
        covdist.moments(VALUES[:, :2]),
        covdist.moments(units().assign_coords(unit=list("abce")), dim="step"),
        covdist.moments(units(), units(), dim="step"),
        covdist.moments(units(), dim="step", by=LABELS),
    ]
    for other in others:
        for a, b in [(m, other), (other, m)]:
            with pytest.raises(MergeError, match="cannot merge"):
                a + b
    with pytest.raises(MergeError, match="epoch"):
        others[-1].merge("epoch")
    with pytest.raises(MergeError, match="epoch"):
        m.merge("epoch")


def test_coordinates_that_hold_nan_equal_themselves():
    x = units().assign_coords(depth=("unit", [0.0, np.nan, 1.0, 2.0]))
    assert_moments(covdist.moments(x[:9], dim="step") + covdist.moments(x[9:], dim="step"), VALUES)


def test_an_unknown_group_is_a_key_error():
    m = covdist.moments(units(), dim="step", by=LABELS)
    for wrong in ({"group": "dev"}, {"epoch": "val"}):
        with pytest.raises(KeyError, match=next(iter(wrong))):
            m.sel(**wrong)
    with pytest.raises(KeyError, match="group"):
        covdist.moments(VALUES).sel(group=1)


@pytest.mark.parametrize("by", [None, LABELS])
def test_the_sides_of_a_cross_state(by):
    x = units()
    y = xr.DataArray(VALUES[:, :2] ** 2, dims=("step", "out"))
    m = covdist.moments(x, y, dim="step", by=by)
    for side, alone in [(m.x, x), (m.y, y)]:
        xr.testing.assert_allclose(side.var(ddof=1), covdist.var(alone, dim="step", by=by, ddof=1), rtol=1e-12)
        xr.testing.assert_allclose(side.mean(), covdist.moments(alone, dim="step", by=by).mean(), rtol=1e-12)
        with pytest.raises(DataError, match="variances"):
            side.cov()


@pytest.mark.parametrize("by", [None, LABELS])
def test_dask_sees_a_collection(by):
    lazy = covdist.moments(units(7), dim="step", by=by)
    assert dask.is_dask_collection(lazy)
    (computed,) = dask.compute(lazy)
    (persisted,) = dask.persist(lazy)
    assert not dask.is_dask_collection(computed)
    assert dask.is_dask_collection(persisted)
    for other in (lazy.compute(), persisted.compute(), lazy.persist().compute()):
        xr.testing.assert_identical(other.dataset, computed.dataset)
    assert dask.compute([computed])[0][0].dataset.identical(computed.dataset)


def test_looks():
    lazy, computed = covdist.moments(units(7), dim="step"), covdist.moments(units(), dim="step", by=LABELS)
    assert "lazy" in repr(lazy)
    assert "30 rows" in repr(computed)
    assert "group" in repr(computed)
    for m in (lazy, computed):
        html = m._repr_html_()
        assert "&lt;covdist.Moments" in html
        assert "<table>" in html


def test_a_name_cannot_break_the_page():
    html = covdist.moments(units().rename("<script>"), dim="step")._repr_html_()
    assert "<script>" not in html


def test_an_unknown_reading_is_an_attribute_error():
    m = covdist.moments(VALUES)
    for name in ("no_such_reading", "labels", "_private"):
        assert not hasattr(m, name)
    assert not hasattr(covdist, "no_such_reading")
