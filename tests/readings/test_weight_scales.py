"""Weights of any size give the same results."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from state.oracle import Exact

import covdist
from covdist.limits import changed

rng = np.random.default_rng(0)
X, Y, W, BY = rng.normal([0, 1e4, 3], size=(30, 3)), rng.normal(size=(30, 2)), rng.random(30) + 0.1, np.arange(30) % 3
HOLES = np.where(rng.random((30, 3)) < 0.2, np.nan, X)
SIZES = [1e-320, 1e-300, 1e-174, 1e-30, 1e30, 1e155, 1e300, 2.0**1000]
each_size = pytest.mark.parametrize("size", SIZES)


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return results(W)


def results(weights: np.ndarray) -> dict[str, Any]:
    """Every reading of weighted rows."""
    m = covdist.moments(X, weights=weights)
    found: dict[str, Any] = {
        f"corr, {p}": covdist.corr(HOLES, weights=weights, missing=p) for p in ("pairwise", "maxent")
    }
    for policy in ("drop", "interpolate", "pairwise", "maxent"):
        found[f"cov, {policy}"] = covdist.cov(HOLES, weights=weights, missing=policy)
        found[f"var, {policy}"] = covdist.var(HOLES, weights=weights, missing=policy)
    for ddof in (0, 1):
        found |= {f"cov, {ddof}": m.cov(ddof), f"std, {ddof}": m.std(ddof)}
        found[f"by, {ddof}"] = covdist.cov(X, weights=weights, by=BY, ddof=ddof)
        found[f"cross, {ddof}"] = covdist.cov(X, Y, weights=weights, ddof=ddof)
    found["pairwise cross"] = covdist.cov(HOLES, Y, weights=weights, missing="pairwise")
    found |= {"mean": m.mean(), "corr": m.corr(), "skewness": covdist.skewness(X, weights=weights)}
    found |= {"kurtosis": covdist.kurtosis(X, weights=weights)}
    found |= {f"spectrum {name}": array for name, array in m.spectrum(3).items() if name != "eigenvector"}
    return found | {f"gradient {name}": array for name, array in covdist.gradient_stats(X, weights=weights).items()}


def assert_same(found: Any, expected: Any, name: str = "") -> None:
    top = np.nanmax(np.abs(expected.values), initial=0)
    np.testing.assert_allclose(found.values * 1.0, expected.values * 1.0, rtol=1e-13, atol=1e-13 * top, err_msg=name)


@each_size
def test_every_reading(plain, size):
    weights = W * size
    expected = results(weights / size) if size < 1e-300 else plain  # subnormal weights have fewer digits
    for name, found in results(weights).items():
        assert_same(found, expected[name], name)


@each_size
@pytest.mark.parametrize("ratio", [1e-20, 1.0, 1e20])
@pytest.mark.parametrize("state", ["variances", "full", "higher", ("full", "higher")])
def test_merged_states(size, ratio, state):
    weights = np.where(np.arange(30) < 10, ratio, 1) * W * np.clip(size, 1e-290, 1e280)
    first, last = (
        covdist.moments(X[rows], weights=weights[rows], state=state) for rows in (slice(10), slice(10, None))
    )
    whole = covdist.moments(X, weights=weights, state=state)
    assert_same((first + last).var(1), whole.var(1))
    assert_same((last + first).mean(), whole.mean())


@pytest.mark.parametrize("far", [1e-250, 1e-100, 1e100, 1e250])
def test_a_heavy_state_hides_a_light_one(far):
    light, heavy = covdist.moments(X[:10] + 5, weights=W[:10]), covdist.moments(X[10:], weights=W[10:] * far)
    for policy in ("raise", "pairwise"):
        light = covdist.moments(X[:10] + 5, weights=W[:10], missing=policy)
        heavy = covdist.moments(X[10:], weights=W[10:] * far, missing=policy)
        expected = light if far < 1 else heavy
        for both in (light + heavy, heavy + light):
            assert_same(both.cov(), expected.cov())
            assert int(both.rows) == 30


@each_size
def test_scaled_states(size):
    m = covdist.moments(X, weights=W, by=BY)
    for f in (size, size**0.5):
        assert_same(m.scaled(f).cov(1), m.cov(1))
        assert_same((m.scaled(f) + m.scaled(f)).cov(1), (m + m).cov(1))


@each_size
def test_sizes_that_change_from_row_to_row(size, tmp_path):
    """Weights over sixty powers of ten, in chunks of three rows, against exact rationals."""
    weights = W * 10.0 ** np.linspace(-60, 0, 30) * (size if size >= 1e-250 else 1e-240)
    truth = Exact(X, weights=weights)
    x = da.from_array(X, chunks=(3, 3))
    m = covdist.moments(x, weights=weights, dim=0)
    m.save(tmp_path / "m.zarr")
    found = covdist.load(tmp_path / "m.zarr").cov().values
    for i in range(3):
        for j in range(3):
            allowed = 1e-12 * float(truth.cov(0, i, 0, i) * truth.cov(0, j, 0, j)) ** 0.5
            assert abs(found[i, j] - float(truth.cov(0, i, 0, j))) <= allowed


def test_numbers_of_the_report():
    x = np.array([1.0, 2, 3, 4, 5])
    weights = np.exp(np.linspace(-400, -402, 5))
    expected = np.cov(x, aweights=weights / weights[0], ddof=1)
    np.testing.assert_allclose(covdist.var(x, weights=weights, ddof=1), expected, rtol=1e-14)
    np.testing.assert_allclose(covdist.var(x, weights=np.full(5, 1e155)), 2.0, rtol=1e-15)


@pytest.mark.parametrize("size", [1e-200, 1e200])
@changed(pattern_table_bytes=1)
def test_patterns_of_which_no_table_is_kept(size):
    found, expected = (covdist.moments(HOLES, weights=W * s, missing="maxent") for s in (size, 1.0))
    assert_same(found.cov(), expected.cov())
    assert found.layout.provenance["iterations"] > 2
