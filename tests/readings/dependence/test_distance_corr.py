"""Distance correlations are those of the centred matrices of distances."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError, NonFiniteError, PlanError
from covdist.folding.dependence import pairs
from covdist.numerics.dependence.distances import DistanceColumn, distance_correlation
from readings.containers import chunkings, quick, rows
from readings.counting import Counted

RNG = np.random.default_rng(0)
X = np.round(RNG.normal(size=(90, 4)), 1)
X[:, 1] = X[:, 0] ** 2


def centred(column: np.ndarray) -> np.ndarray:
    distances = abs(column[:, None] - column)
    return distances - distances.mean(axis=0) - distances.mean(axis=1)[:, None] + distances.mean()


def naive(x: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
    """All n × n distances; NaN for a constant column."""
    first, second = ([centred(each) for each in side.astype(np.longdouble).T] for side in (x, x if y is None else y))
    found = np.full((len(first), len(second)), np.nan)
    for (i, a), (j, b) in ((a, b) for a in enumerate(first) for b in enumerate(second)):
        scale = np.sqrt((a * a).mean()) * np.sqrt((b * b).mean())
        if abs(a).max() > 0 < abs(b).max():
            found[i, j] = np.sqrt(max((a * b).mean(), 0) / scale)
    return found


@quick
@given(rows(), st.data())
def test_any_rows_in_any_chunks(x, data):
    expected = naive(x)
    found = covdist.distance_corr(x)
    np.testing.assert_allclose(found, expected, atol=1e-7)  # near 0 the root of a rounding
    np.testing.assert_allclose(found**2, expected**2, atol=1e-13)
    assert not ((found < 0) | (found > 1)).any()
    chunks = data.draw(chunkings(x.shape[0])), data.draw(chunkings(x.shape[1]))
    lazy = covdist.distance_corr(da.from_array(x, chunks=chunks))
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), found)


@pytest.mark.parametrize("n", [1, 2, 3, 31, 32, 33, 64, 65, 500])
def test_any_number_of_rows(n):
    x = np.random.default_rng(n).normal(size=(n, 2))
    found = distance_correlation(*map(DistanceColumn.of, x.T))
    np.testing.assert_allclose(found, naive(x)[0, 1], atol=1e-12)


@pytest.mark.parametrize("change", [lambda v: v * 1e-160, lambda v: v * 1e300, lambda v: v + 2**20, lambda v: -3 * v])
def test_scale_and_place_do_not_matter(change):
    np.testing.assert_allclose(covdist.distance_corr(change(X)), naive(X), atol=1e-9)


@pytest.mark.parametrize("lazy", [False, True])
def test_x_with_y_column_by_column_and_groups(lazy, monkeypatch):
    monkeypatch.setattr(pairs, "_PAIR_VALUES", 90)  # one column a strip
    x, label = da.from_array(X, chunks=(40, 3)) if lazy else X, np.arange(90) % 2
    expected = naive(X)
    np.testing.assert_allclose(covdist.distance_corr(x), expected, atol=1e-12)
    np.testing.assert_allclose(covdist.distance_corr(x[:, :1], x[:, 1:]), expected[:1, 1:], atol=1e-12)
    paired = covdist.distance_corr(x[:, :2], x[:, 2:], pairs="columns")
    np.testing.assert_allclose(paired, np.diag(expected[:2, 2:]), atol=1e-12)
    grouped = covdist.distance_corr(x, by=label)
    assert grouped.dims == ("group", "unit", "unit_2")
    for group in range(2):
        np.testing.assert_allclose(grouped[group], naive(X[label == group]), atol=1e-12)


@pytest.mark.parametrize("lazy", [False, True])
def test_missing_values(lazy):
    x = X.copy()
    x[3, 2] = np.nan
    rows = da.from_array(x, chunks=(40, 2)) if lazy else x
    np.testing.assert_allclose(covdist.distance_corr(rows, missing="drop"), naive(np.delete(X, 3, axis=0)), atol=1e-12)
    propagated = covdist.distance_corr(rows, missing="propagate")
    assert np.isnan(propagated[2]).all()
    np.testing.assert_allclose(propagated[:2, :2], naive(X[:, :2]), atol=1e-12)
    with pytest.raises(NonFiniteError, match="x holds nan at row 3, column 2"):
        covdist.distance_corr(rows).compute(scheduler="synchronous")
    with pytest.raises(DataError, match="would make others"):
        covdist.distance_corr(rows, missing="pairwise")


def test_labels_constants_and_reads():
    x = xr.DataArray(np.column_stack([X, np.ones(90)]).reshape(9, 10, 5), dims=("batch", "time", "unit"))
    found = covdist.distance_corr(x, dim=("batch", "time"))
    assert found.dims == ("unit", "unit_2")
    assert found.attrs == {"long_name": "distance correlation", "units": "1"}
    assert np.isnan(found[4]).all()
    assert np.diag(found)[:4].tolist() == [1.0] * 4
    for missing, times in {"raise": 1, "drop": 2}.items():  # which of the rows to drop is known after a look at all
        counted = Counted(X, 40, 2)
        lazy = covdist.distance_corr(counted.array, missing=missing)
        assert dask.is_dask_collection(lazy)
        assert not counted.made
        lazy.compute(scheduler="synchronous")
        assert {key: count / times for key, count in counted.made.items()} == counted.every


def test_a_column_that_fits_no_worker_is_refused():
    tall = da.zeros((40_000_000, 2), chunks=(1_000_000, 2))
    with pytest.raises(PlanError, match=r"has 1 GiB: .* or take a sample of the rows"):
        covdist.distance_corr(tall, memory="1GiB")
