"""``by=covdist.bins(...)``: groups of rows by ranges of a coordinate."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError, MergeError
from covdist.folding.selection import Selection

from .containers import quick

STEP, LABEL = np.arange(60) * 10, np.arange(60) % 3
X = np.random.default_rng(0).normal(size=(60, 4))
LOG = xr.Dataset({"act": (("step", "unit"), X)}, coords={"step": STEP, "label": ("step", LABEL)})
DAYS = np.datetime64("2024-01-01T07", "h") + np.arange(60) * 7


@pytest.fixture(params=[None, 7])
def act(request):
    return LOG["act"] if request.param is None else LOG["act"].chunk(step=request.param)


def by_bins(x, *arguments, name="step", **options):
    return covdist.moments(x, dim="step", by=covdist.bins(name, *arguments, **options))


@quick
@given(
    st.sampled_from(["f2", "f4", "f8", "i4", "u1"]),
    st.integers(1, 9) | st.lists(st.integers(-30, 30), min_size=2, max_size=6, unique=True).map(sorted),
    st.integers(0, 2**32),
)
def test_counts_are_those_of_a_histogram(dtype, bins, seed):
    values = (np.random.default_rng(seed).normal(size=50) * 10).round(1).astype(dtype)
    exact = values.astype(np.float64)
    expected, edges = np.histogram(exact, bins)
    by = covdist.bins(values, bins)
    if not expected.any():
        with pytest.raises(DataError, match="no row lies in a bin of 'group_bins'"):
            covdist.moments(exact, by=by)
        return
    m = covdist.moments(exact, by=by)
    np.testing.assert_array_equal(m.count, expected)
    np.testing.assert_array_equal(m.mean()["group_bins"], edges[:-1])
    for low, high, last, mean in zip(edges, edges[1:], edges[1:] == edges[-1], m.mean().values, strict=False):
        own = exact[(exact >= low) & ((exact < high) | (last & (exact == high)))]
        np.testing.assert_allclose(mean, own.mean() if own.size else np.nan, rtol=1e-13, atol=1e-14)


def test_agrees_with_xarray(act):
    edges = [0, 101, 250, 255, 590]
    found = by_bins(act, edges).var()
    grouped = LOG["act"].groupby_bins("step", edges, right=False)
    np.testing.assert_allclose(found[:3], grouped.var()[:3], rtol=1e-12)  # NaN where a bin is empty
    assert found.dims == grouped.var().dims == ("step_bins", "unit")
    assert found.indexes["step_bins"].to_list() == [each.left for each in grouped.var().indexes["step_bins"]]
    np.testing.assert_allclose(found[3], X[STEP >= 255].var(axis=0))  # the last bin is closed, as numpy's


def test_beside_other_coordinates(act, tmp_path):
    m = covdist.moments(act, dim="step", by=(covdist.bins("step", [100, 200, 405]), "label"))
    m.save(tmp_path / "m.zarr")
    for each in (m, covdist.load(tmp_path / "m.zarr")):
        assert each.mean().indexes["step_bins_label"].to_list() == [(e, k) for e in (100, 200) for k in range(3)]
        own = X[(STEP >= 200) & (STEP <= 405) & (LABEL == 1)]
        np.testing.assert_allclose(each.sel(step_bins=200).sel(label=1).var(), own.var(axis=0))
        np.testing.assert_allclose(each.merge("label").var()[0], X[(STEP >= 100) & (STEP < 200)].var(axis=0))
    alone = covdist.moments(act, dim="step", by=(covdist.bins("step", 3),))
    np.testing.assert_array_equal(alone.var(), by_bins(act, 3).var())
    with pytest.raises(DataError, match="no row lies in a bin of each of 'step_bins', 'label_bins'"):
        covdist.moments(act, dim="step", by=(covdist.bins("step", [0, 1]), covdist.bins("label", [1, 2])))


def test_bins_of_a_width_of_several_runs_add_up(act):
    first, second = (by_bins(act[rows], width=70) for rows in (slice(3, 33), slice(33, 60)))
    whole = by_bins(act[3:], width=70)
    assert whole.mean()["step_bins"].values.tolist() == list(range(0, 590, 70))
    np.testing.assert_allclose((first + second).var(), whole.var(), rtol=1e-13)


def test_bins_that_are_others_do_not_add_up(act, tmp_path):
    first = by_bins(act[:15], [0, 100, 200])
    same = by_bins(act[15:], [0.0, 100.0, 200.0])
    np.testing.assert_allclose((first + same).count, by_bins(act, [0, 100, 200]).count)
    assert int((by_bins(act, width=70) + by_bins(act, width=70.0)).count.sum()) == 120
    others = {"edges 0, 100, 300": [0, 100, 300], "edges 0, 50, 100, 200": [0, 50, 100, 200], "edges 0, 295, 590": 2}
    first.save(tmp_path / "m.zarr")
    for one in (first, covdist.load(tmp_path / "m.zarr")):
        for found, edges in others.items():
            with pytest.raises(MergeError, match=f"'step_bins'.*edges 0, 100, 200 with bins of {found}:"):
                one + by_bins(act, edges)
    with pytest.raises(MergeError, match="bins of width 70 with bins of width 10"):
        by_bins(act, width=70) + by_bins(act, width=10)
    many = [by_bins(act, np.linspace(0, 590, 50) + np.eye(50)[20] * jump) for jump in (0, 0, 1)]
    np.testing.assert_array_equal((many[0] + many[1]).count, 2 * many[0].count)
    with pytest.raises(MergeError, match="checksum"):
        many[0] + many[2]
    pair = [
        covdist.moments(act, dim="step", by=(covdist.bins("step", edges), "label")) for edges in ([0, 99], [0, 590])
    ]
    with pytest.raises(MergeError, match="edges 0, 99 with"):
        pair[0] + pair[1]
    np.testing.assert_array_equal((pair[0].merge("step_bins") + pair[1].merge("step_bins")).count.sum(), 70)


@quick
@given(st.sampled_from([0.1, 0.3, 1e-5, 7.0, 3]), st.lists(st.integers(-200, 200), min_size=1, max_size=30))
def test_every_value_lies_in_its_bin_of_a_width(width, multiples):
    values = np.array([multiple * width for multiple in multiples] + [np.nan])
    m = covdist.moments(np.ones(len(values)), by=covdist.bins(values, width=width))
    left = m.mean()["group_bins"].values
    assert m.count.sum() == len(multiples)
    expected = {width * int(Fraction(value) // Fraction(width)) for value in values[:-1]}
    assert set(left) <= expected | {width * multiple for multiple in multiples}
    for edge, count in zip(left, m.count.values, strict=True):
        assert ((values >= edge) & (values < width * (round(edge / width) + 1))).sum() == count


@pytest.mark.parametrize("unit", ["h", "s", "ns"])
@pytest.mark.parametrize(("kind", "start"), [("datetime64", DAYS[0]), ("timedelta64", 0)])
def test_dates_and_times(unit, kind, start):
    dates = DAYS.astype("datetime64[ns]")
    values = dates if kind == "datetime64" else dates - DAYS[0]
    series = pd.Series(X[:, 0], index=values)
    x = LOG["act"].assign_coords(step=values.astype(f"{kind}[{unit}]"))
    days = by_bins(x, width="1D")
    expected = series.groupby(series.index.floor("1D"))
    np.testing.assert_array_equal(days.count, expected.count())
    np.testing.assert_array_equal(days.mean()["step_bins"].values, expected.count().index.values)
    np.testing.assert_allclose(days.mean()[:, 0], expected.mean(), rtol=1e-13)
    np.testing.assert_array_equal(by_bins(x, width=np.timedelta64(24, "h")).count, days.count)
    thirds = by_bins(x, 3)
    np.testing.assert_array_equal(thirds.count, np.histogram(values.astype(np.int64), 3)[0])
    edges = ["2024-01-02", "2024-01-05"] if kind == "datetime64" else ["1D", "4D"]
    low, high = (pd.to_datetime if kind == "datetime64" else pd.to_timedelta)(edges)
    assert int(by_bins(x, edges).count[0]) == ((series.index >= low) & (series.index <= high)).sum()


def test_one_value_a_row(act):
    values = np.where(LABEL == 2, np.nan, STEP / 10)
    for given_ in (values, da.from_array(values, chunks=9), xr.DataArray(values, dims="step", name="loss")):
        m = covdist.moments(act, dim="step", by=covdist.bins(given_, [0, 30, 60]))
        name = "loss_bins" if isinstance(given_, xr.DataArray) else "group_bins"
        np.testing.assert_allclose(m.var().sel({name: 30}), X[values >= 30].var(axis=0))
    shifted = xr.DataArray(values, dims="step", coords={"step": STEP + 1})
    with pytest.raises(DataError, match="different labels along 'step'"):
        covdist.moments(act, dim="step", by=covdist.bins(shifted, 3))


@pytest.mark.parametrize("missing", ["raise", "drop", "pairwise"])
def test_rows_outside_are_not_looked_at(act, missing):
    x = act.where(act["step"] != 0)
    found = covdist.moments(x, dim="step", by=covdist.bins("step", [100, 300]), missing=missing)
    np.testing.assert_allclose(found.cov()[0], np.cov(X[10:31].T, ddof=0), rtol=1e-12)


@pytest.mark.parametrize("method", ["exact", "dual", "sketch"])
def test_other_readings(act, method):
    by = covdist.bins("step", [100, 201, 202, 400, 401])
    spectrum = covdist.spectrum(act, 1, dim="step", by=by, method=method)
    assert spectrum["eigenvalue"]["step_bins"].values.tolist() == [100, 201, 202, 400]
    top = [np.linalg.eigvalsh(np.cov(X[rows].T, ddof=0))[-1] for rows in (slice(10, 21), slice(21, 40))]
    np.testing.assert_allclose(spectrum["eigenvalue"][:, 0], [top[0], np.nan, top[1], 0], atol=1e-12)
    stats = covdist.gradient_stats(act, dim="step", by=by)
    np.testing.assert_allclose(stats["std"][2], X[21:40].std(axis=0))
    assert stats["std"][1].isnull().all()


def test_a_selection_says_the_same_again():
    edges = np.array(["2024-01-01", "2024-02-01"], "M8[s]")
    for by in (
        covdist.bins("step", 10),
        covdist.bins("step", [0, 1.5]),
        (covdist.bins("time", edges), "label"),
        covdist.bins("time", width=np.timedelta64(90, "m")),
        covdist.bins(xr.DataArray([1, 2], dims="step", name="loss"), width=0.5),
    ):
        asked = json.loads(json.dumps(Selection(by=by).asked()))
        assert json.loads(json.dumps(Selection(**asked).asked())) == asked
    assert Selection(by="bins(step, width=100)").asked() == Selection(by=covdist.bins("step", width=100)).asked()
    written = Selection(by=("bins(sample_epoch, [0, 2])", "label")).asked()
    assert written == Selection(by=(covdist.bins("sample_epoch", [0, 2]), "label")).asked()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "found neither"),
        ({"bins": 2, "width": 2}, "found both"),
        ({"bins": 0}, "bins=0 is not a number of bins"),
        ({"bins": 2.5}, "bins=2.5 is not a number of bins"),
        ({"bins": [[1, 2]]}, "is not a number of bins"),
        ({"bins": [1]}, "two or more numbers"),
        ({"bins": [3, 1]}, "each greater than the last"),
        ({"bins": [1, np.nan, 3]}, "each greater than the last"),
        ({"bins": ["a", "b"]}, "two or more numbers"),
        ({"bins": [1000, 2000]}, "no row lies in a bin of 'step_bins'"),
        ({"width": -1}, "width=-1 is not a length"),
        ({"width": "2h"}, "width='2h' is not a length"),
        ({"name": "none", "bins": 3}, "no coordinate 'none'"),
        ({"name": np.array(["a"] * 60), "bins": 3}, "expected numbers, dates or times"),
        ({"name": np.full(60, np.nan), "bins": 3}, "holds no value"),
        ({"name": np.full(60, np.inf), "bins": 3}, "cannot be 3 bins"),
        ({"name": np.full(60, np.inf), "width": 3}, "infinite"),
        ({"name": DAYS, "width": 3}, "'2h'"),
        ({"name": DAYS, "width": "1ns"}, "finer than the times"),
        ({"name": DAYS, "bins": [1, 2]}, "two or more dates"),
        ({"name": DAYS, "bins": ["x", "y"]}, "two or more dates"),
    ],
)
def test_what_are_no_bins(options, message):
    with pytest.raises(DataError, match=message) as caught:
        by_bins(LOG["act"], **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["bins(", "bins(step)", "bins(step, x)", "bins(step, 2) + 1", "bins(step, wide=2)"])
def test_what_cannot_be_read_as_bins(text):
    with pytest.raises(DataError, match=r"'bins\(step, 10\)'|found neither"):
        Selection(by=text)


# ---- values and widths at the ends of their dtypes


@pytest.mark.parametrize(
    ("values", "width"),
    [
        (np.array([-128, -127, 127], "i1"), 3),  # -129 is the multiple below -128
        (np.array([-5, 0, 127], "i1"), 1000),
        (np.array([0, 200, 255], "u1"), 256),
        (np.array([False, True, True]), 2**62),
        (np.array([2**63 - 1, 0, -5], "i8"), 2**62),
        (np.array([2**64 - 1, 0, 5], "u8"), 2**63),
    ],
)
def test_widths_beyond_the_coordinates_dtype(values, width):
    """They ended in an OverflowError, or in labels that had gone round."""
    found = covdist.moments(X[:3], by=covdist.bins(values, width=width)).layout.groups.values
    assert found.tolist() == sorted({int(each) // width * width for each in values})


def test_widths_below_the_least_integer():
    found = covdist.moments(X[:2], by=covdist.bins(np.array([-(2**63), 0]), width=3))
    assert found.rows.values.tolist() == [1, 1]
    assert found.layout.groups.values[0] < 0


@quick
@given(
    st.sampled_from(["i8", "u8"]),
    st.lists(st.integers(0, 2**13), min_size=1, max_size=8),
    st.lists(st.integers(-(2**13), 2**14), min_size=2, max_size=5, unique=True).map(sorted),
    st.sampled_from([2**53, 2**60, 2**63 - 2**13 - 1]),
    st.booleans(),
)
def test_large_integers_lie_between_the_edges_exactly(dtype, steps, edges, base, whole):
    values = np.array([base + each for each in steps], dtype)
    cut = np.array([base + each for each in edges], object)
    cut = np.unique(np.array(cut.clip(max=2**63 - 1), np.int64) if whole else cut.astype(np.float64))
    if len(cut) < 2:
        return
    exact = [Fraction(each) for each in cut.tolist()]
    rows = [sum(low <= int(v) < high for v in values) for low, high in pairwise(exact)]
    rows[-1] += sum(int(v) == exact[-1] for v in values)
    asked = covdist.bins(values, cut)
    if not any(rows):
        with pytest.raises(DataError, match="no row lies in a bin"):
            covdist.moments(X[: len(values)], by=asked)
        return
    assert covdist.moments(X[: len(values)], by=asked).rows.values.tolist() == rows
