"""Frequencies repeat rows; reliabilities follow numpy's ``aweights``."""

from __future__ import annotations

import numpy as np
import pytest

from covdist.errors import DataError
from covdist.numerics import packed as triangle
from covdist.state.scatter import Scatter

from .kinds import KINDS, PLAIN, assert_accurate, bits
from .strategies import Rows

SCATTER = next(kind for kind in PLAIN if kind.cls is Scatter)
each_kind = pytest.mark.parametrize("kind", PLAIN, ids=str)
rng = np.random.default_rng(3)
X, Y = rng.normal(size=(50, 3)) + np.array([0, 1e8, -3]), rng.normal(size=(50, 2))
BY = np.arange(50) % 3 - 1
FREQUENCY = rng.integers(0, 4, 50)
RELIABILITY = rng.random(50) * (rng.random(50) < 0.8)


def _covariance(state: Scatter, ddof: int) -> np.ndarray:
    columns = state.columns
    weight = columns.weight - ddof * columns.weight2 / columns.weight
    return triangle.unpack(state.triangle, columns.width) / weight


@each_kind
def test_frequency_is_the_same_as_repeating(kind):
    weighted = kind.fold(Rows((X, Y), BY, frequency=FREQUENCY)).columns
    repeated = [np.repeat(part, FREQUENCY, axis=0) for part in (X, Y, BY)]
    plain = kind.fold(Rows(tuple(repeated[:2]), repeated[2])).columns
    assert (weighted.weight, weighted.weight2) == (plain.weight, plain.weight2)
    np.testing.assert_allclose(weighted.squares, plain.squares, rtol=1e-12)
    off = (weighted.mean - plain.mean) + (weighted.mean_low - plain.mean_low)
    np.testing.assert_allclose(off, 0, atol=1e-12)  # of spreads near 1


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("frequency", [None, FREQUENCY], ids=["aweights", "both"])
@pytest.mark.parametrize("cuts", [[], [0, 10, 37], range(1, 50)], ids=["one", "cut", "single rows"])
def test_reliability_is_aweights(ddof, frequency, cuts):
    near = X - [0, 1e8, 0]  # numpy itself needs columns near zero
    rows = Rows((near, Y), BY, frequency, RELIABILITY)
    state = SCATTER.fold(*rows.cut(cuts))
    expected = np.cov(near.T, ddof=ddof, fweights=frequency, aweights=RELIABILITY)
    np.testing.assert_allclose(_covariance(state, ddof), expected, rtol=1e-12, atol=1e-14)


@each_kind
def test_weights_hold_through_cuts_at_any_distance(kind):
    rows = Rows((X, Y), BY, FREQUENCY, RELIABILITY)
    assert_accurate(kind.fold(*rows.cut([0, 3, 3, 31])), rows)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_rows_without_weight_count_but_say_nothing(kind):
    weightless = np.arange(50) % 4 == 0
    far = np.where(weightless[:, None], 1e200, X)
    rows = Rows((far, Y), BY, reliability=np.where(weightless, 0.0, RELIABILITY))
    assert_accurate(kind.fold(*rows.cut([20])), rows)


@each_kind
def test_a_heavy_row_among_weightless_ones_sets_the_pilot(kind):
    """Rows of next to no weight lie 1e8 spreads away, in every place that a regular sample would look at."""
    x = np.random.default_rng(0).normal(size=(64, 2))
    x[::16] += 1e8
    rows = Rows((x, x), np.zeros(64, int), reliability=np.where(np.arange(64) % 16, 1.0, 1e-20))
    assert_accurate(kind.fold(rows), rows)


@each_kind
@pytest.mark.parametrize("cuts", [[], [1], range(1, 16)], ids=["one", "first row", "single rows"])
@pytest.mark.parametrize("light", [1e-6, 1e-20])
@pytest.mark.parametrize("size", [1.0, 1e-200, 1e-306])
def test_a_light_first_row_far_away(kind, cuts, light, size):
    x = np.random.default_rng(0).normal(size=(16, 2))
    x[0] += 1e4
    y = 1 + 1e-4 * (np.arange(16) < 3)[:, None]
    weights = np.where(np.arange(16) < 1, light, 0.9) * np.array([1e-21, 1.0])[:, None]
    for reliability in weights:
        rows = Rows((x * size, y * size), np.zeros(16, int), reliability=reliability)
        assert_accurate(kind.fold(*rows.cut(cuts)), rows)


@each_kind
def test_only_weightless_rows(kind):
    state = kind.fold(Rows((X, Y), BY, reliability=np.zeros(50)))
    assert state.columns.rows == 50
    weighted = kind.fold(Rows((X, Y), BY))
    assert bits(state.merge(weighted).columns.mean) == bits(weighted.columns.mean)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("name", ["frequency", "reliability"])
@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_bad_weights_are_refused(kind, name, bad):
    weights = np.ones(50)
    weights[44] = bad
    with pytest.raises(DataError, match=str(bad)):
        kind.fold(Rows((X, Y), np.zeros(50, int), **{name: weights}))
