"""Rows are paired by position, and only where their labels, if there are any, are equal."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError

VALUES = np.random.default_rng(0).normal(size=6)
DAYS = pd.date_range("2024-01-01", periods=6, unit="s")


def rows(labels: Any = None, values: np.ndarray = VALUES) -> xr.DataArray:
    return xr.DataArray(values, dims="t", coords={} if labels is None else {"t": labels}, name="a")


def pairs(labels: list[tuple[int, str]]) -> xr.DataArray:
    index = pd.MultiIndex.from_tuples(labels, names=["run", "step"])
    return rows().assign_coords(xr.Coordinates.from_pandas_multiindex(index, "t"))


A, B = pairs([(n // 3, "abc"[n % 3]) for n in range(6)]), pairs([(n // 3, "acb"[n % 3]) for n in range(6)])
UNINDEXED = rows().assign_coords(xr.Coordinates({"t": ("t", da.arange(6, chunks=2))}, indexes={}))
GRID = xr.DataArray(VALUES.reshape(2, 3), dims=("run", "step"), coords={"run": [0, 1], "step": [0, 1, 2]})
FRAME = pd.DataFrame({"a": VALUES}, index=DAYS)

DIFFERENT = {
    "reversed": (rows(range(6)), rows(range(6))[::-1], "row 0, 0 and 5"),
    "disjoint": (rows(range(6)), rows(range(10, 16)), "row 0, 0 and 10"),
    "at the end": (rows(range(6)), rows([0, 1, 2, 3, 4, 6]), "row 5, 5 and 6"),
    "duplicates": (rows([0, 0, 1, 1, 2, 2]), rows([0, 0, 1, 2, 2, 2]), "row 3, 1 and 2"),
    "text": (rows(list("abcdef")), rows(list("abcdeg")), "row 5, 'f' and 'g'"),
    "days": (rows(DAYS), rows(DAYS + pd.Timedelta("1D")), "2024-01-01 .* and 2024-01-02"),
    "another kind": (rows(range(6)), rows(DAYS), "row 0, 0 and 2024"),
    "several levels": (A, B, r"row 1, \(0, 'b'\) and \(0, 'c'\)"),
    "a level less": (A, rows(range(6)), r"\(0, 'a'\) and 0"),
    "missing": (rows([0.0, 1, 2, 3, 4, np.nan]), rows([0.0, 1, 2, 3, 4, 5]), "row 5, nan and 5"),
    "without an index": (UNINDEXED, UNINDEXED.assign_coords(t=UNINDEXED.t + 1), "row 0, 0 and 1"),
    "series": (FRAME["a"], FRAME["a"].shift(1, freq="D"), "2024-01-01 .* and 2024-01-02"),
}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("x", "y", "said"), DIFFERENT.values(), ids=DIFFERENT)
def test_other_labels_are_refused(x, y, said, lazy):
    dim = "t" if isinstance(x, xr.DataArray) else 0
    if lazy and dim == 0:
        pytest.skip("frames are never lazy")
    x, y = (each.chunk(t=2) if lazy else each for each in (x, y))
    calls = [
        lambda: covdist.cov(x, y, dim=dim),
        lambda: covdist.corr(x, y, dim=dim),
        lambda: covdist.plan(x, y, dim=dim),
    ]
    calls += [lambda: covdist.var(x, dim=dim, weights=abs(y)), lambda: covdist.var(x, dim=dim, by=y > 0)]
    calls += [lambda: covdist.moments(x, dim=dim, weights={"reliability": abs(y)})]
    for call in calls:
        with pytest.raises(DataError, match=said) as caught:
            call()
        assert "xarray.align" in str(caught.value)


EQUAL = {
    "the same": (rows(range(6)), rows(range(6))),
    "whole and real": (rows(range(6)), rows(np.arange(6.0))),
    "none here": (rows(), rows(range(6))),
    "none there": (rows(DAYS), rows()),
    "duplicates": (rows([0, 0, 1, 1, 2, 2]), rows([0, 0, 1, 1, 2, 2])),
    "missing": (rows([0.0, 1, 2, 3, 4, np.nan]), rows([0.0, 1, 2, 3, 4, np.nan])),
    "seconds and nanoseconds": (rows(DAYS), rows(DAYS.as_unit("ns"))),
    "levels": (A, A.copy()),
    "without an index": (UNINDEXED, UNINDEXED.copy()),
    "frames": (FRAME, FRAME.copy()),
    "a frame and an array": (FRAME, VALUES[:, None]),
}


@pytest.mark.parametrize(("x", "y"), EQUAL.values(), ids=EQUAL)
def test_equal_labels_or_none_on_one_side_pair_rows_by_position(x, y):
    dim = "t" if isinstance(x, xr.DataArray) else 0
    expected = VALUES.var()
    assert np.ravel(covdist.cov(x, y, dim=dim))[0] == pytest.approx(expected, rel=1e-12)


def test_aligned_by_xarray_the_value_is_that_of_the_labels():
    x = rows(range(6))
    _, y = xr.align(x, x[::-1], join="left")
    assert covdist.cov(x, y, dim="t").item() == pytest.approx(xr.cov(x, x[::-1], ddof=0).item(), rel=1e-12)


def test_each_of_several_sample_dims_counts():
    dims = ("run", "step")
    assert covdist.cov(GRID, GRID.copy(), dim=dims).item() == pytest.approx(VALUES.var())
    for dim in dims:
        other = GRID.isel({dim: slice(None, None, -1)})
        with pytest.raises(DataError, match=f"along '{dim}'"):
            covdist.cov(GRID, other, dim=dims)
        with pytest.raises(DataError, match=f"along '{dim}'"):
            covdist.var(GRID, dim=dims, weights=abs(other.isel({d: 0 for d in dims if d != dim})))


def test_labels_of_columns_need_not_agree():
    x = xr.DataArray(VALUES.reshape(3, 2), dims=("t", "unit"), coords={"unit": [0, 1]})
    assert covdist.cov(x, x[:, ::-1], dim="t")["unit_2"].values.tolist() == [1, 0]


def test_two_that_stand_beside_unlabelled_rows_must_agree_too():
    by, weights = pd.Series([0, 0, 0, 1, 1, 1], DAYS), pd.Series(np.ones(6), DAYS[::-1])
    with pytest.raises(DataError, match="by and weights have different labels"):
        covdist.var(VALUES, by=by, weights=weights)
    assert covdist.var(VALUES, by=by, weights=weights[::-1]).sizes == {"group": 2}


def test_rows_of_frames_have_labels():
    with pytest.raises(DataError, match=r"along 'sample', first at row 0, 2024-01-01 .* and 2024-01-06"):
        covdist.cov(FRAME, FRAME[::-1])
