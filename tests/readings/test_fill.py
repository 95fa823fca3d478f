"""``fill(method="interpolate")`` is what xarray makes of the whole array, for any chunks."""

from __future__ import annotations

from datetime import timedelta

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError, NonFiniteError

from .containers import chunkings, quick

KINDS = ["linear", "previous", "next", "nearest"]


@st.composite
def gappy(draw: st.DrawFn, dtype: str = "f8") -> xr.DataArray:
    """Draw an array with gaps of any length, whole columns and rows among them, and uneven coordinates."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, width = draw(st.integers(1, 30)), draw(st.integers(1, 4))
    x = rng.normal(size=(n, width, 2)).astype(dtype)
    x[rng.random(x.shape) < draw(st.sampled_from([0.0, 0.2, 0.6, 0.95]))] = np.nan
    if draw(st.booleans()):
        x[:, rng.integers(width)] = np.nan
    if draw(st.booleans()):
        x[rng.integers(n)] = np.nan
    steps = np.cumsum(rng.integers(1, 4, n)) / 4
    coords = {"step": steps, "wall": ("step", steps**2)} if draw(st.booleans()) else {}
    return xr.DataArray(x, dims=("step", "unit", "half"), coords=coords, name="loss")


def lazy(draw, x: xr.DataArray) -> xr.DataArray:
    return x.copy(data=da.from_array(x.data, chunks=tuple(draw(chunkings(n)) for n in x.shape)))


def frame(x: xr.DataArray) -> pd.DataFrame:
    return pd.DataFrame(x.values.reshape(len(x), -1))


def gaps(x: xr.DataArray, along: str | None) -> np.ndarray:
    """Return how far it is, around each entry, from value to value, or to the end."""
    name = along or ("step" if "step" in x.coords else None)
    at = np.arange(len(x)) if name is None else x.coords[name].values
    places = frame(x).notna().mul(1.0).where(frame(x).notna()).mul(at, axis=0)
    return (places.bfill().fillna(at[-1]) - places.ffill().fillna(at[0])).to_numpy().reshape(x.shape)


LIMITS = st.sampled_from([None, None, 1, 2, 5])
NUMBERS = st.sampled_from(["keep", 3.5, (-1.0, 7.0), "extrapolate"])


def by_xarray(x, kind, along, limit, ends):
    """Fill as xarray does; its ffill and bfill, which need another package, as pandas'."""
    if kind not in ("previous", "next"):
        how = {} if ends == "keep" else {"fill_value": ends}
        return x.interpolate_na("step", method=kind, use_coordinate=along or True, limit=limit, **how)
    values = frame(x).ffill(limit=limit) if kind == "previous" else frame(x).bfill(limit=limit)
    return x.copy(data=values.to_numpy().reshape(x.shape))


@quick
@given(st.data(), gappy(), st.sampled_from(KINDS), st.sampled_from([None, 0.75, 2.0, 6.0]), LIMITS, NUMBERS)
def test_equals_xarray(data, x, kind, max_gap, limit, ends):
    along = data.draw(st.sampled_from([None, "wall"] if "wall" in x.coords else [None]))
    held = np.isfinite(x).sum("step")
    if kind != "linear" and ends != "extrapolate":  # elsewhere xarray asks scipy, which takes no pairs
        ends = "keep"
    expected = by_xarray(x, kind, along, limit, ends)
    if max_gap is not None:
        expected = expected.where(gaps(x, along) <= max_gap)
    options = {"kind": kind, "along": along, "max_gap": max_gap, "limit": limit, "ends": ends}
    for given_array in (x, lazy(data.draw, x)):
        order = data.draw(st.sampled_from([x.dims, x.dims[::-1]]))
        found = covdist.fill(given_array.transpose(*order), dim="step", **options)
        assert found.dims == order
        assert found.chunks == given_array.transpose(*order).chunks
        found = found.compute().transpose(*x.dims)
        np.testing.assert_allclose(found.where(held > 1), expected.where(held > 1), rtol=1e-12, atol=1e-14)
        assert found.attrs == x.attrs
        assert found.coords.keys() == x.coords.keys()


@quick
@given(st.data(), gappy(dtype="f4"), st.sampled_from(KINDS), st.sampled_from(["nearest", "extrapolate"]))
def test_the_same_bits_for_any_chunks(data, x, kind, ends):
    whole = covdist.fill(x, dim="step", kind=kind, ends=ends)
    found = covdist.fill(lazy(data.draw, x), dim="step", kind=kind, ends=ends).compute()
    assert found.dtype == np.float32
    assert found.values.tobytes() == whole.values.tobytes()


@quick
@given(gappy())
def test_ends_take_the_nearest_value(x):
    found = covdist.fill(x, dim="step", ends="nearest")
    expected = frame(covdist.fill(x, dim="step")).ffill().bfill()
    np.testing.assert_array_equal(found.values.reshape(len(x), -1), expected)


def test_dates_and_long_gaps():
    day = np.datetime64("2026-01-01") + np.array([0, 1, 4, 5, 9]).astype("m8[D]")
    x = xr.DataArray([0.0, np.nan, 4.0, np.nan, 9.0], dims="day", coords={"day": day.astype("M8[ns]")})
    assert covdist.fill(x, dim="day").values.tolist() == [0, 1, 4, 5, 9]
    short = covdist.fill(x, dim="day", max_gap=np.timedelta64(4, "D"))
    np.testing.assert_array_equal(short, [0, 1, 4, np.nan, 9])


def test_plain_arrays_integers_and_masks():
    x = np.array([[1.0, np.nan, 3.0]]).T
    assert covdist.fill(x).dims == ("sample", "unit")
    assert covdist.fill(da.from_array(x, chunks=1)).compute().values.ravel().tolist() == [1, 2, 3]
    assert covdist.fill(x.T, dim=1).values.tolist() == [[1, 2, 3]]
    masked = np.ma.masked_array([[1], [7], [3]], [[0], [1], [0]])
    assert covdist.fill(masked).values.ravel().tolist() == [1, 2, 3]
    assert covdist.fill(np.array([[1], [2]])).dtype == np.int64


def test_holds_no_more_than_a_few_chunks():
    """Chunks are made again when what follows them is known, not kept until then."""
    alive, most = set(), [0]

    def chunk(block_id):
        alive.add(block_id)
        most[0] = max(most[0], len(alive))
        made = np.full((10, 2), np.nan).view(_Watched)
        made.gone = lambda: alive.discard(block_id)
        return made

    x = da.map_blocks(
        lambda block_id=None: chunk(block_id), chunks=((10,) * 50, (2,)), dtype=float, meta=np.empty((0, 0))
    )
    with dask.config.set(scheduler="sync"):
        covdist.fill(x).sum().compute()
    assert most[0] <= 5


class _Watched(np.ndarray):
    gone = None

    def __del__(self):
        if self.gone is not None:
            self.gone()


@quick
@given(st.data(), gappy())
def test_moments_under_interpolate_are_those_of_the_filled_array(data, x):
    x = x.isel(half=0, drop=True)
    x[0] = 1.0
    full = covdist.fill(x, dim="step", ends="nearest")
    for array in (x, lazy(data.draw, x)):
        found = covdist.moments(array, dim="step", missing="interpolate").compute()
        np.testing.assert_allclose(
            found.cov(), np.cov(full.T, ddof=0).reshape(found.cov().shape), rtol=1e-10, atol=1e-12
        )
        assert found.dataset.attrs["missing"] == "interpolate"
        np.testing.assert_array_equal(found.dataset["nans"], np.isnan(x).sum("step"))


def test_two_arrays_groups_and_a_spectrum_under_interpolate():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    x[5:9, 1], x[0, 0], x[30:, 2] = np.nan, np.nan, np.nan
    full = covdist.fill(x, ends="nearest").values
    by = np.arange(40) // 20
    found = covdist.cov(da.from_array(x, chunks=(7, 2)), full[:, :1], by=by, missing="interpolate")
    np.testing.assert_allclose(found, covdist.cov(full, full[:, :1], by=by), rtol=1e-12)
    m = covdist.moments(x, full[:, :1], by=by, missing="interpolate")
    for half in range(2):
        assert m.sel(group=half).dataset["nans"].values.tolist() == np.isnan(x[by == half]).sum(axis=0).tolist()
    for method in ("exact", "dual", "sketch"):
        spectrum = covdist.spectrum(da.from_array(x, chunks=(7, 2)), 2, method=method, missing="interpolate")
        np.testing.assert_allclose(spectrum["eigenvalue"], covdist.spectrum(full, 2)["eigenvalue"], rtol=1e-8)
    with pytest.raises(NonFiniteError, match="without any value"):
        covdist.cov(np.full((3, 1), np.nan), missing="interpolate")


def test_infinity_and_bad_options():
    x = np.array([[1.0], [np.inf], [3.0]])
    assert covdist.fill(x, inf="missing").values.ravel().tolist() == [1, 2, 3]
    for array in (x, da.from_array(x, chunks=1)):
        with pytest.raises(NonFiniteError, match=r"row 1, column 0, .*inf='missing'"):
            covdist.fill(array).compute()
    cube = np.ones((6, 4, 3))
    cube[5, 2, 1] = np.inf
    for chunks in (-1, (2, 2, 2)):
        with pytest.raises(NonFiniteError, match="row 5, column 7,") as caught:
            covdist.fill(da.from_array(cube, chunks=chunks)).compute()
        assert (caught.value.row, caught.value.column) == (5, 7)
    with pytest.raises(DataError, match="kind='cubic'"):
        covdist.fill(x, kind="cubic")
    with pytest.raises(DataError, match="does not rise"):
        covdist.fill(xr.DataArray([1.0, 2.0], dims="t", coords={"t": [2, 1]}), dim="t")
    with pytest.raises(DataError, match="no coordinate 'epoch'"):
        covdist.fill(x, along="epoch")
    with pytest.raises(DataError, match="along one dim"):
        covdist.fill(np.ones((2, 3, 4)), dim=(0, 1))


class Date:
    """As those of cftime, which has calendars of its own."""

    calendar = "360_day"

    def __init__(self, day: float):
        self.day = day

    def __sub__(self, other: Date) -> timedelta:
        return timedelta(days=self.day - other.day)


def test_dates_of_other_calendars():
    days = np.array([0, 1, 5, 6, 8.5])
    values = np.array([0, np.nan, 5, np.nan, 8.5])
    x = xr.DataArray(values, dims="t", coords={"t": ("t", np.array([Date(day) for day in days], object))})
    np.testing.assert_allclose(covdist.fill(x, dim="t"), days, rtol=1e-15)
    assert covdist.fill(x, dim="t", max_gap="4D").isnull().values.tolist() == [False, True, False, False, False]
    weights = 0.5 ** ((8.5 - days) / 2)
    found = covdist.moments(x.fillna(1), dim="t", halflife="2D").mean()
    np.testing.assert_allclose(found, np.average(x.fillna(1), weights=weights))


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": 1.5}, {"ends": "wrap"}, {"ends": (1, 2, 3)}])
def test_what_is_no_limit_or_end(options):
    with pytest.raises(DataError, match=r"(limit|ends)=.* is (not a number of rows|unknown): pass"):
        covdist.fill(np.array([[1.0], [np.nan]]), dim=0, **options)


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_ends_are_extrapolated_from_two_values(chunk):
    values = [[np.nan, np.nan], [1, np.nan], [np.nan, 7], [4, np.nan], [np.nan, np.nan]]
    for x in (np.array(values), da.from_array(np.array(values), chunks=(chunk, 1))):
        found = covdist.fill(x, ends="extrapolate").values
        np.testing.assert_array_equal(found[:, 0], [-0.5, 1, 2.5, 4, 5.5])
        np.testing.assert_array_equal(found[:, 1], [np.nan, np.nan, 7, np.nan, np.nan])  # one value makes no line


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_a_single_lazy_variable(chunk):
    x = da.from_array(np.array([np.nan, 1, np.nan, np.nan, 4]), chunks=chunk)
    assert covdist.fill(x, dim=0, ends="nearest").compute().values.tolist() == [1, 1, 2, 3, 4]
