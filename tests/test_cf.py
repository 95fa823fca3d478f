"""CF attributes: what ``open_log`` reads is what ``xarray.open_zarr`` reads, or is refused by name."""

from __future__ import annotations

import asyncio
import pickle
import warnings

import numpy as np
import pytest
import xarray as xr
import zarr
from distributed import Client, LocalCluster

import covdist
from covdist.errors import CovdistError, LogError
from covdist.logs.dask_arrays import from_dask

X = np.array([[1, 2], [np.nan, 4], [5, 9]])
STORED = np.array([[1, -2], [-9, 4], [5, 100]])
ENCODINGS = {
    "fill": {"dtype": "f4", "_FillValue": np.float32(-9999)},
    "missing": {"dtype": "f4", "missing_value": np.float32(-9999.9)},
    "both": {"_FillValue": -1e30, "missing_value": -1e30},
    "half": {"dtype": "f2", "_FillValue": np.float16(-9)},
    "nan": {"_FillValue": np.nan},
    "none": {"_FillValue": None},
    "zero": {"dtype": "i2", "_FillValue": 0},
    "packed": {"dtype": "i2", "_FillValue": -1, "scale_factor": 0.5, "add_offset": 3.0},
    "packed by missing": {"dtype": "i4", "missing_value": -1, "scale_factor": 0.25},
    "packed to zero": {"dtype": "u1", "_FillValue": 0, "add_offset": -3.0},
    "scaled floats": {"dtype": "f4", "scale_factor": 0.1},
    "unsigned": {"dtype": "i1", "_FillValue": -1, "_Unsigned": "true", "scale_factor": 0.1},
    "unsigned, both": {"dtype": "i1", "_FillValue": np.uint8(255), "missing_value": np.uint8(255), "_Unsigned": "true"},
    "long": {"dtype": "i8", "_FillValue": -(2**62)},
}


def written(path, data, form, **encoding):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.to_zarr(path, zarr_format=form, consolidated=False, encoding=encoding)


def decoded(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return xr.open_zarr(path, consolidated=False).load()


def same(path):
    """Compare every variable, coordinates too, with xarray's."""
    found, expected = covdist.open_log(path).to_dataset(), decoded(path)
    assert found.variables.keys() == expected.variables.keys()
    for name, variable in expected.variables.items():
        np.testing.assert_array_equal(found[name].values, variable.values, strict=True)
        assert found[name].dtype == variable.dtype
        assert found[name].attrs == variable.attrs
    return found


@pytest.mark.parametrize("form", [2, 3])
@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_what_xarray_encodes(tmp_path, form, encoding):
    data = xr.Dataset({"a": (("sample", "unit"), X)}, {"sample": [0, 3, 4], "mark": ("sample", [7, 0, 9])})
    written(tmp_path / "a.zarr", data, form, a=encoding)
    found = same(tmp_path / "a.zarr")
    if encoding.get("_FillValue", 0) is not None:
        assert np.isnan(found["a"].values).sum() == (1 if "scaled" not in encoding else 0)
    assert covdist.var(found["a"], dim="sample", missing="drop").compute().values.shape == (2,)


@pytest.mark.parametrize("form", [2, 3])
def test_missing_values_count_as_missing(tmp_path, form):
    data = xr.Dataset({"a": (("sample", "unit"), X.astype("f4"))})
    written(tmp_path / "a.zarr", data, form, a={"_FillValue": np.float32(-9999)})
    a = covdist.open_log(tmp_path / "a.zarr")["a"]
    assert covdist.var(a, dim="sample", missing="drop").compute().values.tolist() == [4.0, 12.25]
    with pytest.raises(CovdistError, match="NaN"):
        covdist.var(a, dim="sample").compute()


ATTRIBUTES = {
    "valid range": {"valid_range": [0, 10]},
    "valid bounds": {"valid_min": 0, "valid_max": 10, "_FillValue": -9},
    "two that differ": {"_FillValue": -9, "missing_value": 100},
    "several": {"missing_value": [-9, 100]},
    "out of range": {"missing_value": 1e20},
    "integer factors": {"scale_factor": 2.0, "add_offset": 1, "missing_value": -9},
    "bool": {"dtype": "bool"},
    "unit": {"units": "m"},
    "seconds": {"units": "seconds"},
    "durations": {"units": "seconds", "dtype": "timedelta64[s]"},
    "dates": {"units": "days since 2000-01-01"},
    "dates with gaps": {"units": "hours since 2000-01-01", "_FillValue": -9},
    "packed dates": {"units": "hours since 2000-01-01", "scale_factor": 0.5},
    "unsigned": {"_Unsigned": "true"},
}


def stored(path, attrs, form=3, data=STORED, **options):
    names = ["sample", "unit"][: data.ndim]
    named = {"dimension_names": names} if form == 3 else {}
    group = zarr.open_group(str(path), mode="a", zarr_format=form)
    attributes = {**attrs, **({"_ARRAY_DIMENSIONS": names} if form == 2 else {})}
    return group.create_array(
        "a", data=data, chunks=(2, 2)[: data.ndim], attributes=attributes, **named,
        config={"write_empty_chunks": True}, **options,
    )  # fmt: skip


@pytest.mark.parametrize("form", [2, 3])
@pytest.mark.parametrize("attrs", ATTRIBUTES.values(), ids=ATTRIBUTES.keys())
@pytest.mark.parametrize("dtype", ["i1", "i8", "f8"])
def test_attributes_by_hand(tmp_path, form, attrs, dtype):
    if dtype == "f8" and {"_FillValue", "_Unsigned"} & attrs.keys():
        pytest.skip("xarray has a form of its own for the first, and ignores the second")
    attrs = dict(attrs)
    fill = attrs.pop("_FillValue", None) if form == 2 else None
    stored(tmp_path / "a.zarr", attrs, form, STORED.astype(dtype), fill_value=fill if form == 2 else 0)
    same(tmp_path / "a.zarr")


def test_numbers_of_another_type_than_the_values(tmp_path):
    """What xarray misses, since 1e20 is no float32; lists of one factor it reads as objects."""
    data = np.array([[1e20, 2], [np.nan, 1]], "f4")
    stored(tmp_path / "a.zarr", {"missing_value": 1e20, "_FillValue": -9999}, data=data)
    assert np.isnan(covdist.open_log(tmp_path / "a.zarr")["a"].values).tolist() == [[True, False], [True, False]]
    stored(tmp_path / "c.zarr", {"scale_factor": [0.5]})
    assert covdist.open_log(tmp_path / "c.zarr")["a"].values.tolist() == (STORED / 2).tolist()
    stored(tmp_path / "b.zarr", {"missing_value": "NaN", "_FillValue": "AAAAAAAA+H8="}, data=data)
    assert from_dask(covdist.open_log(tmp_path / "b.zarr")["a"].data) is not None  # read without a graph


REFUSED = {
    "scale_factor": [{"a": 1}, "big", [1, 2], [], None, float("nan")],
    "add_offset": [[[]], float("inf")],
    "_FillValue": ["none", {}, [1, 2]],
    "missing_value": ["none", [], {"a": 1}],
    "_Unsigned": [True, "yes", 1, {}],
    "units": ["days since breakfast"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in REFUSED.items() for value in values])
def test_attributes_that_say_nothing_are_refused_by_name(tmp_path, key, value):
    stored(tmp_path / "a.zarr", {key: value})
    with pytest.raises(LogError, match=rf"^a.* {'attributes' if key == 'units' else key}"):
        covdist.open_log(tmp_path / "a.zarr")


@pytest.mark.parametrize("fill", [-1, 255])
@pytest.mark.parametrize(("dtype", "unsigned"), [("i1", "true"), ("u1", "false")])
def test_one_byte_is_one_fill_value(tmp_path, fill, dtype, unsigned):
    data = np.array([[255, 2], [3, 128]]).astype(dtype)
    stored(tmp_path / "a.zarr", {"_Unsigned": unsigned, "_FillValue": fill}, data=data)
    expected = [[np.nan, 2], [3, 128 if unsigned == "true" else -128]]
    np.testing.assert_array_equal(covdist.open_log(tmp_path / "a.zarr")["a"], expected)


@pytest.mark.parametrize("form", [2, 3])
def test_dates_name_samples(tmp_path, form):
    dates = np.array(["2001-01-01", "2001-01-02", "2001-01-04"], "M8[ns]")
    data = xr.Dataset(
        {"a": (("sample", "unit"), X), "flag": (("sample", "unit"), X > 2)},
        {"sample": dates, "end": ("sample", dates), "where": (("sample", "unit"), X)},
    )
    written(tmp_path / "a.zarr", data, form)
    found = same(tmp_path / "a.zarr")
    assert set(found.coords) == {"sample", "end", "where"}
    filled = covdist.fill(found["a"], dim="sample", along="sample").compute()
    np.testing.assert_allclose(filled.values, [[1, 2], [1 + 4 / 3, 4], [5, 9]])


def test_what_travels_to_workers_decodes_to_the_same_bits(tmp_path):
    data = np.random.default_rng(0).integers(-100, 100, (500, 3), "i2")
    stored(tmp_path / "a.zarr", {"scale_factor": 0.1, "missing_value": 7}, data=data)
    a = covdist.open_log(tmp_path / "a.zarr")["a"]
    here, there = (covdist.cov(each, dim="sample", missing="drop") for each in (a, pickle.loads(pickle.dumps(a))))
    assert here.data.name == there.data.name
    np.testing.assert_array_equal(here, there)


@pytest.fixture
def dated(tmp_path):
    """A log whose opening reads coordinates: an index, and dates at the ends of another."""
    dates = np.array(["2001-01-01", "2001-01-02", "2001-01-04"], "M8[ns]")
    written(
        tmp_path / "a.zarr", xr.Dataset({"a": (("sample", "unit"), X)}, {"sample": dates, "end": ("sample", dates)}), 3
    )
    return tmp_path / "a.zarr"


def test_coordinates_are_read_here_and_not_on_a_cluster_without_workers(dated):
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster, Client(cluster):
        log = covdist.open_log(dated)
        assert log["sample"].values[2] == np.datetime64("2001-01-04")


def test_coordinates_are_read_under_an_asynchronous_client(dated):
    async def opened():
        local = LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", asynchronous=True)
        async with local as cluster, Client(cluster, asynchronous=True):
            return covdist.open_log(dated)

    assert asyncio.run(opened())["sample"].values[2] == np.datetime64("2001-01-04")
