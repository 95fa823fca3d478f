"""Rows without a label are a group of their own, whatever says that they have none."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError

X = np.random.default_rng(3).normal(size=(6, 2))
TEXT = {
    "objects": np.array(["b", None, "a", "b", np.nan, "a"], object),
    "pandas": pd.Series(["b", pd.NA, "a", "b", None, "a"]),
    "string": pd.array(["b", None, "a", "b", None, "a"], dtype="string"),
    "categories": pd.Categorical(["b", None, "a", "b", None, "a"]),
    "coordinate": xr.DataArray(np.array(["b", None, "a", "b", None, "a"], object), dims="dim_0"),
}
NUMBERS = {
    "list": [2, None, 1, 2, None, 1],
    "objects": np.array([2, np.nan, 1, 2.0, None, 1], object),
    "nullable": pd.array([2, None, 1, 2, None, 1], dtype="Int64"),
    "floats": np.array([2, np.nan, 1, 2, np.nan, 1]),
}
DATES = {
    "dates": [date(2024, 1, 2), None, date(2024, 1, 1), date(2024, 1, 2), None, date(2024, 1, 1)],
    "moments": np.array([datetime(2024, 1, 2), pd.NaT, datetime(2024, 1, 1)] * 2, object)[[0, 1, 2, 0, 1, 2]],
}
NONE = np.array([False, True, False, False, True, False])


@pytest.mark.parametrize("by", TEXT.values(), ids=TEXT)
def test_among_text(by, tmp_path):
    x = xr.DataArray(X, dims=("dim_0", "unit")) if isinstance(by, xr.DataArray) else X
    m = covdist.moments(x, dim=0 if x is X else "dim_0", by=by)
    assert m.layout.groups.values.tolist() == ["", "a", "b"]
    m.save(tmp_path / "m.zarr")
    for one in (m, covdist.load(tmp_path / "m.zarr")):
        for label in (None, np.nan, ""):
            np.testing.assert_allclose(one.sel(group=label).mean(), X[NONE].mean(axis=0), rtol=1e-15)
        np.testing.assert_allclose(one.sel(group="a").mean(), X[[2, 5]].mean(axis=0), rtol=1e-15)
    assert (m + m).count.values.tolist() == [4, 4, 4]


@pytest.mark.parametrize("by", NUMBERS.values(), ids=NUMBERS)
def test_among_numbers(by, tmp_path):
    m = covdist.moments(X, by=by)
    np.testing.assert_array_equal(m.layout.groups.values, [1, 2, np.nan])
    m.save(tmp_path / "m.zarr")
    for one in (m, covdist.load(tmp_path / "m.zarr")):
        for label in (None, np.nan):
            np.testing.assert_allclose(one.sel(group=label).mean(), X[NONE].mean(axis=0), rtol=1e-15)
    np.testing.assert_array_equal((m + m).count, [4, 4, 4])


@pytest.mark.parametrize("by", DATES.values(), ids=DATES)
def test_among_dates(by):
    m = covdist.moments(X, by=by)
    np.testing.assert_array_equal(m.layout.groups.values, np.array(["2024-01-01", "2024-01-02", "NaT"], "M8[D]"))
    for label in (None, np.datetime64("NaT", "ns")):
        np.testing.assert_allclose(m.sel(group=label).mean(), X[NONE].mean(axis=0), rtol=1e-15)


def test_among_texts_own_mark():
    by = np.array(["b", None, "a", "b", None, "a"], np.dtypes.StringDType(na_object=None))
    m = covdist.moments(X, by=by)
    assert m.layout.groups.values.tolist() == ["", "a", "b"]
    np.testing.assert_allclose(m.sel(group=None).mean(), X[NONE].mean(axis=0), rtol=1e-15)


def test_among_several_coordinates():
    coords = {"split": ("row", TEXT["objects"]), "epoch": ("row", [0, 0, 0, 1, 1, 1])}
    m = covdist.moments(xr.DataArray(X, dims=("row", "unit"), coords=coords), dim="row", by=("split", "epoch"))
    assert m.sel(split=None).count.values.tolist() == [1, 1]
    assert m.merge("epoch").sel(split=None).count == 2


def test_text_that_stands_for_none_is_not_mixed_with_it():
    with pytest.raises(DataError, match="rows without a label"):
        covdist.moments(X, by=np.array(["", None, "a", "b", "a", "b"], object))


def test_labels_of_several_kinds_are_still_refused():
    with pytest.raises(DataError, match="all of one kind"):
        covdist.moments(X, by=np.array([1, "a", None, 1, "a", None], object))
