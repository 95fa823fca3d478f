"""The cases of xarray's tests of ``cov``, ``corr``, ``interpolate_na``, ``ffill`` and ``bfill``."""

from __future__ import annotations

from itertools import product
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError

NAN = np.nan
RNG = np.random.default_rng(0)
FULL = xr.DataArray(
    RNG.random((3, 21, 4)), coords={"time": pd.date_range("2000-01-01", periods=21)}, dims=("a", "time", "x")
)
EARLY, SMOOTH = FULL.isel(time=slice(18)), FULL.isel(time=slice(2, 20)).rolling(time=3, center=True).mean()
SMALL = [
    xr.DataArray(each, dims=("x", "time")) for each in ([[1, 2], [1, NAN]], [[1, 2], [NAN, NAN]], [[1, 2], [2, 1]])
]
PAIRS = [
    (EARLY, EARLY), (EARLY, SMOOTH), (SMOOTH, SMOOTH), (SMALL[0], SMALL[0]), (SMALL[0], SMALL[1]),
    (SMALL[0], SMALL[2]), (SMALL[2], SMALL[0]), (SMALL[1], SMALL[1]), (SMALL[2], SMALL[2]),
]  # fmt: skip
TOGETHER = [*product(range(len(PAIRS)), (None, "time", "x"), ("cov", "corr"), (False, True))]


def of_own_columns(name: str, x: xr.DataArray, y: xr.DataArray, dim: Any, **options: Any) -> np.ndarray:
    """The columns of x, each with that of y, which xarray asks for: the diagonal of covdist's block."""
    dims = list(x.dims) if dim is None else [dim]
    columns = [each for each in x.dims if each not in dims]
    found = getattr(covdist, name)(x, y, dim=dims, missing="pairwise", **options)
    size = int(np.prod([x.sizes[each] for each in columns]))
    return np.diagonal(found.to_numpy().reshape(size, size)).reshape([x.sizes[each] for each in columns])


@pytest.mark.filterwarnings("ignore:(invalid|divide|Degrees)")
@pytest.mark.parametrize(("pair", "dim", "name", "lazy"), TOGETHER)
def test_cov_and_corr(pair, dim, name, lazy):
    x, y = xr.align(*PAIRS[pair], join="inner")
    options = {"ddof": 0} if name == "cov" else {}
    expected = getattr(xr, name)(x, y, dim=dim, **options)
    given = (x.chunk(2), y.chunk(2)) if lazy else (x, y)
    found = of_own_columns(name, *given, dim, **options)
    np.testing.assert_allclose(found, expected.to_numpy(), rtol=1e-11, atol=1e-14)


def test_rows_go_by_their_labels():
    """xarray takes the rows that both have; covdist asks for it to be said."""
    with pytest.raises(DataError, match=r"different labels along 'time', first at row 0.*xarray\.align"):
        covdist.cov(EARLY, SMOOTH, dim="time", missing="pairwise")
    with pytest.raises(DataError, match="time"):
        covdist.cov(EARLY, FULL, dim="time")


def test_lazy_in_lazy_out():
    for name in ("cov", "corr"):
        assert dask.is_dask_collection(getattr(covdist, name)(EARLY.chunk(), EARLY.chunk(), dim="time"))


def test_corr_is_cov_over_the_spreads():
    found = covdist.moments(EARLY, dim="time")
    spread = found.std().to_numpy().ravel()
    expected = found.cov().to_numpy().reshape(12, 12) / np.outer(spread, spread)
    np.testing.assert_allclose(found.corr().to_numpy().reshape(12, 12), expected, rtol=1e-12)


def test_autocov_of_one_array():
    np.testing.assert_allclose(
        np.diagonal(covdist.cov(EARLY, dim="time").to_numpy().reshape(12, 12)), EARLY.var("time").to_numpy().ravel(),
        rtol=1e-12,
    )  # fmt: skip


def test_what_is_no_array_of_numbers():
    for bad in (SMALL[2] * 1j, SMALL[2].astype(str)):
        with pytest.raises(DataError, match="real numbers"):
            covdist.cov(bad, dim="time")
    with pytest.raises(DataError, match="no dim 'no'"):
        covdist.cov(EARLY, dim="no")


# Filling of holes

LINE = xr.DataArray([1.0, 2, NAN, NAN, NAN, 6], dims="x")
GRID = xr.DataArray(
    [[1, 2, 3, 4, NAN, 6, NAN, NAN, NAN, 10, 11, NAN], [NAN, NAN, 3, NAN, NAN, 6, NAN, NAN, NAN, 10, NAN, NAN],
     [NAN, NAN, 3, NAN, NAN, 6, NAN, NAN, NAN, 10, NAN, NAN], [NAN, 2, 3, 4, NAN, 6, NAN, NAN, NAN, 10, 11, NAN]],
    dims=("x", "y"), coords={"x": np.arange(4), "y": np.arange(12)},
)  # fmt: skip
HOLED = FULL.where(RNG.random(FULL.shape) > 0.4)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dim", ["a", "time", "x"])
def test_interpolate(dim, lazy):
    found = covdist.fill(HOLED.chunk(2) if lazy else HOLED, dim=dim)
    xr.testing.assert_allclose(found.transpose(*HOLED.dims).drop_attrs(), HOLED.interpolate_na(dim), rtol=1e-12)


def test_interpolate_one_hole_and_keep_the_rest():
    np.testing.assert_array_equal(covdist.fill(LINE, dim="x"), [1, 2, 3, 4, 5, 6])
    whole = xr.DataArray(np.arange(6), dims="x", attrs={"units": "m"}, name="a")
    found = covdist.fill(whole, dim="x")
    np.testing.assert_array_equal(found, whole)
    assert found.attrs["units"] == "m"


@pytest.mark.parametrize("kind", ["linear", "nearest", "previous"])
@pytest.mark.parametrize("values", [[1.0, 2, 3], [NAN, NAN, NAN], [NAN, 5, NAN]])
def test_too_few_to_interpolate(kind, values):
    line = xr.DataArray(values, dims="x")
    expected = line.to_numpy().copy()
    if kind == "previous":
        expected = pd.Series(values).ffill().to_numpy()
    np.testing.assert_array_equal(covdist.fill(line, dim="x", kind=kind), expected)


@pytest.mark.parametrize("gap", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dim", ["x", "y"])
def test_gaps_that_are_too_long_stay(dim, gap):
    found = covdist.fill(GRID, dim=dim, max_gap=gap).transpose("x", "y")
    there, rows = GRID.notnull(), xr.full_like(GRID, 0) + np.arange(GRID.sizes[dim]) * xr.ones_like(GRID[dim])
    before = rows.where(there).to_dataframe("at").groupby("y" if dim == "x" else "x")["at"]
    length = (before.bfill() - before.ffill()).to_xarray()  # interpolate_na(max_gap=) wants bottleneck
    xr.testing.assert_allclose(found.drop_attrs(), GRID.interpolate_na(dim).where(there | (length <= gap)), rtol=1e-14)


@pytest.mark.parametrize("gap", ["3h", np.timedelta64(3, "h"), pd.to_timedelta("3h")])
@pytest.mark.parametrize("times", ["numpy", "cftime"])
def test_gaps_in_time(gap, times):
    if times == "cftime":
        pytest.importorskip("cftime")
    hours = xr.date_range("2001-01-01", periods=11, freq="h", use_cftime=times == "cftime")
    line = xr.DataArray([NAN, 1, 2, NAN, NAN, 5, NAN, NAN, NAN, NAN, 10], dims="t", coords={"t": hours})
    expected = [NAN, 1, 2, 3, 4, 5, NAN, NAN, NAN, NAN, 10]
    np.testing.assert_allclose(covdist.fill(line, dim="t", max_gap=gap), expected, rtol=1e-13)


@pytest.mark.parametrize("gap", ["huh", (1,), 0, -1, "1h"])
def test_gaps_that_are_no_length(gap):
    with pytest.raises(DataError, match="max_gap"):
        covdist.fill(LINE, dim="x", max_gap=gap)


def test_by_a_coordinate_or_by_number():
    line = LINE.assign_coords(x=[0.0, 1, 4, 5, 8, 9], other=("x", [0.0, 2, 3, 4, 5, 10]))
    xr.testing.assert_allclose(covdist.fill(line, dim="x").drop_attrs(), line.interpolate_na("x"))
    other = line.interpolate_na("x", use_coordinate="other")
    xr.testing.assert_allclose(covdist.fill(line, dim="x", along="other").drop_attrs(), other)
    numbered = line.interpolate_na("x", use_coordinate=False)
    np.testing.assert_allclose(covdist.fill(line.drop_vars("x"), dim="x"), numbered)


@pytest.mark.parametrize("at", [[0, 2, 1, 3, 4, 5], [0, 2, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [0, 1, 2, NAN, 4, 5]])
def test_coordinates_that_do_not_rise_are_refused(at):
    with pytest.raises(DataError, match="rise"):
        covdist.fill(LINE.assign_coords(x=at), dim="x")


def test_other_refusals():
    with pytest.raises(DataError, match="no dim 'y'"):
        covdist.fill(LINE, dim="y")
    with pytest.raises(DataError, match="'cubic' is unknown"):
        covdist.fill(LINE, dim="x", kind="cubic")
    with pytest.raises(DataError, match="three"):
        covdist.fill(LINE.assign_coords(two=("x", np.arange(6))), dim="x", along="three")
    levels = pd.MultiIndex.from_arrays([list("aabbcc"), [0, 1] * 3], names=["l", "n"])
    with pytest.raises(DataError, match="coordinate"):
        covdist.fill(LINE.assign_coords(xr.Coordinates.from_pandas_multiindex(levels, "x")), dim="x", along="x")
    two = GRID.assign_coords(two=(("x", "y"), np.ones((4, 12))))
    with pytest.raises(DataError, match="two"):
        covdist.fill(two, dim="x", along="two")


@pytest.mark.parametrize(
    "values", [[4, 5, NAN], [1, 2, 3], [NAN, NAN, NAN], [0, NAN, NAN, NAN, NAN, 3, 4, 5, NAN, 6, 7]]
)
def test_forwards_and_backwards(values):
    line = xr.DataArray(np.array(values, float), dims="t")
    forwards = covdist.fill(line, dim="t", kind="previous")
    np.testing.assert_array_equal(forwards, pd.Series(values, dtype=float).ffill())
    backwards = covdist.fill(line[::-1], dim="t", kind="previous")[::-1]
    np.testing.assert_array_equal(backwards, pd.Series(values, dtype=float).bfill())
