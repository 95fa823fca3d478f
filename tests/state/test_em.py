"""The E step against exact rationals: what is missing, its covariance and the likelihood, also of dependent columns."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from covdist.numerics.em import Fit, Model, PatternTable, complete, inverse_root
from covdist.state.patterns import expected_of
from tests.readings.containers import quick

EPS = np.finfo(float).eps
ROUNDING = 8  # 0.5 was measured, and 1e8 where a distance was read off a precision


def solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve in rationals; the matrix is positive definite."""
    rows = [list(map(Fraction, [*a, *b])) for a, b in zip(matrix.tolist(), right.tolist(), strict=True)]
    for at, pivot in enumerate(rows):
        pivot[:] = [value / pivot[at] for value in pivot]
        for other in rows:
            if other is not pivot:
                other[:] = [value - other[at] * by for value, by in zip(other, pivot, strict=True)]
    return np.array([row[len(rows) :] for row in rows], object)


def correlations(width: int, closeness: float, rng: np.random.Generator) -> np.ndarray:
    """Columns that depend on few others up to noise."""
    few = rng.normal(size=(width, 2)) @ rng.normal(size=(2, 2 * width)) + closeness * rng.normal(
        size=(width, 2 * width)
    )
    cov = few @ few.T
    spread = np.sqrt(np.diagonal(cov))
    cov = cov / np.outer(spread, spread)
    np.fill_diagonal(cov, 1.0)
    return (cov + cov.T) / 2


@quick
@given(st.integers(0, 2**32), st.integers(2, 5), st.sampled_from([1.0, 1e-2, 1e-4]), st.booleans())
def test_a_row_of_dependent_columns_is_completed_to_its_condition(seed, width, closeness, likely):
    rng = np.random.default_rng(seed)
    cov = correlations(width, closeness, rng)
    row = np.linalg.cholesky(cov) @ rng.normal(size=width) if likely else rng.normal(size=width)
    present = np.arange(width) != rng.integers(width)
    present &= rng.random(width) < 0.7
    present[rng.integers(width)] |= not present.any()
    o, m = np.flatnonzero(present), np.flatnonzero(~present)
    solution = solved(cov[np.ix_(o, o)], np.column_stack([cov[np.ix_(o, m)], row[o]]))
    slope, away = solution[:, :-1], solution[:, -1]
    fill = (slope.T @ row[o].astype(object)).astype(float) if len(m) else np.zeros(0)
    spare = (cov[np.ix_(m, m)] - slope.T @ cov[np.ix_(o, m)].astype(object)).astype(float)
    distance = float(away @ np.array(list(map(Fraction, row[o]))))

    model = Model(present | True, np.zeros(width), np.zeros(width, int), np.zeros(width), cov, Fit())
    inverse = inverse_root(model)
    found = complete(row[None], present[None], np.ones(1), model, inverse)
    volume = len(o) * np.log(2 * np.pi) + np.linalg.slogdet(cov[np.ix_(o, o)])[1]
    bound = ROUNDING * EPS * np.linalg.cond(cov)
    np.testing.assert_allclose(found.rows[0, m], fill, rtol=bound, atol=bound * max(1, abs(row[o]).max()))
    np.testing.assert_allclose(found.covariance[np.ix_(m, m)], spare, rtol=0, atol=bound)
    np.testing.assert_allclose(-2 * found.log_likelihood, volume + distance, rtol=bound, atol=width * bound)

    known = np.where(present, row, 0.0)
    table = PatternTable(present[None], np.ones(1), known[None], np.zeros((1, width, width)))
    summed = expected_of(table, model)
    np.testing.assert_allclose(summed.sums[m], fill, rtol=bound, atol=bound * max(1, abs(row[o]).max()))
    np.testing.assert_allclose(-2 * summed.log_likelihood, volume + distance, rtol=bound, atol=width * bound)
