"""Bins of integers beyond 2**53 and of times far away: edges, labels, and the text that tells them from others."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError, MergeError

from .containers import quick

LARGE = {
    "int64": np.array([0, 1, 2, 3, 100]) + 2**60,
    "negative": np.array([0, 1, 2, 3, 100]) + -(2**63),
    "the end": np.array([0, 1, 2, 3, 100]) + (2**63 - 101),
    "uint64": np.array([0, 1, 2, 3, 100], np.uint64) + np.uint64(2**64 - 101),
}
each_large = pytest.mark.parametrize("values", LARGE.values(), ids=LARGE)


def binned(values, *arguments, **options):
    return covdist.moments(np.arange(len(values))[:, None] * 1.0, by=covdist.bins(values, *arguments, **options))


def told(m):
    return m.layout.provenance["group_bins"]


@each_large
def test_edges_that_float64_rounds_are_told_apart(values, tmp_path):
    exact = [int(each) for each in values]
    one, other = (binned(values, np.array(edges, values.dtype)) for edges in (exact[:4], [*exact[:3], exact[4]]))
    assert told(one) == f"edges {', '.join(map(str, exact[:4]))}"
    one.save(tmp_path / "m.zarr")
    for each in (one, covdist.load(tmp_path / "m.zarr")):
        assert each.mean()["group_bins"].values.tolist() == exact[:3]
        with pytest.raises(MergeError, match=str(exact[4])):
            each + other
    many = [np.arange(12).astype(values.dtype) + values[0], np.arange(12).astype(values.dtype) + values[0]]
    many[1][5:] += np.array(1, values.dtype)
    assert "checksum" in told(binned(values, many[0]))
    assert told(binned(values, many[0])) != told(binned(values, many[1]))


@each_large
@pytest.mark.parametrize("number", [1, 3, 7, 1000])
def test_so_many_bins(values, number):
    m, exact = binned(values, number), [int(each) for each in values]
    span = max(exact[-1] - exact[0], number)
    low = min(exact[0], int(np.iinfo(values.dtype).max) - span)
    places = [min(int(Fraction(each - low) * number / span), number - 1) for each in exact]
    np.testing.assert_array_equal(m.count, np.bincount(places, minlength=number))
    labels = m.mean()["group_bins"].values.tolist()
    assert labels[0] == low
    assert labels == sorted(set(labels))


@each_large
@pytest.mark.parametrize("width", [2, 2.0, 50, 2**62, 2.0**62])
def test_multiples_of_a_width(values, width):
    exact = {int(each) // int(width) * int(width) for each in values}
    if min(exact) < -(2**63):
        with pytest.raises(DataError, match="the first one begins below the least integer"):
            binned(values, width=width)
        return
    m = binned(values, width=width)
    assert {*m.mean()["group_bins"].values.tolist()} == exact
    assert told(m) == f"width {int(width)}"


def test_widths_that_float64_rounds_are_told_apart():
    values = LARGE["int64"]
    with pytest.raises(MergeError, match=f"width {2**60 + 1}"):
        binned(values, width=2**60) + binned(values, width=2**60 + 1)
    with pytest.raises(DataError, match=r"width=0\.5, as the width is not whole"):
        binned(values, width=0.5)
    assert binned(values[:1], width=0.5).mean()["group_bins"].values.tolist() == [2**60]


@quick
@given(
    st.lists(st.integers(0, 2**12), min_size=1, max_size=8),
    st.lists(st.integers(0, 2**12), min_size=2, max_size=5, unique=True).map(sorted),
    st.sampled_from([np.int64, np.uint64]),
)
def test_floats_between_integers_that_float64_rounds(steps, edges, dtype):
    values = np.array([2.0**60 + each * 256 for each in steps])
    cut = [2**60 + each * 100 for each in edges]
    inside = [sum(low <= int(v) < high for v in values) for low, high in pairwise(cut)]
    inside[-1] += sum(int(v) == cut[-1] for v in values)
    if any(inside):
        np.testing.assert_array_equal(binned(values, np.array(cut, dtype)).count, inside)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["M8", "m8"])
def test_edges_centuries_away(kind, unit):
    days = np.array([0, 10, 20], "M8[D]").astype(np.int64)
    values = days.astype(f"{kind}[D]").astype(f"{kind}[{unit}]")
    edges = [np.array([-4 * 10**5, 15, last]).astype(f"{kind}[D]") for last in (4 * 10**5, 5 * 10**5)]
    one, other = (binned(values, each) for each in edges)
    assert one.count.values.tolist() == [2, 1]
    with pytest.raises(MergeError, match="cannot merge 'group_bins'"):
        one + other


@pytest.mark.parametrize("dtype", ["M8[ns]", "m8[ns]"])
def test_widths_of_many_nanoseconds(dtype):
    width = np.timedelta64(2**60 + 1, "ns")
    stamps = np.array([0, 2**60, 2**60 + 1, 2**61])
    x = xr.DataArray(np.eye(4), dims=("t", "unit"), coords={"t": stamps.astype(dtype)})
    m = covdist.moments(x, dim="t", by=covdist.bins("t", width=width))
    assert m.count.values.tolist() == [2, 2]
    assert m.mean()["t_bins"].values.astype(np.int64).tolist() == [0, 2**60 + 1]
    assert m.layout.provenance["t_bins"] == f"width {2**60 + 1} ns"
    early = xr.DataArray(np.eye(2), dims=("t", "unit"), coords={"t": np.array([-(2**63) + 1, 0]).astype(dtype)})
    with pytest.raises(DataError, match="begin before the first"):
        covdist.moments(early, dim="t", by=covdist.bins("t", width=width))


@pytest.mark.parametrize("edges", [[0, 2**64 - 1], (2**63 - 1, np.uint64(2**64 - 2)), [2**60, 2**60 + 1]])
def test_a_list_of_integers_is_what_it_says(edges):
    """Numpy makes floats of integers on both sides of 2**63."""
    assert covdist.bins("step", edges).bins.tolist() == [int(each) for each in edges]


@pytest.mark.parametrize("edges", [[-1, 2**64 - 1], [0.5, 2**60 + 1]])
def test_a_list_whose_integers_numpy_rounds_is_refused(edges):
    with pytest.raises(DataError, match=f"float64 rounds the integer {edges[1]}"):
        covdist.bins("step", edges)
    assert covdist.bins("step", [edges[0], 2**60]).bins.tolist() == [edges[0], 2**60]
