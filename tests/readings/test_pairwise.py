"""``missing="pairwise"`` is what pandas makes of the same holes."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError, MergeError, NonFiniteError

from .containers import chunkings, quick


@st.composite
def holed(draw: st.DrawFn, n: int | None = None, columns: int | None = None) -> np.ndarray:
    """Draw rows with any pattern of holes, whole rows and columns among them, and means far from the spread."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (n or draw(st.integers(2, 40)), columns or draw(st.integers(1, 5)))
    x = rng.normal(size=shape) @ rng.normal(size=(shape[1], shape[1])) + draw(st.sampled_from([0.0, 5.0, 1e5]))
    x[rng.random(shape) < draw(st.sampled_from([0.0, 0.1, 0.5, 0.9]))] = np.nan
    if draw(st.booleans()):
        x[:, rng.integers(shape[1])] = np.nan
    if draw(st.booleans()):
        x[rng.integers(shape[0])] = np.nan
    return x


def cov_of(x: np.ndarray, ddof: int = 1, min_periods: int = 1) -> np.ndarray:
    """Return pandas' covariance; where there are holes it knows no other ddof than 1."""
    held = np.isfinite(x).astype(float)
    count = held.T @ held
    with np.errstate(invalid="ignore", divide="ignore"):
        rescaled = pd.DataFrame(x).cov(min_periods=min_periods).to_numpy() * (count - 1) / (count - ddof)
    alone = (count == 1) & (ddof == 0) & (min_periods <= 1)
    return np.where(alone, 0.0, np.where(count > ddof, rescaled, np.nan))


def close(found, expected, scale: float = 1.0) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-10, atol=1e-10 * scale)


@quick
@given(st.data(), holed(), st.integers(1, 5), st.sampled_from([0, 1]))
def test_equals_pandas_for_any_holes_and_chunks(data, x, min_periods, ddof):
    n, columns = x.shape
    lazy = da.from_array(x, chunks=(data.draw(chunkings(n)), data.draw(chunkings(columns))))
    frame = pd.DataFrame(x)
    m = covdist.moments(lazy, missing="pairwise").compute()
    close(m.cov(ddof, min_periods=min_periods), cov_of(x, ddof, min_periods))
    close(covdist.cov(x, missing="pairwise", ddof=ddof, min_periods=min_periods), m.cov(ddof, min_periods=min_periods))
    held = np.isfinite(x).astype(int)
    np.testing.assert_array_equal(m.count, held.T @ held)
    np.testing.assert_array_equal(m.dataset["count"], held.T @ held)
    assert int(m.rows) == n
    close(m.mean(), frame.mean())
    close(m.var(1), frame.var())
    close(covdist.var(x, missing="pairwise", ddof=1), frame.var())


def test_correlation_equals_pandas():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6)) + 3
    x[rng.random(x.shape) < 0.3] = np.nan
    found = covdist.corr(da.from_array(x, chunks=(41, 4)), missing="pairwise", min_periods=140).compute()
    expected = pd.DataFrame(x).corr(min_periods=140)
    assert 0 < np.isnan(expected.to_numpy()).sum() < 36
    close(found, expected)
    close(covdist.moments(x, missing="pairwise").corr(min_periods=140), expected)


@quick
@given(holed(n=30, columns=5), st.sampled_from([None, "frequency", "reliability"]), st.booleans())
def test_two_arrays_weights_and_groups(values, how, grouped):
    rng = np.random.default_rng(0)
    x, y, by = values[:, :3], values[:, 3:], np.arange(30) % 2
    weights = {None: None, "frequency": rng.integers(0, 4, 30), "reliability": rng.random(30)}[how]
    lazy = da.from_array(x, chunks=(7, 2))
    m = covdist.moments(lazy, y, missing="pairwise", weights=weights, by=by if grouped else None).compute()
    for group in range(2) if grouped else [None]:
        rows = by == group if grouped else np.full(30, True)
        one = m.sel(group=group) if grouped else m
        w = np.ones(30) if weights is None else weights
        for i, j in np.ndindex(3, 2):
            both = rows & np.isfinite(x[:, i]) & np.isfinite(y[:, j]) & (w > 0)
            assert int(one.count[i, j]) == both.sum()
            expected = np.full(2, np.nan)
            if both.any():
                matrix = np.cov(x[both, i], y[both, j], ddof=0, aweights=w[both])
                with np.errstate(invalid="ignore", divide="ignore"):
                    expected = matrix[0, 1], matrix[0, 1] / np.sqrt(matrix[0, 0]) / np.sqrt(matrix[1, 1])
            close(one.cov()[i, j], expected[0])
            if both.sum() > 2:
                close(one.corr()[i, j], expected[1])


@quick
@given(holed(n=30, columns=4), st.integers(0, 30))
def test_parts_add_up_and_come_back_from_disk(tmp_path_factory, x, cut):
    whole = covdist.moments(x, missing="pairwise")
    parts = [piece for piece in (x[:cut], x[cut:]) if len(piece)]
    first, *rest = [covdist.moments(piece, missing="pairwise") for piece in parts]
    joined = first + rest[0] if rest else first
    close(joined.cov(), whole.cov())
    path = tmp_path_factory.mktemp("result") / "m.zarr"
    joined.save(path)
    again = covdist.load(path)
    xr.testing.assert_identical(again.dataset, joined.dataset)
    xr.testing.assert_identical(again.cov(), joined.cov())


def test_groups_merge_and_come_back_from_disk(tmp_path):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 3))
    x[rng.random(x.shape) < 0.4] = np.nan
    m = covdist.moments(x, x[:, :2], by=np.arange(60) % 3, missing="pairwise")
    m.save(tmp_path / "m")
    xr.testing.assert_identical(covdist.load(tmp_path / "m").cov(), m.cov())
    close(m.merge("group").cov(), cov_of(x, 0)[:, :2])
    close(m.merge("group").y.var(), pd.DataFrame(x).var(ddof=0)[:2])


def contradiction() -> np.ndarray:
    """Three columns of which every two agree in the rows they share, but not with the third."""
    a = np.array([1.0, -1.0] * 4)
    hole = np.full(8, np.nan)
    return np.concatenate([np.stack([a, a, hole], 1), np.stack([a, hole, a], 1), np.stack([hole, a, -a], 1)])


def test_smallest_eigenvalue_and_the_nearest_that_has_none_below_zero():
    x = contradiction()
    m = covdist.moments(x, missing="pairwise")
    values, vectors = np.linalg.eigh(m.cov().to_numpy())
    assert values[0] == pytest.approx(-1)
    assert float(m.smallest_eigenvalue()) == pytest.approx(-1)
    assert covdist.cov(x, missing="pairwise").attrs["smallest_eigenvalue"] == pytest.approx(-1)
    nearest = covdist.cov(x, missing="pairwise", nearest_psd=True)
    np.testing.assert_allclose(nearest, (vectors * np.maximum(values, 0)) @ vectors.T, atol=1e-12)
    np.testing.assert_array_equal(nearest, nearest.T)
    assert nearest.attrs["smallest_eigenvalue"] > -1e-14


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e150])
def test_tiny_and_huge_values(scale):
    x = contradiction()
    small, plain = (covdist.moments(values, missing="pairwise") for values in (x * scale, x))
    close(small.corr(), plain.corr())
    close(small.std() / scale, plain.std())


def test_a_mean_far_from_the_spread():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(5_000, 3)) @ rng.normal(size=(3, 3))
    x[rng.random(x.shape) < 0.2] = np.nan
    x[:3_000, 1] = np.nan
    shifted = x + 2.0**27
    found = covdist.cov(da.from_array(shifted, chunks=(700, 3)), missing="pairwise")
    expected = cov_of(shifted - 2.0**27, 0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.diag(expected).max())


def test_infinity_is_missing_when_asked():
    x = np.random.default_rng(4).normal(size=(50, 3))
    x[[3, 40], [1, 2]], x[7, 0] = np.nan, np.inf
    expected = cov_of(np.where(np.isfinite(x), x, np.nan), 0)
    m = covdist.moments(x, missing="pairwise", inf="missing")
    close(m.cov(), expected)
    assert m.dataset["nans"].values.tolist() == [0, 1, 1]
    assert m.dataset["infs"].values.tolist() == [1, 0, 0]
    for policy in ("pairwise", "drop"):
        with pytest.raises(NonFiniteError, match=r"inf at row 7, column 0 .* inf='missing'"):
            covdist.cov(x, missing=policy)


def test_what_it_cannot_do_says_so():
    x, weights = contradiction(), np.linspace(0.5, 1, 24)
    with pytest.raises(DataError, match="reliability weights"):
        covdist.cov(x, missing="pairwise", weights=weights, ddof=1)
    with pytest.raises(DataError, match="full"):
        covdist.moments(x, missing="pairwise").spectrum(1)
    with pytest.raises(DataError, match="min_periods"):
        covdist.cov(np.eye(3), min_periods=2)
    with pytest.raises(DataError, match="nearest_psd"):
        covdist.cov(x, x, missing="pairwise", nearest_psd=True)
    with pytest.raises(DataError, match="tiles"):
        covdist.cov(x, missing="pairwise", matrix="tiles")
    with pytest.raises(MergeError, match="pairwise"):
        covdist.moments(x, missing="pairwise") + covdist.moments(np.eye(3))


@st.composite
def constant_in_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw columns of which the second is constant where the first holds values, and varies elsewhere, and weights."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(3, 60))
    x = rng.normal(size=(n, 3)) * 10.0 ** rng.integers(-4, 5, 3) + draw(st.sampled_from([0, 0.1, 1e4]))
    alone = rng.random(n) < draw(st.sampled_from([0.1, 0.5, 0.95]))
    x[alone, 0] = np.nan
    x[~alone, 1] = x[0, 1]
    if draw(st.booleans()):
        x = x[np.argsort(alone, kind="stable")]  # so that whole blocks hold nothing but the constant
    weights = draw(st.sampled_from([None, rng.random(n), rng.integers(0, 3, n) + (np.arange(n) < 2)]))
    return x.astype(draw(st.sampled_from(["f4", "f8"]))), weights


@quick
@given(st.data(), constant_in_pairs())
def test_a_column_that_is_constant_over_a_pair_has_no_correlation(data, given_rows):
    x, weights = given_rows
    lazy = da.from_array(x, chunks=(data.draw(chunkings(len(x))), 3))
    m = covdist.moments(lazy, weights=weights, missing="pairwise").compute()
    assert np.isnan(m.corr()[0, 1])
    assert np.isnan(m.corr()[1, 0])
    counted = np.isfinite(x[:, 0]) & (True if weights is None else weights > 0)
    np.testing.assert_array_equal(m.cov()[0, 1], 0 if counted.any() else np.nan)
    cross = covdist.corr(lazy[:, 1:2], lazy[:, :1], weights=weights, missing="pairwise").compute()
    assert np.isnan(cross).all()


@pytest.mark.parametrize("spread", [1e-3, 1e-6, 1e-7])
def test_values_of_a_pair_that_lie_close_together_far_from_the_others_keep_their_digits(spread):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(4000, 2))
    x[1000:, 0] = np.nan
    x[:1000, 1] = 3 + spread * (rng.normal(size=1000) + x[:1000, 0])
    expected = np.corrcoef(x[:1000], rowvar=False)[0, 1]
    found = covdist.corr(x, missing="pairwise")
    np.testing.assert_allclose(found[0, 1], expected, rtol=1e-12 + 1e-15 / spread)
