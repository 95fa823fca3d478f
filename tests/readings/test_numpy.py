"""What ``numpy.cov`` and ``numpy.corrcoef`` document, said with covdist."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import covdist

from .containers import assert_close, exact, named, rows, thorough, wrapped

ddofs = st.sampled_from([0, 1, 0.5])


def reference(*blocks: np.ndarray, ddof: float = 0, **weights: np.ndarray) -> np.ndarray:
    stacked = np.concatenate([exact(block) for block in blocks])
    return np.atleast_2d(np.cov(stacked, ddof=0, **weights)) * _unbiased(ddof, len(blocks[0]), **weights)


def _unbiased(ddof: float, n: int, fweights: Any = 1, aweights: Any = 1) -> float:
    """numpy takes integers as ddof only; this is its formula for any."""
    weights = np.ones(n) * fweights * aweights
    return weights.sum() / (weights.sum() - ddof * (weights * aweights).sum() / weights.sum())


def spreads(cov: np.ndarray) -> np.ndarray:
    deviations = np.sqrt(np.diagonal(cov))
    return np.outer(deviations, deviations)


def correlations(cov: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return cov / np.where(spreads(cov) > 0, spreads(cov), np.nan)


def dim_of(container: Any) -> Any:
    return "sample" if named(container) else 0


@st.composite
def inputs(draw: st.DrawFn) -> tuple[np.ndarray, Any]:
    values = draw(rows())
    return values, draw(wrapped(values, ("sample", "unit")))


@st.composite
def weights_of(draw: st.DrawFn, n: int) -> dict[str, np.ndarray]:
    """Frequencies, reliabilities or both; two rows at least count."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    frequency, reliability = rng.integers(0, 4, n), rng.random(n) * (rng.random(n) < 0.7)
    frequency[:2], reliability[:2] = 1, (0.9, 1.1)
    return draw(
        st.sampled_from(
            [
                {"fweights": frequency},
                {"aweights": reliability},
                {"fweights": frequency, "aweights": reliability},
            ]
        )
    )


def as_covdist(weights: dict[str, np.ndarray]) -> Any:
    """Integers are frequencies, floats reliabilities, a mapping holds both."""
    if len(weights) == 1:
        return next(iter(weights.values()))
    return {"frequency": weights["fweights"], "reliability": weights["aweights"]}


@thorough
@given(inputs(), ddofs)
def test_cov_and_var(case, ddof):
    values, x = case
    expected = reference(values, ddof=ddof)
    assert_close(covdist.cov(x, dim=dim_of(x), ddof=ddof), expected, spreads(expected))
    assert_close(covdist.var(x, dim=dim_of(x), ddof=ddof), np.diag(expected), np.diag(expected))


@thorough
@given(inputs())
def test_corrcoef(case):
    values, x = case
    assert_close(covdist.corr(x, dim=dim_of(x)), correlations(reference(values)), 1.0)


@thorough
@given(st.data(), ddofs)
def test_weights(data, ddof):
    values, x = data.draw(inputs())
    weights = data.draw(weights_of(len(values)))
    expected = reference(values, ddof=ddof, **weights)
    options = {"dim": dim_of(x), "weights": as_covdist(weights)}
    assert_close(covdist.cov(x, ddof=ddof, **options), expected, spreads(expected))
    assert_close(covdist.corr(x, **options), correlations(expected), 1.0)


@thorough
@given(st.data(), ddofs)
def test_y_is_the_corner_of_the_stacked_matrix(data, ddof):
    values, x = data.draw(inputs())
    values_y = data.draw(rows(n=len(values)))
    y = data.draw(wrapped(values_y, ("sample", "out"), data.draw(st.sampled_from(_same_names(x)))))
    corner = slice(values.shape[1]), slice(values.shape[1], None)
    expected = reference(values, values_y, ddof=ddof)
    options = {"dim": dim_of(x)}
    assert_close(covdist.cov(x, y, ddof=ddof, **options), expected[corner], spreads(expected)[corner])
    assert_close(covdist.corr(x, y, **options), correlations(expected)[corner], 1.0)


def _same_names(x: Any) -> list[str]:
    return ["DataArray", "lazy DataArray"] if named(x) else ["numpy", "dask"]


@thorough
@given(st.data())
def test_weighted_cross_covariance(data):
    values, x = data.draw(inputs())
    weights = data.draw(weights_of(len(values)))
    values_y = data.draw(rows(n=len(values)))
    y = data.draw(wrapped(values_y, ("sample", "out"), _same_names(x)[0]))
    corner = slice(values.shape[1]), slice(values.shape[1], None)
    expected = reference(values, values_y, **weights)
    found = covdist.cov(x, y, dim=dim_of(x), weights=as_covdist(weights))
    assert_close(found, expected[corner], spreads(expected)[corner])


def test_the_documented_examples_of_numpy():
    x = np.array([[0, 2], [1, 1], [2, 0]]).T
    assert np.array_equal(covdist.cov(x, dim=1, ddof=1), np.cov(x))
    m = np.arange(10, dtype=np.float64)
    f, a, ddof = np.arange(10) * 2, np.arange(10) ** 2.0, 1
    expected = np.cov(m, ddof=ddof, fweights=f, aweights=a)
    found = covdist.cov(m, ddof=ddof, weights={"frequency": f, "reliability": a})
    assert found.shape == ()
    np.testing.assert_allclose(found, expected, rtol=1e-13)
