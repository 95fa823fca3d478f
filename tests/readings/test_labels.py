"""Names of dims and coordinates, in and out."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import covdist

RNG = np.random.default_rng(0)


def units(dims: tuple[str, str] = ("sample", "unit"), columns: int = 3, **coords: object) -> xr.DataArray:
    return xr.DataArray(RNG.normal(size=(12, columns)), dims=dims, coords=coords, name="activation")


@pytest.mark.parametrize("reading", [covdist.cov, covdist.corr])
def test_the_second_name_gets_a_suffix(reading):
    assert reading(units(), dim="sample").dims == ("unit", "unit_2")


@pytest.mark.parametrize("reading", [covdist.cov, covdist.corr])
def test_with_y_the_names_are_those_of_both(reading):
    found = reading(units(), units(("sample", "out"), 2), dim="sample")
    assert found.dims == ("unit", "out")
    assert found.shape == (3, 2)
    assert reading(units(), units(), dim="sample").dims == ("unit", "unit_2")


def test_coordinates_are_carried():
    x = units(unit=["a", "b", "c"], kind=("unit", [1, 2, 3]), step=("sample", np.arange(12)))
    found = covdist.cov(x, dim="sample")
    assert set(found.coords) == {"unit", "unit_2", "kind", "kind_2"}
    assert found["kind_2"].dims == ("unit_2",)
    assert found.sel(unit="a", unit_2="c") == found[0, 2]
    assert set(covdist.var(x, dim="sample").coords) == {"unit", "kind"}


def test_coordinates_of_y_keep_their_names_where_they_can():
    x, y = units(unit=list("abc"), kind=("unit", [1, 2, 3])), units(("sample", "out"), 2, out=list("de"))
    assert set(covdist.cov(x, y, dim="sample").coords) == {"unit", "kind", "out"}
    same = y.assign_coords(kind=("out", [4, 5]))
    found = covdist.cov(x, same, dim="sample")
    assert found["kind"].dims == ("unit",)
    assert found["kind_2"].values.tolist() == [4, 5]


def test_a_coordinate_of_y_called_as_the_columns_of_x():
    y = units(("sample", "out"), 2, unit=("out", ["d", "e"]))
    found = covdist.cov(units(), y, dim="sample")
    assert found.dims == ("unit", "out")
    assert found["unit_2"].values.tolist() == ["d", "e"]


def test_coordinates_of_stacked_dims_repeat():
    x = xr.DataArray(
        RNG.normal(size=(9, 2, 3)), dims=("step", "row", "column"), coords={"row": [7, 8], "column": list("abc")}
    )
    found = covdist.var(x, dim="step")
    assert found.dims == ("row_column",)
    assert found["row"].values.tolist() == [7, 7, 7, 8, 8, 8]
    assert "".join(found["column"].values) == "abcabc"


def test_groups_come_first():
    x = units(unit=list("abc"), epoch=("sample", np.arange(12) // 4))
    assert covdist.cov(x, dim="sample", by="epoch").dims == ("epoch", "unit", "unit_2")
    assert covdist.var(x, dim="sample", by="epoch")["epoch"].values.tolist() == [0, 1, 2]


def test_arrays_without_names():
    assert covdist.cov(RNG.normal(size=(5, 2))).dims == ("unit", "unit_2")
    assert covdist.var(RNG.normal(size=(5, 2, 2))).dims == ("unit_0_unit_1",)
    assert covdist.cov(RNG.normal(size=5)).dims == ()


def test_names_and_attributes():
    found = covdist.cov(units(), dim="sample", ddof=1)
    assert (found.name, found.attrs["ddof"]) == ("cov", 1)
    assert covdist.corr(units(), dim="sample").attrs["method"] == "pearson"
    assert covdist.var(units(), dim="sample").attrs["ddof"] == 0


def test_provenance_names_what_was_folded():
    lazy = units().chunk(sample=5)
    provenance = covdist.moments(lazy, dim="sample", missing="drop").layout.provenance
    assert provenance["source"] == "activation"
    assert (provenance["rows"], provenance["dims"], provenance["missing"]) == (12, "sample", "drop")


def test_an_array_without_a_name_is_called_after_its_place():
    x = da.from_array(RNG.normal(size=(6, 2)), chunks=3)
    assert covdist.moments(x, x + 1).layout.provenance["source"] == "x with y"
