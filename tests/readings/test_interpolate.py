"""``missing="interpolate"``: statistics over many shards are those of the array filled beforehand."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import covdist
from covdist.errors import NonFiniteError
from covdist.limits import changed

from .counting import Counted

ROWS, COLUMNS = 300, 6
RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(ROWS, COLUMNS)) + RNG.normal(size=COLUMNS)
HOLED = VALUES.copy()
HOLED[RNG.random(HOLED.shape) < 0.1] = np.nan
HOLED[:, 2] = VALUES[:, 2]
HOLED[100:260, 1] = HOLED[:70, 3] = HOLED[290:, 4] = HOLED[40:45] = np.nan
INFINITE = HOLED.copy()
INFINITE[222, 5] = np.inf


@pytest.fixture(autouse=True)
def many_shards():
    with changed(least_shard_seconds=1e-9, state_bytes_per_second=1e12):
        yield


def overlapping(values: np.ndarray) -> da.Array:
    """Chunks that share work."""
    return da.overlap.trim_overlap(
        da.overlap.overlap(da.from_array(values, chunks=(20, 4)), {0: 1, 1: 0}, "none"), {0: 1, 1: 0}, "none"
    )


def masked(values: np.ndarray) -> da.Array:
    return da.from_array(np.ma.masked_array(values, np.isnan(values)), chunks=(20, 4), asarray=False)


WRAPS: dict[str, Any] = {
    "numpy": np.asarray,
    "dask": lambda values: da.from_array(values, chunks=(20, 4)),
    "sliced": lambda values: da.from_array(np.repeat(values, 2, axis=0), chunks=(7, 6))[::2],
    "overlapping": overlapping,
    "masked": masked,
    "transposed": lambda values: da.from_array(values.T.copy(), chunks=(3, 20)).T,
}
each_wrap = pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)


def full(values: np.ndarray = HOLED, at: np.ndarray = np.arange(ROWS)) -> np.ndarray:
    """Fill by numpy alone."""
    return np.stack([np.interp(at, at[held], c[held]) for c in values.T for held in [np.isfinite(c)]], axis=1)


def check(found: covdist.Moments, filled: np.ndarray, before: np.ndarray) -> None:
    found = found.compute()
    np.testing.assert_allclose(found.cov(), np.cov(filled.T, ddof=0), rtol=1e-11, atol=1e-13)
    assert found.dataset["nans"].values.tolist() == np.isnan(before).sum(axis=0).tolist()
    assert found.dataset["infs"].values.tolist() == np.isinf(before).sum(axis=0).tolist()


@each_wrap
def test_moments_are_those_of_the_filled_array(wrap):
    x = wrap(HOLED)
    assert isinstance(x, np.ndarray) or covdist.plan(x, missing="interpolate").shards > 4
    check(covdist.moments(x, missing="interpolate"), full(), HOLED)


def test_a_log(tmp_path):
    zarr.open_group(tmp_path / "log", mode="w").create_array(
        "fc1/gradient", data=HOLED, chunks=(20, COLUMNS), dimension_names=("step", "param")
    )
    x = covdist.open_log(tmp_path / "log")["fc1/gradient"]
    check(covdist.moments(x, dim="step", missing="interpolate"), full(), HOLED)


@each_wrap
def test_without_holes_it_is_as_if_nothing_were_asked(wrap):
    found = covdist.cov(wrap(VALUES), missing="interpolate")
    np.testing.assert_allclose(found, np.cov(VALUES.T, ddof=0), rtol=1e-12)


def test_two_sides_groups_and_weights():
    x, y = da.from_array(HOLED, chunks=(20, 4)), da.from_array(HOLED[:, ::-1].copy(), chunks=(33, 6))
    by, weights = np.arange(ROWS) % 3, np.arange(ROWS) % 4
    m = covdist.moments(x, y, by=by, weights=weights, missing="interpolate").compute()
    expected = covdist.moments(full(), full()[:, ::-1], by=by, weights=weights)
    np.testing.assert_allclose(m.cov(), expected.cov(), rtol=1e-11, atol=1e-13)
    assert m.sel(group=1).dataset["nans"].values.tolist() == np.isnan(HOLED[by == 1]).sum(axis=0).tolist()


@pytest.mark.parametrize("method", ["exact", "sketch", "dual"])
def test_a_spectrum(method):
    found = covdist.spectrum(da.from_array(HOLED, chunks=(20, 4)), 2, method=method, missing="interpolate")
    np.testing.assert_allclose(found["eigenvalue"], covdist.spectrum(full(), 2)["eigenvalue"], rtol=1e-9)


@each_wrap
def test_tiles(wrap):
    found = covdist.cov(wrap(HOLED), matrix="tiles", missing="interpolate")
    np.testing.assert_allclose(found.compute(), np.cov(full().T, ddof=0), rtol=1e-11, atol=1e-13)


def test_uneven_steps():
    steps = np.cumsum(1 + np.arange(ROWS) % 5)
    x = xr.DataArray(HOLED, dims=("step", "unit"), coords={"step": steps}).chunk(step=20)
    check(covdist.moments(x, dim="step", missing="interpolate"), full(at=steps), HOLED)


def test_infinity_missing():
    found = covdist.moments(da.from_array(INFINITE, chunks=(20, 4)), missing="interpolate", inf="missing")
    check(found, full(INFINITE), INFINITE)


@each_wrap
def test_infinity_is_an_error_that_names_its_place(wrap):
    with pytest.raises(NonFiniteError, match=r"x holds inf at row 222, column 5\b.*inf='missing'"):
        covdist.cov(wrap(INFINITE), missing="interpolate").compute()


def test_infinity_of_the_second_array():
    y = da.from_array(INFINITE, chunks=(20, 4))
    with pytest.raises(NonFiniteError, match=r"^y holds inf at row 222, column 5\b"):
        covdist.cov(da.from_array(HOLED, chunks=(20, 4)), y, missing="interpolate").compute()


@each_wrap
def test_a_column_without_a_value_is_named(wrap):
    empty = HOLED.copy()
    empty[:, 3] = np.nan
    with pytest.raises(NonFiniteError, match=r"^x holds nan at row \d+, column 3\b.*without any value"):
        covdist.cov(wrap(empty), missing="interpolate").compute()


@pytest.fixture
def narrow_strips():
    with changed(strip_columns=2, derived_columns=1):
        yield


def test_strips_of_columns_name_the_column_of_all(narrow_strips):
    x = da.from_array(INFINITE, chunks=(20, 2))
    assert covdist.plan(x, variances_only=True, missing="interpolate").strips == 3
    found = covdist.var(x, missing="interpolate", inf="missing").compute()
    np.testing.assert_allclose(found, full(INFINITE).var(axis=0), rtol=1e-11)
    with pytest.raises(NonFiniteError, match=r"row 222, column 5\b"):
        covdist.var(x, missing="interpolate").compute()


def test_without_holes_each_chunk_is_made_once():
    counted = Counted(VALUES, 20, 4)
    covdist.cov(counted.array, missing="interpolate").compute(scheduler="threads")
    assert counted.made == counted.every


def test_with_short_gaps_chunks_at_the_borders_of_shards_are_made_again():
    x = RNG.normal(size=(4_000, COLUMNS))
    counted = Counted(np.where(RNG.random(x.shape) < 0.3, np.nan, x), 200, 4)
    with changed(least_shard_seconds=1e-3):
        shards = covdist.plan(counted.array, missing="interpolate").shards
        covdist.cov(counted.array, missing="interpolate").compute(scheduler="threads")
    assert 2 < shards < 10
    assert counted.made.total() <= counted.every.total() + 2 * 2 * (shards - 1)


def test_together_with_others_it_is_one_pass():
    counted = Counted(VALUES, 20, 6)
    results = [function(counted.array, missing="interpolate") for function in (covdist.cov, covdist.var, covdist.corr)]
    dask.compute(*results, scheduler="threads")
    assert counted.made == counted.every


def test_building_touches_no_rows():
    counted = Counted(HOLED, 20, 4)
    covdist.cov(counted.array, missing="interpolate")
    covdist.plan(counted.array, missing="interpolate")
    assert not counted.made
