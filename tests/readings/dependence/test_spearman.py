"""Correlations of ranks are those of scipy's ``spearmanr``, exact or within what a sample's ranks allow."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError, NonFiniteError, PlanError
from covdist.folding.dependence import estimated
from covdist.limits import changed
from readings.containers import chunkings, quick, rows
from readings.counting import Counted

RNG = np.random.default_rng(0)
X = np.round(RNG.normal(size=(200, 4)) @ RNG.normal(size=(4, 4)), 1)
METHODS = ["spearman", "spearman-approx"]
each_method = pytest.mark.parametrize("method", METHODS)


def of_scipy(x: np.ndarray) -> np.ndarray:
    """Ranks by scipy, their correlations by numpy; NaN for a constant column."""
    ranks = scipy.stats.rankdata(x.astype(np.float64), axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.corrcoef(ranks.T).reshape(x.shape[1], x.shape[1])


def spearman(x, *others, method="spearman", **options):
    found = covdist.corr(x, *others, method=method, **options)
    return found.compute(scheduler="synchronous") if found.chunks is not None else found


@quick
@given(rows(), st.data())
def test_any_rows_in_any_chunks(x, data):
    chunks = data.draw(chunkings(x.shape[0])), data.draw(chunkings(x.shape[1]))
    expected = of_scipy(x)
    for method in METHODS:  # so few rows are all in the sample
        found = spearman(x, method=method)
        np.testing.assert_allclose(found, expected, atol=1e-12)
        assert not (abs(found) > 1).any()
        lazy = spearman(da.from_array(x, chunks=chunks), method=method)
        np.testing.assert_allclose(lazy, expected, atol=1e-12)


@each_method
def test_monotone_maps_change_nothing(method):
    expected = spearman(X, method=method)
    maps = [np.exp, np.cbrt, lambda v: v**3 * 1e-160, lambda v: v + 1e6]
    for bent in maps:
        np.testing.assert_array_equal(spearman(bent(X), method=method), expected)
    np.testing.assert_array_equal(spearman(-X, method=method), expected)


@each_method
@pytest.mark.parametrize("lazy", [False, True])
def test_x_with_y_column_by_column_and_each_position(method, lazy):
    def given(values):
        return da.from_array(values, chunks=(70, *values.shape[1:])) if lazy else values

    x, y = X[:, :2], np.exp(X[:, 2:])
    expected = of_scipy(np.hstack([x, y]))
    np.testing.assert_allclose(spearman(given(x), given(y), method=method), expected[:2, 2:], atol=1e-12)
    paired = spearman(given(x), given(y), method=method, pairs="columns")
    np.testing.assert_allclose(paired, np.diag(expected[:2, 2:]), atol=1e-12)
    each = spearman(given(X.reshape(200, 2, 2)), method=method, each=1)
    for i in range(2):
        np.testing.assert_allclose(each[i], of_scipy(X[:, 2 * i : 2 * i + 2]), atol=1e-12)
    tiled = spearman(given(X), method=method, matrix="tiles")
    np.testing.assert_allclose(tiled, of_scipy(X), atol=1e-12)


@each_method
def test_several_sample_and_column_dims(method):
    x = xr.DataArray(X.reshape(10, 20, 2, 2), dims=("batch", "time", "h", "w"), attrs={"units": "V"})
    found = [spearman(each, dim=("batch", "time"), method=method) for each in (x, x.chunk(batch=3, time=7, h=1))]
    for each in found:
        assert each.dims == ("h_w", "h_w_2")
        np.testing.assert_allclose(each, of_scipy(X), atol=1e-12)
        assert each.attrs == {"method": method, "long_name": "correlation of ranks", "units": "1"}


@pytest.mark.parametrize("lazy", [False, True])
def test_ranks_of_groups_are_those_within_them(lazy):
    label = np.arange(200) % 3
    x = da.from_array(X, chunks=(64, 3)) if lazy else X
    found = spearman(x, by=label)
    for group in range(3):
        np.testing.assert_allclose(found[group], of_scipy(X[label == group]), atol=1e-12)
    with pytest.raises(DataError, match="one group at a time"):
        covdist.corr(x, by=label, method="spearman-approx")


@each_method
@pytest.mark.parametrize("lazy", [False, True])
def test_missing_values(method, lazy):
    x = X.copy()
    x[3, 2] = x[150, 0] = np.nan
    kept = np.isfinite(x).all(axis=1)
    rows = da.from_array(x, chunks=(64, 3)) if lazy else x
    np.testing.assert_allclose(spearman(rows, method=method, missing="drop"), of_scipy(X[kept]), atol=1e-12)
    other = spearman(rows[:, :2], rows[:, 2:], method=method, missing="drop")
    np.testing.assert_allclose(other, of_scipy(X[kept])[:2, 2:], atol=1e-12)
    propagated = spearman(rows, method=method, missing="propagate")
    expected = of_scipy(X)
    expected[[0, 2]] = expected[:, [0, 2]] = np.nan
    np.testing.assert_allclose(propagated, expected, atol=1e-12)
    with pytest.raises(NonFiniteError, match="nan at row 3, column 2"):
        spearman(rows, method=method)
    infinite = np.where(np.isnan(x), np.inf, x)
    rows = da.from_array(infinite, chunks=(64, 3)) if lazy else infinite
    with pytest.raises(NonFiniteError, match="inf at row 3, column 2"):
        spearman(rows, method=method, missing="drop")
    dropped = spearman(rows, method=method, missing="drop", inf="missing")
    np.testing.assert_allclose(dropped, of_scipy(X[kept]), atol=1e-12)


@each_method
def test_masked_chunks_are_missing(method):
    x = X.copy()
    x[::9, 1] = np.nan
    masked = da.from_array(np.ma.masked_invalid(x), chunks=(50, 2))
    found = spearman(masked, method=method, missing="drop")
    np.testing.assert_allclose(found, of_scipy(x[np.isfinite(x).all(axis=1)]), atol=1e-12)


@each_method
def test_constant_columns_and_few_rows(method):
    x = np.column_stack([X[:, 0], np.full(200, 7.0), X[:, 1]])
    found = spearman(x, method=method)
    assert np.isnan(found[1]).all()
    assert np.isnan(found[:, 1]).all()
    np.testing.assert_allclose(found[::2, ::2], of_scipy(x[:, ::2]), atol=1e-12)
    assert np.isnan(spearman(X[:1], method=method)).all()
    assert float(spearman(X[:, 0], method=method)) == 1


@each_method
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weights": np.ones(200)}, "takes no weights"),
        ({"missing": "pairwise"}, "missing='pairwise' would make others"),
        ({"missing": "maxent"}, "covdist.fill"),
    ],
)
def test_what_ranks_do_not_go_with(method, options, words):
    with pytest.raises(DataError, match=words):
        covdist.corr(X, method=method, **options)


@each_method
def test_moments_hold_no_ranks(method):
    with pytest.raises(DataError, match="hold no ranks"):
        covdist.moments(X).corr(method)


@each_method
def test_nothing_is_read_before_it_must_be(method):
    counted = Counted(X, 64, 4)
    found = covdist.corr(counted.array, method=method, missing="drop")
    assert dask.is_dask_collection(found)
    assert not counted.made
    found.compute(scheduler="synchronous")
    times = 1 if method == "spearman" else 2
    assert {key: count / times for key, count in counted.made.items()} == counted.every
    assert covdist.corr(counted.array, method=method, missing="drop").data.name == found.data.name


def test_strips_are_cut_by_memory_and_change_no_bit():
    x = da.from_array(X, chunks=(64, 4))
    whole = spearman(x)
    with changed(sorted_bytes=200 * 8):
        assert covdist.corr(x, method="spearman").data.name != covdist.corr(x).data.name
        np.testing.assert_array_equal(spearman(x), whole)
    np.testing.assert_array_equal(spearman(x, memory="1GiB"), whole)


def test_what_cannot_be_sorted_is_refused_with_both_numbers():
    tall = da.zeros((40_000_000, 2), chunks=(1_000_000, 2))
    with pytest.raises(PlanError, match=r"40,000,000 rows a worker needs 2\.\d+ GiB but has 1 GiB: .*spearman-approx"):
        covdist.corr(tall, method="spearman", memory="1GiB")
    many = da.zeros((10_000_000, 5_000), chunks=(1_000, 5_000))
    with pytest.raises(PlanError, match=r"blocks, more than 500,000: .*spearman-approx"):
        covdist.corr(many, method="spearman", matrix="memory")


def test_a_sample_is_within_its_bound(monkeypatch):
    monkeypatch.setattr(estimated, "SAMPLE_ROWS", 400)
    rng = np.random.default_rng(3)
    x = rng.normal(size=(5000, 6)) @ rng.normal(size=(6, 6))
    x[:, 0] = np.maximum(x[:, 0], 0)  # half of the values are tied
    exact, approx = spearman(x), spearman(x, method="spearman-approx")
    within = np.sqrt(np.log(2 / 1e-6) / 800)
    spread = (scipy.stats.rankdata(x, axis=0) / 5000).std(axis=0)
    angles = np.arcsin(np.minimum(within / spread, 1))
    error = abs(np.arccos(np.clip(exact, -1, 1)) - np.arccos(np.clip(approx, -1, 1)))
    assert (error <= angles[:, None] + angles).all()
    assert 0 < abs(exact - approx).max() < 0.03
    lazy = [spearman(da.from_array(x, chunks=chunks), method="spearman-approx") for chunks in ((700, 6), (5000, 1))]
    for each in lazy:
        np.testing.assert_allclose(each, approx, atol=1e-13)
