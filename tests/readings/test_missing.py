"""NaN and infinity under each policy, wherever they stand."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import NonFiniteError
from covdist.limits import changed

from .containers import KINDS, named, quick, wrapped

each_hole = pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])


def with_holes(*places: tuple[int, int], hole: float = np.nan, n: int = 40) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(n, 4))
    for place in places:
        values[place] = hole
    return values


def dim_of(x: Any) -> Any:
    return "step" if named(x) else 0


@quick
@given(st.data(), st.integers(0, 39), st.integers(0, 3), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_raise_names_the_first_bad_value(data, row, column, hole):
    x = data.draw(wrapped(with_holes((row, column), (39, 3), hole=hole), ("step", "unit")))
    if named(x):
        x.name = "fc1/gradient"
    with pytest.raises(NonFiniteError, match=f"row {row}, column {column} ") as caught:
        covdist.cov(x, dim=dim_of(x)).compute()
    assert (caught.value.row, caught.value.column) == (row, column)
    assert str(caught.value).startswith("fc1/gradient" if named(x) else "x")
    assert "missing='drop'" in str(caught.value)


@pytest.mark.parametrize("by", [None, np.arange(510) % 3])
@changed(least_shard_seconds=0.05)
def test_raise_counts_rows_over_all_shards(by):
    x = da.zeros((510, 2), chunks=(1, 2))
    x = da.concatenate([x[:500], da.full((1, 2), np.nan, chunks=(1, 2)), x[501:]])
    assert covdist.plan(x).shards == 4
    with pytest.raises(NonFiniteError, match="row 500, column 0 "):
        covdist.var(x, by=by).compute()


@pytest.mark.parametrize(("bad_x", "bad_y", "who", "row"), [(30, 12, "out", 12), (12, 30, "activation", 12)])
def test_raise_names_the_side(bad_x, bad_y, who, row):
    x = xr.DataArray(with_holes((bad_x, 1)), dims=("step", "unit"), name="activation").chunk(step=50)
    y = xr.DataArray(with_holes((bad_y, 1)), dims=("step", "out"), name="out").chunk(step=7)
    with pytest.raises(NonFiniteError, match=f"^{who} holds nan at row {row}, column 1 "):
        covdist.cov(x, y, dim="step").compute()


@quick
@given(st.data(), st.lists(st.tuples(st.integers(0, 39), st.integers(0, 3)), max_size=10))
def test_drop_leaves_out_whole_rows(data, places):
    values = with_holes(*places)
    x = data.draw(wrapped(values, ("step", "unit")))
    kept = values[np.isfinite(values).all(axis=1)]
    m = covdist.moments(x, dim=dim_of(x), missing="drop").compute()
    assert int(m.count) == len(kept)
    assert int(m.dataset["skipped"]) == 40 - len(kept)
    assert int(m.dataset["nans"].sum()) == len(set(places))
    np.testing.assert_allclose(m.cov(), np.cov(kept.T, ddof=0), rtol=1e-11, atol=1e-13)


@each_hole
def test_drop_with_y_weights_and_groups(hole):
    x, y = with_holes((3, 0), hole=hole), with_holes((20, 1), hole=hole)
    weights, by = np.linspace(1, 2, 40), np.arange(40) % 2
    kept = np.delete(np.arange(40), [3, 20])
    found = covdist.cov(da.from_array(x, chunks=(7, 3)), y, missing="drop", inf="missing", weights=weights, by=by)
    for group in range(2):
        rows = kept[by[kept] == group]
        expected = np.cov(x[rows].T, y[rows].T, aweights=weights[rows], ddof=0)[:4, 4:]
        np.testing.assert_allclose(found.sel(group=group), expected, rtol=1e-11, atol=1e-13)


@each_hole
@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("row", [0, 17, 39])
def test_propagate_reaches_the_column_and_no_other(hole, kind, row):
    values = with_holes((row, 2), hole=hole)
    x = values if kind == "numpy" else da.from_array(values, chunks=(7, 3))
    m = covdist.moments(x, missing="propagate").compute()
    clean = [0, 1, 3]
    for matrix, expected in [
        (m.cov(), np.cov(values[:, clean].T, ddof=0)),
        (m.corr(), np.corrcoef(values[:, clean].T)),
    ]:
        assert np.isnan(matrix[2]).all()
        assert np.isnan(matrix[:, 2]).all()
        np.testing.assert_allclose(matrix[clean][:, clean], expected, rtol=1e-11, atol=1e-13)
    assert not np.isfinite(m.mean()[2])
    assert np.isnan(m.var()[2])
    assert np.isnan(m.std()[2])


MASKED = {
    "numpy": lambda x: x,
    "dask": lambda x: da.from_array(x, chunks=(7, 3), asarray=False),
    "lazy DataArray": lambda x: xr.DataArray(da.from_array(x, chunks=(7, 3), asarray=False), dims=("step", "unit")),
    "partly masked": lambda x: da.concatenate(
        [da.from_array(x.data[:17], chunks=(7, 4)), da.from_array(x[17:], chunks=(3, 4), asarray=False)]
    ),
}


@pytest.mark.parametrize("wrap", MASKED.values(), ids=MASKED)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
def test_masked_entries_are_missing(wrap, dtype):
    values = (with_holes() * 100).astype(dtype)
    mask = np.zeros(values.shape, bool)
    mask[20, 1], mask[31, 3] = True, True
    x = wrap(np.ma.masked_array(values, mask))
    with pytest.raises(NonFiniteError, match="row 20, column 1 "):
        covdist.cov(x, dim=dim_of(x)).compute()
    found = covdist.cov(x, dim=dim_of(x), missing="drop")
    expected = np.cov(values[~mask.any(axis=1)].T.astype(float), ddof=0)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-8)


def test_a_masked_weight_is_refused():
    weights = np.ma.masked_array(np.ones(40), np.arange(40) == 3)
    with pytest.raises(covdist.CovdistError, match="finite"):
        covdist.cov(with_holes(), weights=weights)


def test_rows_that_are_all_dropped_leave_nothing_to_divide_by():
    with pytest.raises(covdist.CovdistError, match=r"0 rows .* 40 left out"):
        covdist.cov(np.full((40, 2), np.nan), missing="drop")


def test_a_group_whose_rows_are_all_dropped_is_nan():
    x = with_holes(*((row, 0) for row in range(0, 40, 2)))
    found = covdist.cov(x, by=np.arange(40) % 2, missing="drop")
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], np.cov(x[1::2].T, ddof=0), rtol=1e-12)


def test_chunks_of_other_dtypes_lose_nothing():
    """As where a mask turns whole numbers into floats with NaN, in some chunks alone."""
    values = np.random.default_rng(0).integers(-9, 9, (6, 40)).astype(float)
    values[-1, 2] = 1e10 + 0.5

    def chunk(block, block_info):
        return block.astype("i4") if block_info[0]["chunk-location"][0] == 0 else block

    x = da.from_array(values, chunks=(3, 40)).map_blocks(chunk, dtype="i4")
    xr.testing.assert_allclose(covdist.cov(x, dim=0), covdist.cov(values, dim=0), rtol=1e-12)


@pytest.mark.parametrize("missing", ["raise", "drop", "propagate", "pairwise", "maxent"])
@pytest.mark.parametrize("by", [None, np.arange(40) % 3])
@each_hole
def test_rows_of_weight_zero_do_not_count_whatever_they_hold(missing, by, hole):
    if missing == "maxent" and by is not None:
        pytest.skip("maxent takes no groups")
    x, y = with_holes((3, 1), (7, 0), hole=hole), with_holes((8, 2), n=40)
    weights = np.where(np.isin(np.arange(40), [3, 7, 8]), 0.0, np.linspace(1, 2, 40))
    kept = weights > 0
    some = None if by is None else by[kept]
    for ddof in (0, 1):
        found = covdist.var(x, by=by, weights=weights, missing=missing, ddof=0 if missing == "pairwise" else ddof)
        right = covdist.var(x[kept], by=some, weights=weights[kept], ddof=0 if missing == "pairwise" else ddof)
        np.testing.assert_allclose(found, right, rtol=1e-13)
    if by is None:
        found = covdist.cov(x, y, weights=da.from_array(weights, chunks=9), missing=missing)
        np.testing.assert_allclose(found, covdist.cov(x[kept], y[kept], weights=weights[kept]), rtol=1e-12)


def test_a_bad_row_that_weighs_something_is_named_by_its_number():
    x = with_holes((3, 1), (30, 2))
    with pytest.raises(NonFiniteError, match="row 30, column 2 "):
        covdist.var(x, weights=np.arange(40) != 3)


@pytest.mark.parametrize("options", [{}, {"by": np.arange(90) % 4}, {"halflife": 20}, {"weights": np.arange(90) % 3}])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_infinity_that_is_missing_propagates_as_nan(dtype, options):
    x = np.random.default_rng(5).normal(size=(90, 4)).astype(dtype)
    x[7, 0], x[40, 1], x[9, 2] = np.inf, -np.inf, np.nan
    as_nan = np.where(np.isinf(x), np.array(np.nan, dtype), x)
    for each in (x, da.from_array(x, chunks=(37, 4))):
        found = covdist.moments(each, missing="propagate", inf="missing", **options)
        expected = covdist.moments(as_nan, missing="propagate", **options)
        np.testing.assert_array_equal(found.mean(), expected.mean())
        np.testing.assert_array_equal(found.cov(), expected.cov())
        np.testing.assert_array_equal(found.dataset["infs"].sum(), 2)
