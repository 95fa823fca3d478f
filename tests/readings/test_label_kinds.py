"""Labels of columns and groups survive saving, loading, merging and unstacking, or are refused when folding."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from xarray.indexes import CoordinateTransform, CoordinateTransformIndex

import covdist
from covdist.errors import DataError

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(6, 4))


def again(m, tmp_path):
    m.save(tmp_path / "m.zarr")
    found = covdist.load(tmp_path / "m.zarr")
    xr.testing.assert_identical(found.dataset, m.dataset)
    assert (found + m).layout.axes[0].same(m.layout.axes[0])
    return found


STACKED = xr.DataArray(VALUES.reshape(6, 2, 2), dims=("t", "h", "w"), coords={"h": ["a", "b"], "w": [1, 2]}).stack(
    unit=("h", "w")
)
FRAME = pd.DataFrame(VALUES, columns=pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["h", "w"]))


@pytest.mark.parametrize("x", [STACKED, FRAME], ids=["stacked", "frame"])
def test_an_index_of_several_levels(x, tmp_path):
    dim = "t" if x is STACKED else 0
    m = covdist.moments(x, dim=dim)
    for each in (m, again(m, tmp_path), m + m):
        variances = each.var().unstack("unit")
        assert variances.sizes == {"h": 2, "w": 2}
        np.testing.assert_allclose(variances.sel(h="b", w=1), VALUES[:, 2].var(), rtol=1e-12)
        both = each.cov().unstack("unit").unstack("unit_2")
        np.testing.assert_allclose(both.sel(h="a", w=2, h_2="b", w_2=1), np.cov(VALUES.T, ddof=0)[1, 2], rtol=1e-12)
    assert covdist.moments(x, VALUES, dim=0).cov()["h"].values.tolist() == list("aabb") if dim == 0 else True


def test_unnamed_levels_and_other_orders_differ():
    unnamed = FRAME.rename_axis(columns=[None, None])
    assert covdist.var(unnamed).unstack("unit").sizes == {"unit_level_0": 2, "unit_level_1": 2}
    with pytest.raises(covdist.CovdistError, match="same columns"):
        covdist.moments(FRAME) + covdist.moments(FRAME[FRAME.columns[::-1]])


def columns(labels: object) -> xr.DataArray:
    return xr.DataArray(VALUES, dims=("t", "unit"), coords={"unit": labels})


OLD = date(1, 1, 1) if pd.__version__ >= "3" else date(1700, 1, 1)  # pandas 2 has dates of nanoseconds alone
PLAIN = {
    "text": (np.array(list("abcd"), object), list("abcd")),
    "numbers as objects": (np.array([1, 2, 3, 4], object), [1, 2, 3, 4]),
    "categories": (pd.CategoricalIndex(list("abcd")), list("abcd")),
    "NaN": (np.array([1.0, 2.0, 3.0, np.nan]), None),
    "days": (pd.date_range("2024", periods=4), None),
    "times": (pd.to_timedelta([1, 2, 3, 4], "h"), None),
    "flags": (np.array([True, False, True, True]), None),
    "single precision": (np.array([1, 2, 3, 4], "f4"), [1, 2, 3, 4]),
    "numbers of two types": (np.array([1, np.int64(2), 3, np.uint8(4)], object), [1, 2, 3, 4]),
    "text of two types": (np.array(["a", np.str_("b"), "c", "d"], object), list("abcd")),
    "dates": (np.array([date(2024, 1, 1), date(2024, 1, 2), OLD, date(2024, 1, 1)], object), None),
    "moments": (np.array([datetime(2024, 1, 1, hour) for hour in range(4)], object), None),
    "spans": (np.array([timedelta(hours=hour) for hour in range(4)], object), None),
}


@pytest.mark.parametrize(("labels", "expected"), PLAIN.values(), ids=PLAIN)
def test_plain_labels_survive(labels, expected, tmp_path):
    found = again(covdist.moments(columns(labels), dim="t"), tmp_path).mean()["unit"].values
    np.testing.assert_array_equal(found, np.asarray(labels if expected is None else expected).astype(found.dtype))


ODD = {
    "half of a character": np.array(["a", "b", "c\udcff", "d"]),
    "None": np.array(["a", None, "b", "c"], object),
    "NaN among text": np.array(["a", np.nan, "b", "c"], object),
    "mixed": np.array(["a", 1, "b", 2], object),
    "periods": pd.period_range("2024", periods=4, freq="M"),
    "intervals": pd.interval_range(0, 4),
    "time zones": pd.date_range("2024", periods=4, tz="Europe/Paris"),
    "decimals": np.array([Decimal(1)] * 4, object),
    "numbers beyond 64 bits": np.array([2**70 + i for i in range(4)], object),
    "dates and numbers": np.array([date(2024, 1, 1), 1, 2, 3], object),
}


@pytest.mark.parametrize("labels", ODD.values(), ids=ODD)
def test_others_are_refused_when_folding(labels):
    with pytest.raises(DataError, match=r"the coordinate 'unit' of x has the label .* at \d.*convert"):
        covdist.moments(columns(labels), dim="t")


@pytest.mark.parametrize("name", sorted(ODD.keys() - {"None", "NaN among text"}))  # which are a group
def test_others_are_refused_when_grouping(name):
    with pytest.raises(DataError, match=r"by has the label .* at \d.*convert"):
        covdist.moments(VALUES[:4], by=np.asarray(ODD[name], object))


def grouped(labels: object) -> list[object]:
    return [VALUES, np.asarray(labels)[[0, 1, 2, 0, 1, 2]]]


SMALL = ["float16", "longdouble", "complex64", "bfloat16", "float8_e4m3fn", "int4"]


@pytest.mark.parametrize("dtype", SMALL)
def test_numbers_of_types_that_files_lack(dtype, tmp_path):
    types = pytest.importorskip("ml_dtypes")
    x, by = grouped(np.array([0, 1, 2]).astype(getattr(types, dtype, dtype)))
    m = covdist.moments(x, by=by)
    for each in (m, again(m, tmp_path), m + m):
        np.testing.assert_allclose(each.sel(group=2).mean(), VALUES[[2, 5]].mean(axis=0))


@pytest.mark.parametrize("kind", ["M8", "m8"])
def test_times_without_a_unit_are_refused(kind):
    x, by = grouped(np.full(3, np.iinfo(np.int64).min).view(kind))  # NaT
    with pytest.raises(DataError, match=r"by has dtype \w+64 without a unit.*astype"):
        covdist.moments(x, by=by)


def test_dates_of_other_calendars_are_refused():
    pytest.importorskip("cftime")
    with pytest.raises(DataError, match="convert"):
        covdist.var(columns(xr.date_range("2024", periods=4, calendar="noleap", use_cftime=True)), dim="t")


def test_groups_without_a_number(tmp_path):
    m = covdist.moments(VALUES, by=np.array([0, np.nan, 1, np.nan, 0, 1]))
    for each in (m, again(m, tmp_path), m + m):
        np.testing.assert_allclose(each.sel(group=np.nan).mean(), VALUES[[1, 3]].mean(axis=0))
    days = covdist.moments(VALUES, by=np.array(["2024-01-01", "NaT"] * 3, "M8[s]"))
    assert int(days.sel(group=np.datetime64("NaT", "ns")).count) == 3


NAMES = [
    "mean",
    "count",
    "weight",
    "exponent",
    "scatter",
    "squares",
    "zeros",
    "rows",
    "band",
    "exponents",
    "a/b",
    "__x",
    ".",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_files_use_themselves(name, tmp_path):
    x = xr.DataArray(VALUES, dims=("t", name), coords={name: list("abcd"), f"{name}_": (name, [1, 2, 3, 4])})
    m = covdist.moments(x, dim="t")
    found = again(m, tmp_path)
    xr.testing.assert_identical(found.cov(), m.cov())
    assert found.var().dims == (name,)
    beside = xr.DataArray(VALUES, dims=("t", "unit"), coords={name: ("unit", list("abcd"))})
    groups = xr.DataArray([0, 1, 0, 1, 0, 1], dims="t", name=name)
    for number, m in enumerate(
        [
            covdist.moments(beside, x.rename({name: "out"}), dim="t"),
            covdist.moments(x[:, 0].drop_vars([name, f"{name}_"]), dim="t", by=groups),
        ]
    ):
        m.save(tmp_path / f"{number}.zarr")
        found = covdist.load(tmp_path / f"{number}.zarr")
        xr.testing.assert_identical(found.cov(), m.cov())
        xr.testing.assert_identical((found + m).dataset, (m + m).dataset)
    assert found.merge(name).count == 12 or found.merge(name).count == 6


class Doubled(CoordinateTransform):
    """Coordinates that are computed, and that no index of pandas holds."""

    def __init__(self, dim, size):
        super().__init__([dim], {dim: size})
        self._dim = dim

    def forward(self, dim_positions):
        return {self._dim: dim_positions[self._dim] * 2.0}

    def reverse(self, coord_labels):
        return {self._dim: coord_labels[self._dim] / 2.0}

    def equals(self, other, **options):
        return True


def test_coordinates_whose_index_is_not_of_pandas():
    x = xr.DataArray(np.arange(80.0).reshape(20, 4) ** 1.5, dims=("sample", "unit"))
    for dim in x.dims:
        coords = xr.Coordinates.from_xindex(CoordinateTransformIndex(Doubled(dim, x.sizes[dim])))
        plain = x.assign_coords({dim: 2.0 * np.arange(x.sizes[dim])})
        for ask in (covdist.cov, covdist.var, partial(covdist.var, each="unit")):
            found, expected = ask(x.assign_coords(coords), dim="sample"), ask(plain, dim="sample")
            np.testing.assert_array_equal(found, expected)
            assert list(found.coords) == list(expected.coords)
