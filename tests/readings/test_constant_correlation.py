"""Shrinking to a constant correlation: the formulas of Ledoit and Wolf (2004), written out as sums over the rows."""

from __future__ import annotations

from fractions import Fraction

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError

from .containers import chunkings, quick

RNG = np.random.default_rng(0)
X = RNG.gamma(2.0, size=(50, 5)) @ RNG.normal(size=(5, 5)) + RNG.normal(size=5) * 50
METHOD = "constant-correlation"


def expected(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the shrunk matrix and the intensity of appendix B: π, ρ and γ."""
    away = x - x.mean(axis=0)
    s = away.T @ away / len(x)
    roots = np.sqrt(np.diagonal(s))
    others = ~np.eye(len(s), dtype=bool)
    mean = (s / np.outer(roots, roots))[others].mean()
    target = np.where(others, mean * np.outer(roots, roots), s)
    off = np.einsum("ti,tj->tij", away, away) - s  # (rows, columns, columns)
    pi = (off**2).mean(axis=0)
    own = np.einsum("tii->ti", off)
    theta = np.einsum("ti,tij->ij", own, off) / len(x)
    ratio = roots / roots[:, None]
    rho = np.trace(pi) + mean / 2 * (ratio * theta + ratio.T * theta.T)[others].sum()
    gamma = ((target - s) ** 2).sum()
    share = max(0.0, min(1.0, (pi.sum() - rho) / gamma / len(x)))
    return (1 - share) * s + share * target, share


def moments(x, **options) -> covdist.Moments:
    return covdist.moments(x, state="comoments", **options)


@pytest.mark.parametrize(("rows", "columns"), [(50, 8), (20, 30), (300, 4), (4, 3)])
@pytest.mark.parametrize("unit", [1.0, 1e-200, 1e-30, 1e150])
def test_formula_at_any_scale(unit, rows, columns):
    x = RNG.normal(size=(rows, columns)) @ RNG.normal(size=(columns, columns)) + 30
    matrix, share = expected(x)
    pieces = [moments(part * unit) for part in np.split(x, [1, rows // 2])]
    for m in (moments(x * unit), pieces[2] + (pieces[0] + pieces[1])):
        found = m.shrink(METHOD)
        assert found.attrs["shrinkage"] == pytest.approx(share, rel=1e-9, abs=1e-12)
        if unit == 1.0:
            np.testing.assert_allclose(found, matrix, rtol=1e-10)
            np.testing.assert_array_equal(found, found.T)


@quick
@given(data=st.data())
def test_any_chunks_and_groups(data):
    x = da.from_array(X, chunks=tuple(data.draw(chunkings(n)) for n in X.shape))
    by = np.arange(50) % 2
    found = moments(x, by=by).compute()
    shares = found.shrink(METHOD).attrs["shrinkage"]
    np.testing.assert_allclose(shares, [expected(X[by == group])[1] for group in range(2)], rtol=1e-9)
    np.testing.assert_allclose(found.merge("group").shrink(METHOD), expected(X)[0], rtol=1e-10)


@pytest.mark.parametrize("drift", [0.0, 30.0, 1e5])
def test_exact_sums_though_the_mean_drifts(drift):
    x = RNG.normal(size=(600, 2)) + np.linspace(0, drift, 600)[:, None] * [1.0, -2.0]
    sums = moments(x).state.norms
    rows = [[Fraction(value) for value in row] for row in x.tolist()]
    mean = [sum(column) / 600 for column in zip(*rows, strict=True)]
    away = [[value - centre for value, centre in zip(row, mean, strict=True)] for row in rows]
    for power, found in ((2, sums.thirds), (3, sums.fourths)):
        truth = [[float(sum(row[i] ** power * row[j] for row in away)) for j in range(2)] for i in range(2)]
        size = np.abs(x - x.mean(axis=0)).max() ** (power + 1) * 600
        np.testing.assert_allclose(np.ldexp(found, (power + 1) * sums.unit), truth, atol=1e-12 * size)


def test_frequencies_count_rows():
    times = RNG.integers(1, 4, 50)
    found = moments(X, weights=times)
    np.testing.assert_allclose(found.shrink(METHOD), expected(np.repeat(X, times, axis=0))[0], rtol=1e-10)
    np.testing.assert_allclose(found.scaled(3.0).shrink(METHOD), found.shrink(METHOD), rtol=1e-12)


def test_answers_as_a_full_state_and_one_with_norms_do():
    m, norms = moments(X), covdist.moments(X, state="norms")
    np.testing.assert_allclose(m.cov(), norms.cov(), rtol=1e-12)
    np.testing.assert_allclose(m.shrink("ledoit-wolf"), norms.shrink("ledoit-wolf"), rtol=1e-12)
    np.testing.assert_allclose(m.shrink(METHOD, ddof=1), m.shrink(METHOD) * 50 / 49, rtol=1e-12)
    np.testing.assert_allclose(m.precision(shrink=METHOD), np.linalg.inv(expected(X)[0]), rtol=1e-8)
    together = covdist.moments(X, state=("comoments", "higher"))
    np.testing.assert_allclose(together.shrink(METHOD), m.shrink(METHOD), rtol=1e-12)


def test_saved_and_loaded(tmp_path):
    m = moments(X)
    m.save(tmp_path / "c.zarr")
    loaded = covdist.load(tmp_path / "c.zarr")
    assert loaded.dataset.identical(m.dataset)
    assert loaded.shrink(METHOD).identical(m.shrink(METHOD))


def test_constant_columns_missing_values_and_other_states():
    assert moments(np.ones((4, 3))).shrink(METHOD).attrs["shrinkage"] == 1
    assert moments(X[:, 0]).shrink(METHOD).attrs["shrinkage"] == 1  # a single column is its own target
    two = moments(X[:, :2]).shrink(METHOD)  # which have one correlation
    assert two.attrs["shrinkage"] == 1
    np.testing.assert_allclose(two, np.cov(X[:, :2].T, ddof=0), rtol=1e-12)
    beside = moments(np.column_stack([X, np.full(50, 3.0)])).shrink(METHOD)
    np.testing.assert_allclose(beside[:5, :5], expected(X)[0], rtol=1e-10)
    assert not beside[5].any()
    with pytest.raises(DataError, match=r"kind comoments, found a norms state.*state='comoments'"):
        covdist.moments(X, state="norms").shrink(METHOD)
    with pytest.raises(DataError, match="NaN or infinity"):
        moments(np.where(X[0, 0] == X, np.nan, X), missing="propagate").shrink(METHOD)
