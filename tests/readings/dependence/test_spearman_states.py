"""Correlations of ranks off states that keep rows: the same however rows are cut, and as far off as they say."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import dask.array as da
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from cli.calling import output
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError, MergeError, NonFiniteError
from covdist.numerics.dependence.row_keys import KeptRows
from readings.containers import chunkings, quick, rows
from readings.counting import Counted

from .test_spearman import of_scipy

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3000, 4)) @ RNG.normal(size=(4, 4))
BY = np.arange(3000) % 3
FEW = "sampled(rows=200)"


def read(x, state="sampled", **options):
    return covdist.moments(x, state=state, **options).corr("spearman-approx").compute(scheduler="synchronous")


def assert_same(found, expected):
    """The same bits, of the estimate and of what is said about it."""
    for name in (None, "standard_error", "bound"):
        a, b = (each if name is None else each[name] for each in (found, expected))
        np.testing.assert_array_equal(a, b, err_msg=str(name))


@quick
@given(rows(), st.data())
def test_any_rows_in_any_chunks_while_all_are_kept(x, data):
    chunks = data.draw(chunkings(x.shape[0])), data.draw(chunkings(x.shape[1]))
    found = read(x)
    np.testing.assert_allclose(found, of_scipy(x), atol=1e-12)
    known = np.isfinite(found.values)
    assert (found["standard_error"].values[known] == 0).all()
    assert (found["bound"].values[known] == 0).all()
    assert_same(read(da.from_array(x, chunks=chunks)), found)


@pytest.mark.parametrize("chunks", [(70, 4), (3000, 1), (1999, 3)])
def test_any_chunks_give_the_same_bits(chunks):
    whole = read(X, FEW)
    assert 0 < abs(whole - of_scipy(X)).max() < 0.2
    assert_same(read(da.from_array(X, chunks=chunks), FEW), whole)
    assert_same(read(X.reshape(3000, 2, 2), FEW), whole)


def test_states_merge_in_any_order_to_the_same_bits():
    parts = [covdist.moments(X[slice(*ends)], state=FEW) for ends in pairwise([0, 700, 701, 2500, 3000])]
    expected = reduce(lambda a, b: a + b, parts).corr("spearman-approx")
    assert_same(((parts[3] + parts[1]) + (parts[2] + parts[0])).corr("spearman-approx"), expected)
    assert_same((parts[2] + (parts[0] + (parts[1] + parts[3]))).corr("spearman-approx"), expected)
    assert abs(expected - of_scipy(X)).max() < 0.2


def test_a_log_twice_says_what_it_says_once():
    once = covdist.moments(X, state=FEW)
    twice = once + once
    assert_same(twice.corr("spearman-approx"), once.corr("spearman-approx"))
    assert int(twice.count) == 6000


def test_logs_of_equal_numbers_are_sampled_apart():
    """Rows at the same places of two logs are kept independently of each other."""
    first, second = (covdist.moments(each, state=FEW).dataset for each in (X, X + 1))
    a, b = (set(each["sampled_value"].values[:, 0].round(6)) for each in (first, second))
    assert len(a & {round(value - 1, 6) for value in b}) < 40  # of 200 of 3,000: 13 by chance


def test_groups_positions_and_their_sum():
    grouped = covdist.moments(da.from_array(X, chunks=(500, 2)), by=BY, state=FEW)
    found = grouped.corr("spearman-approx").compute()
    assert found["bound"].dims == ("group", "unit", "unit_2")
    for group in range(3):
        own = X[group == BY]
        within = scipy.stats.spearmanr(own).statistic
        assert (abs(found[group] - within) <= found["bound"][group]).all()
        assert abs(found[group] - within).max() < 0.25
    assert_same(grouped.merge("group").corr("spearman-approx").compute(), read(X, FEW))
    each = read(X.reshape(3000, 2, 2), FEW, each=2)
    for i in range(2):
        assert_same(each[i], read(X[:, i::2], FEW))


def test_saved_and_merged_across_files(tmp_path):
    for name, part in (("a", slice(1000)), ("b", slice(1000, None))):
        covdist.moments(X[part], state=FEW).save(tmp_path / f"{name}.zarr")
    a, b = (covdist.load(tmp_path / f"{name}.zarr") for name in "ab")
    a.merge(b).save(tmp_path / "c.zarr")
    expected = (covdist.moments(X[:1000], state=FEW) + covdist.moments(X[1000:], state=FEW)).corr("spearman-approx")
    assert_same(covdist.load(tmp_path / "c.zarr").corr("spearman-approx"), expected)


def test_on_the_command_line(tmp_path):
    log = xr.Dataset({"activation": (("sample", "unit"), X)}).chunk(sample=400)
    log.to_zarr(tmp_path / "log.zarr", consolidated=False)
    output("run", tmp_path / "log.zarr", "-o", tmp_path / "r.zarr", "--var", "activation", "--state", FEW)
    output("read", tmp_path / "r.zarr", "corr", "--method", "spearman-approx", "-o", tmp_path / "c.zarr")
    found = xr.open_zarr(tmp_path / "c.zarr", consolidated=False)["corr"]
    assert_same(found, read(X, FEW))


def test_one_pass_when_it_is_computed():
    counted = Counted(X, 640, 4)
    found = covdist.moments(counted.array, state=FEW).corr("spearman-approx")
    assert not counted.made
    assert all(each.chunks is not None for each in (found, found["standard_error"], found["bound"]))
    found.compute(scheduler="synchronous")
    assert counted.made == counted.every


def test_missing_values():
    x = X[:300].copy()
    x[3, 2] = x[150, 0] = np.nan
    kept = np.isfinite(x).all(axis=1)
    np.testing.assert_allclose(read(x, missing="drop"), of_scipy(x[kept]), atol=1e-12)
    expected = of_scipy(x)
    expected[[0, 2]] = expected[:, [0, 2]] = np.nan
    for state in ("sampled", "sampled(rows=9)"):  # NaN counts though no row that has it is kept
        found = read(x, state, missing="propagate")
        assert (np.isnan(found) == np.isnan(expected)).all()
    np.testing.assert_allclose(read(x, missing="propagate"), expected, atol=1e-12)
    with pytest.raises(NonFiniteError, match="nan at row 3, column 2"):
        read(x)
    filled = covdist.fill(x, method="interpolate", dim=0)
    np.testing.assert_allclose(read(x, missing="interpolate"), of_scipy(filled.values), atol=1e-12)
    infinite = np.where(np.isnan(x), np.inf, x)
    np.testing.assert_allclose(read(infinite, missing="drop", inf="missing"), of_scipy(x[kept]), atol=1e-12)
    for missing in ("pairwise", "maxent"):
        with pytest.raises(DataError, match="sampled"):
            covdist.moments(x, state="sampled", missing=missing)


def test_weights_repeat_rows():
    often = RNG.integers(0, 4, 300)
    found = read(X[:300], weights=often)
    np.testing.assert_allclose(found, of_scipy(np.repeat(X[:300], often, axis=0)), atol=1e-12)
    tiny = covdist.moments(X[:300], weights=often * 1e-170, state="sampled")
    np.testing.assert_allclose((tiny + tiny).corr("spearman-approx"), found, atol=1e-12)
    np.testing.assert_allclose(tiny.scaled(1e-150).corr("spearman-approx"), found, atol=1e-12)


@pytest.mark.parametrize("dtype", [bool, np.int64, np.uint8, np.float16, np.float32, ">f8"])
def test_dtypes(dtype):
    x = (X[:400] > 0.5 if dtype is bool else (np.abs(X[:400]) * 9)).astype(dtype)
    np.testing.assert_allclose(read(x), of_scipy(x), atol=1e-12)


@pytest.mark.parametrize("scale", [1e-160, 1e-310, 1e300])
def test_magnitudes_change_nothing(scale):
    bent = np.exp(X) / np.exp(X).max() * scale
    np.testing.assert_allclose(read(bent[:500]), of_scipy(bent[:500]), atol=1e-12)
    small = np.array([[1e-7, 2e-7], [3e-7, 1e-7], [6e-8, 3e-7]], np.float16)
    np.testing.assert_allclose(read(small), of_scipy(small), atol=1e-12)


def test_few_rows_and_columns():
    assert np.isnan(read(X[:1])).all()
    assert float(read(X[:, 0])) == 1
    assert np.isnan(read(np.full((5, 2), np.nan), missing="drop")).all()
    constant = read(np.column_stack([X[:, 0], np.full(3000, 7.0)]), FEW)
    assert np.isnan(constant[1]).all()
    assert constant[0, 0] == 1


def test_many_equal_rows_weigh_what_they_are():
    """Nine rows of ten are one and the same: a sample of different rows would see it once."""
    x = np.where(RNG.random((20000, 1)) < 0.9, 0.0, RNG.normal(size=(20000, 2)))
    x[:, 1] += x[:, 0]
    exact, found = of_scipy(x)[0, 1], read(x, "sampled(rows=1000)")
    kept = covdist.moments(x, state="sampled(rows=1000)").dataset["sampled_value"].values
    assert (kept == 0).all(axis=1).mean() == pytest.approx(0.9, abs=0.04)
    assert abs(found[0, 1] - exact) < 4 * found["standard_error"][0, 1]
    assert np.isnan(read(np.ones((20000, 2)), FEW)).all()


def _cases():
    rng = np.random.default_rng(5)
    normal = rng.normal(size=(3000, 4))
    yield normal[:, :2]
    yield normal[:, :2] @ [[1, 0.9], [0, 0.44]]
    yield np.column_stack([normal[:, 0], normal[:, 0] ** 2 + normal[:, 1] / 10])
    yield normal[:, :2] / abs(normal[:, 2:3])  # heavy tails that come together
    yield np.maximum(normal[:, :2] @ [[1, 0.8], [0, 0.6]] - 1, 0)
    yield np.column_stack([normal[:, 0], np.where(normal[:, 1] > 0, 1, -1) * normal[:, 0]])


@pytest.mark.parametrize("x", list(_cases()), ids=["independent", "line", "square", "tails", "zeros", "cross"])
def test_errors_are_as_large_as_said(x):
    exact, off, error, bound = of_scipy(x)[0, 1], [], [], []
    for seed in range(40):
        found = read(x, f"sampled(rows=300, seed={seed})")
        off.append(abs(found[0, 1].item() - exact))
        error.append(found["standard_error"][0, 1].item())
        bound.append(found["bound"][0, 1].item())
    assert np.mean(np.array(off) <= bound) >= 0.95
    assert np.mean(np.array(off) <= 2.13 * np.array(error)) >= 0.85  # Student's t of 15 degrees of freedom
    assert np.sqrt(np.mean(np.square(error))) == pytest.approx(np.sqrt(np.mean(np.square(off))), rel=0.35)


def test_equal_keys_keep_different_rows_apart():
    kept = KeptRows(np.array([5, 3, 5, 5]), np.array([[1.0], [2.0], [4.0], [1.0]]), np.ones(4))
    found = kept.smallest(3, seed=0)
    assert found.keys.tolist() == [3, 5, 5]
    assert dict(zip(found.values[:, 0], found.weights, strict=True)) == {2.0: 1, 4.0: 1, 1.0: 2}


def test_what_is_refused():
    with pytest.raises(MergeError, match=r"different parameters, Sampled\(rows=200, seed=0\) and"):
        covdist.moments(X, state=FEW) + covdist.moments(X, state="sampled(rows=200, seed=1)")
    for called, words in (
        ("sampled(rows=1)", "rows=1 is no"),
        ("sampled(seed=-1)", "seed=-1"),
        ("sampled(rows=2.5)", "2.5"),
    ):
        with pytest.raises(DataError, match=words):
            covdist.moments(X, state=called)
    m = covdist.moments(X, state=FEW)
    with pytest.raises(DataError, match="found a sampled state"):
        m.corr()
    with pytest.raises(DataError, match="method='spearman'"):
        m.corr("spearman")
    with pytest.raises(DataError, match="min_periods is for"):
        m.corr("spearman-approx", min_periods=3)
