"""The cases of statsmodels' tests of ``DescrStatsW``: weighted figures, and rows that are repeated instead."""

from __future__ import annotations

from fractions import Fraction

import dask.array as da
import numpy as np
import pytest

import covdist
from covdist.errors import DataError

from .data import WEIGHTS, X

COV = [
    [1.5555555555555558, 0.24444444444444444, -0.5],
    [0.24444444444444444, 1.7955555555555556, 0.3],
    [-0.5, 0.3, 1.7291666666666667],
]
CORR = [
    [1, 0.146264181362514, -0.3048658744053461],
    [0.146264181362514, 1, 0.17025638335464804],
    [-0.3048658744053461, 0.17025638335464804, 1],
]
FIGURES = {
    "mean": [0.16666666666666666, 1.9333333333333333, 2.5],
    "var": [1.5555555555555558, 1.7955555555555551, 1.7291666666666667],
    "std": [1.2472191289246473, 1.339983416149452, 1.3149778198382918],
    "cov": COV,
    "corr": CORR,
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("lazy", [False, True])
def test_figures(name, lazy):
    rows, weights = (da.from_array(each, chunks=5) for each in (X, WEIGHTS)) if lazy else (X, WEIGHTS)
    found = getattr(covdist.moments(rows, weights=weights), name)()
    np.testing.assert_allclose(found, FIGURES[name], rtol=1e-13)


def test_ddof_is_taken_from_the_sum_of_the_weights():
    found = covdist.moments(X, weights=WEIGHTS)
    np.testing.assert_allclose(found.var(ddof=1), np.multiply(FIGURES["var"], 30 / 29), rtol=1e-13)
    np.testing.assert_allclose(found.std(ddof=2), [1.29099445, 1.38701461, 1.36113136], rtol=1e-8)
    np.testing.assert_allclose(found.cov(ddof=1), np.multiply(FIGURES["cov"], 30 / 29), rtol=1e-13)
    np.testing.assert_allclose(found.corr(), FIGURES["corr"], rtol=1e-13)  # no divisor in it


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("columns", [slice(None), slice(1), 0])
@pytest.mark.parametrize("ddof", [0, 1, 2.5])
def test_whole_weights_are_repeated_rows(name, columns, ddof):
    options = {"ddof": ddof} if name in ("var", "std", "cov") else {}
    weighted = getattr(covdist.moments(X[:, columns], weights=WEIGHTS), name)(**options)
    repeated = getattr(covdist.moments(np.repeat(X, WEIGHTS, axis=0)[:, columns]), name)(**options)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-13)


@pytest.mark.parametrize("name", FIGURES)
def test_equal_weights_are_none(name):
    weighted, plain = (getattr(covdist.moments(X, weights=weights), name)() for weights in (np.full(12, 2.0), None))
    np.testing.assert_allclose(weighted, plain, rtol=1e-14)


def test_sums():
    """``sum_weights``, ``sum`` and ``sumsquares`` follow from the moments."""
    found = covdist.moments(X, weights=WEIGHTS)
    assert found.rows == 12
    total = float(WEIGHTS.sum())
    np.testing.assert_allclose(found.mean() * total, WEIGHTS @ X, rtol=1e-14)
    np.testing.assert_allclose(found.var() * total, [46.66666666666667, 53.86666666666665, 51.875], rtol=1e-13)


def test_weights_that_count_nothing():
    """Floats say how far a row is trusted: the divisor is that of numpy's ``aweights``, whatever their scale."""
    weights = [Fraction(n + 1, 7) for n in range(12)]
    rows = [Fraction(value) for value in X[:, 0]]
    mean = sum(w * x for w, x in zip(weights, rows, strict=True)) / sum(weights)
    divisor = sum(weights) - sum(w * w for w in weights) / sum(weights)
    expected = sum(w * (x - mean) ** 2 for w, x in zip(weights, rows, strict=True)) / divisor
    for scale in (1, 1e-200, 1e150):
        found = covdist.var(X[:, 0], weights=np.array(weights, float) * scale, ddof=1)
        np.testing.assert_allclose(found, float(expected), rtol=1e-13)


def test_rows_without_weight_do_not_count():
    weights = np.where(WEIGHTS > 1, WEIGHTS, 0)
    full, left = covdist.moments(X, weights=weights), covdist.moments(X[WEIGHTS > 1], weights=WEIGHTS[WEIGHTS > 1])
    np.testing.assert_allclose(full.cov(ddof=1), left.cov(ddof=1), rtol=1e-14)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(11), r"shape \(11,\).*\(12,\)"),
        (np.ones((12, 3)), "one value per sample"),
        (np.where(np.arange(12) == 4, -1, 1), "not negative, found -1"),
        (np.where(np.arange(12) == 4, np.nan, 1), "finite"),
        (np.zeros(12), "weight"),
    ],
)
def test_weights_that_are_none(weights, message):
    with pytest.raises(DataError, match=message):
        covdist.cov(X, weights=weights, ddof=1)
