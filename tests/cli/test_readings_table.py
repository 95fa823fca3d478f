"""Readings as tables: every value that is printed stands at its place, and the rest is counted."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from covdist.terminal.readings import readings_table

ODD = ["層" * 40, "red\x1b[31m\x07", "‮txet‬", "a.b/c_d" * 12, "ש" * 9, "", " ", "é"]
NAMES = st.sampled_from(ODD)


def matrix(*shape: int, dims: tuple[str, ...] = ("unit", "unit_2"), **options: object) -> xr.DataArray:
    values = np.random.default_rng(0).normal(size=shape)
    return xr.DataArray(values, dims=dims, name="cov", **options)


def left_out(text: str) -> int:
    found = re.search(r"([\d,]+) of [\d,]+ values are left out", " ".join(text.split()))
    return int(found[1].replace(",", "")) if found else 0


@given(
    width=st.sampled_from([60, 80, 120]),
    shape=st.tuples(st.integers(0, 90), st.integers(0, 90)),
    names=st.lists(NAMES, min_size=3, max_size=3),
    labels=st.none() | st.lists(NAMES, min_size=90, max_size=90),
    groups=st.integers(1, 7),
)
def test_lines_fit_print_and_count_what_is_left_out(width, shape, names, labels, groups):
    dims = [f"{name}{mark}" for name, mark in zip(names, "abc", strict=True)]
    coords = {} if labels is None else {dims[1]: labels[: shape[0]], dims[2]: labels[: shape[1]]}
    array = xr.DataArray(
        np.full((groups, *shape), -7.25), coords, dims, "cov", {"long_name": names[0], "units": names[1]}
    )
    text = readings_table({names[2]: array}, width)
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert all(line.isprintable() for line in lines)
    assert text.split().count("-7.25") == array.size - left_out(text)
    assert array.size == 0 or "-7.25" in text


def test_values_stand_at_their_places():
    array = matrix(6, 5, coords={"unit_2": list("vwxyz")})
    _, header, *rows = readings_table({"": array}, 80).splitlines()
    assert header.split() == ["unit", *"vwxyz"]
    found = np.array([[float(each) for each in line.split()] for line in rows])
    np.testing.assert_array_equal(found[:, 0], range(6))
    np.testing.assert_allclose(found[:, 1:], array, rtol=5.1e-4)


def test_of_a_large_matrix_the_edges():
    array = matrix(4096, 4096)
    text = readings_table({"": array}, 80)
    lines = text.partition("\n\n")[0].splitlines()
    assert lines[0] == "cov; unit 4,096 × unit_2 4,096"
    last = lines[-1].split()
    assert (last[0], last[-2], float(last[-1])) == ("4095", "…", float(f"{array.values[-1, -1]:.4g}"))
    printed = sum(len(line.split()) - 2 for line in lines[2:] if line != "…")
    assert left_out(text) == array.size - printed
    assert " ".join(text.split()).endswith("-o FILE.zarr writes all, --json prints all")


def test_columns_with_long_names_are_numbered():
    names = [f"transformer.block.{n}.attention" for n in range(3)]
    text = readings_table({"": matrix(3, 3, dims=("layer", "layer_2"), coords={"layer": names, "layer_2": names})}, 80)
    assert re.search(r"^layer +\(1\) +\(2\) +\(3\)$", text, re.M)
    assert text.endswith("(3) transformer.block.2.attention")


def test_groups_have_tables_of_their_own():
    text = readings_table({"": matrix(6, 2, 2, dims=("epoch", "unit", "unit_2"), coords={"epoch": range(10, 16)})}, 80)
    assert re.findall(r"^epoch (\d+)$", text, re.M) == ["10", "11", "12", "15"]
    assert "8 of 24 values are left out" in text


def test_several_arrays_of_one_dim_stand_side_by_side_and_wrap():
    names = [f"figure_{n}" for n in range(9)]
    arrays = {name: ("unit", [n, n + 0.5], {"units": "bits"}) for n, name in enumerate(names)}
    text = readings_table({"": xr.Dataset(arrays)}, 60)
    assert text.count("in bits") == 9
    rows = [line.split() for line in text.splitlines() if re.match(r"\d ", line)]
    assert [float(each) for row in rows if row[0] == "1" for each in row[1:]] == [n + 0.5 for n in range(9)]


def test_numbers_of_several_layers_are_rows_with_their_units():
    arrays = {
        f"fc{n}": xr.DataArray(n / 3, name="width", attrs={"units": "m", "ddof": n, "kernel": "c"}) for n in range(3)
    }
    text = readings_table(arrays, 80)
    assert text.splitlines() == ["width, in m", "array   width  ddof", "fc0         0     0", "fc1    0.3333     1",
                                 "fc2    0.6667     2", "", "kernel  c"]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (-0.0, "0"),
        (1e-160, "1e-160"),
        (np.nan, "nan"),
        (-np.inf, "-inf"),
        (1234567, "1,234,567"),
        (True, "yes"),
        ("red\x1b[31m", r"red\x1b[31m"),
        (np.datetime64("2026-01-02"), "2026-01-02"),
        (1 + 2j, "1+2j"),
    ],
    ids=str,
)
def test_values_of_every_kind(value, said):
    assert said in readings_table({"": xr.DataArray(value, name="x", attrs={"note": value})}, 80)
    assert said in readings_table({"": xr.DataArray([value], dims="unit", name="x")}, 80)


def test_labels_of_several_levels():
    index = pd.MultiIndex.from_product([["a", "b"], [0, 1]], names=["h", "w"])
    array = xr.DataArray(np.ones((4, 1)), dims=("pixel", "unit"), name="x").assign_coords(
        xr.Coordinates.from_pandas_multiindex(index, "pixel")
    )
    assert re.search(r"^\(b, 1\) +1$", readings_table({"": array}, 80), re.M)


def test_nothing_at_all():
    assert readings_table({"": xr.Dataset()}, 80) == ""
    assert readings_table({"": matrix(0, 0)}, 80).startswith("cov; unit 0 × unit_2 0")
