"""Ledoit and Wolf's intensity off a state that keeps the rows' norms: their formula, and scikit-learn's figures."""

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
X = RNG.gamma(2.0, size=(50, 8)) @ RNG.normal(size=(8, 8)) + RNG.normal(size=8) * 50


def expected(x: np.ndarray) -> float:
    """Return the ratio of b² and d² of Ledoit and Wolf (2004), lemmas 3.2 to 3.4, by the sum over rows."""
    n, p = x.shape
    away, s = x - x.mean(axis=0), np.cov(x.T, ddof=0)
    d2 = ((s - np.trace(s) / p * np.eye(p)) ** 2).sum()
    b2 = sum(((np.outer(row, row) - s) ** 2).sum() for row in away) / n**2
    return min(b2, d2) / d2


def intensity(m: covdist.Moments) -> float:
    return m.shrink("ledoit-wolf").attrs["shrinkage"]


@pytest.mark.parametrize(("rows", "columns"), [(50, 8), (20, 30), (500, 20), (4, 3)])
@pytest.mark.parametrize("unit", [1.0, 1e-200, 1e-30, 1e150])
def test_formula_at_any_scale(unit, rows, columns):
    x = RNG.normal(size=(rows, columns)) @ RNG.normal(size=(columns, columns)) + 30
    m = covdist.moments(x * unit, state="norms")
    assert intensity(m) == pytest.approx(expected(x), rel=1e-10)
    pieces = [covdist.moments(part * unit, state="norms") for part in np.split(x, [1, rows // 2])]
    assert intensity(pieces[2] + (pieces[0] + pieces[1])) == pytest.approx(expected(x), rel=1e-10)


def test_scikit_learn():
    """Figures of scikit-learn 1.9.1's ``LedoitWolf``."""
    x = ((np.arange(45) ** 2 * 7) % 23).reshape(15, 3) * np.array([1.0, 3.0, 1.0])
    x[:, 2] += x[:, 0]
    found = covdist.moments(x, state="norms").shrink("ledoit-wolf")
    figures = [
        [64.26751746710505, 44.29800726132373, 43.23928629005752],
        [44.29800726132373, 259.71021332171074, 69.1288703059546],
        [43.23928629005752, 69.1288703059546, 114.01338032229528],
    ]
    np.testing.assert_allclose(found, figures, rtol=1e-12)
    assert found.attrs["shrinkage"] == pytest.approx(0.21121781942087367, rel=1e-12)
    precision = covdist.moments(x, state="norms").precision(shrink="ledoit-wolf")
    np.testing.assert_allclose(precision[0], [0.02156656639296527, -0.0017904215124564938, -0.007093493059719508])


@quick
@given(data=st.data())
def test_any_chunks_and_groups(data):
    x = da.from_array(X, chunks=tuple(data.draw(chunkings(n)) for n in X.shape))
    by = np.arange(50) % 2
    found = covdist.moments(x, by=by, state="norms").compute()
    shares = found.shrink("ledoit-wolf").attrs["shrinkage"]
    np.testing.assert_allclose(shares, [expected(X[by == group]) for group in range(2)], rtol=1e-10)
    assert intensity(found.merge("group")) == pytest.approx(expected(X), rel=1e-10)


@pytest.mark.parametrize("drift", [0.0, 30.0, 1e5])
def test_exact_sums_though_the_mean_drifts(drift):
    x = RNG.normal(size=(600, 2)) + np.linspace(0, drift, 600)[:, None] * [1.0, -2.0]
    state = covdist.moments(x, state="norms").state
    rows = [[Fraction(value) for value in row] for row in x.tolist()]
    mean = [sum(column) / 600 for column in zip(*rows, strict=True)]
    away = [[value - centre for value, centre in zip(row, mean, strict=True)] for row in rows]
    norms = [sum(value * value for value in row) for row in away]
    fourth = float(sum(norm * norm for norm in norms))
    cubes = [float(sum(norm * row[i] for norm, row in zip(norms, away, strict=True))) for i in range(2)]
    unit = state.norms.unit
    assert np.ldexp(state.norms.fourth, 4 * unit) == pytest.approx(fourth, rel=1e-12)
    np.testing.assert_allclose(np.ldexp(state.norms.cubes, 3 * unit), cubes, atol=1e-11 * fourth**0.75)


def test_frequencies_count_rows():
    times = RNG.integers(1, 4, 50)
    weighted = covdist.moments(X, weights=times, state="norms")
    assert intensity(weighted) == pytest.approx(expected(np.repeat(X, times, axis=0)), rel=1e-10)
    assert intensity(weighted.scaled(3.0)) == pytest.approx(intensity(weighted), rel=1e-12)


def test_answers_as_a_full_state_does():
    full, m = covdist.moments(X), covdist.moments(X, state="norms")
    np.testing.assert_allclose(m.cov(), full.cov(), rtol=1e-12)
    np.testing.assert_allclose(m.corr(), full.corr(), rtol=1e-12)
    np.testing.assert_allclose(m.shrink("oas"), full.shrink("oas"), rtol=1e-12)
    np.testing.assert_allclose(m.spectrum(2)["eigenvalue"], full.spectrum(2)["eigenvalue"], rtol=1e-12)
    white = covdist.whiten(X, m, shrink="ledoit-wolf")
    assert np.linalg.norm(np.cov(white.values.T)) < np.sqrt(8)


@pytest.mark.parametrize("states", [("full", "norms"), ("norms", "higher")])
def test_beside_other_states(states):
    m, full = covdist.moments(X, state=states), covdist.moments(X)
    assert intensity(m) == pytest.approx(expected(X), rel=1e-10)
    np.testing.assert_allclose(m.cov(), full.cov(), rtol=1e-12)
    np.testing.assert_allclose(m.rankme(), full.rankme(), rtol=1e-12)
    np.testing.assert_allclose(
        covdist.mahalanobis(X, m, shrink="ledoit-wolf"),
        covdist.mahalanobis(X, covdist.moments(X, state="norms"), shrink="ledoit-wolf"),
        rtol=1e-12,
    )


def test_saved_and_loaded(tmp_path):
    m = covdist.moments(X, state="norms")
    m.save(tmp_path / "n.zarr")
    loaded = covdist.load(tmp_path / "n.zarr")
    assert loaded.dataset.identical(m.dataset)
    assert intensity(loaded) == intensity(m)


def test_constant_rows_missing_values_and_other_states():
    assert intensity(covdist.moments(np.ones((4, 3)), state="norms")) == 1
    with pytest.raises(DataError, match=r"kind norms, found a full state.*state='norms'"):
        covdist.moments(X).shrink("ledoit-wolf")
    with pytest.raises(DataError, match="state='norms'"):
        covdist.whiten(X, covdist.moments(X), shrink="ledoit-wolf")
    with pytest.raises(DataError, match="NaN or infinity"):
        covdist.moments(np.where(X[0, 0] == X, np.nan, X), state="norms", missing="propagate").shrink("ledoit-wolf")
