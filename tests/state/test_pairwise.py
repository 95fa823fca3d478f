"""States of pairs against sums over the rows that each pair holds, however the rows are cut and merged."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covdist.numerics.accumulator import Options
from covdist.numerics.nonfinite import keep_all
from covdist.state.pairwise import PairwiseCross

from .kinds import PLAIN, bits
from .oracle import Exact, power
from .strategies import Rows, cuttings, thorough

OPTIONS = Options(missing=keep_all)
KINDS = [kind for kind in PLAIN if hasattr(kind.empty([1, 1]), "seen")]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


@st.composite
def holed_rows(draw: st.DrawFn) -> Rows:
    """Draw rows of two sides with holes, drifting, some of weight zero."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(0, 40))
    sides = []
    for width in (draw(st.integers(1, 3)), draw(st.integers(1, 3))):
        block = rng.normal(size=(n, width)) + np.linspace(0, draw(st.sampled_from([0, 1e4])), n)[:, None]
        block[rng.random(block.shape) < draw(st.sampled_from([0, 0.2, 0.7, 1]))] = np.nan
        sides.append(block * draw(st.sampled_from([1, 1e-200, 1e150])))
    weights = draw(st.sampled_from([None, rng.integers(0, 3, n)]))
    return Rows(tuple(sides), np.zeros(n, int), frequency=weights)


def check(state, rows: Rows) -> None:
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    x, y = rows.blocks[0], rows.blocks[1 if hasattr(state, "columns_y") else 0]
    for i in range(len(state.seen.rows)):
        held = np.isfinite(x[:, i]) & (weights > 0)
        if hasattr(state, "products"):
            held &= np.isfinite(y[:, i])
        assert (state.seen.rows[i], state.seen.weight[i]) == (held.sum(), weights[held].sum())
    columns_y = getattr(state, "columns_y", state.columns)
    for i, j, pair_rows, pair_weight, scatter in _pairs(state):
        held = np.isfinite(x[:, i]) & np.isfinite(y[:, j]) & (weights > 0)
        assert (pair_rows, pair_weight) == (held.sum(), weights[held].sum())
        if held.any():
            w = weights[held].astype(np.longdouble)
            a, b = x[held, i].astype(np.longdouble), y[held, j].astype(np.longdouble)
            a, b = a - (w * a).sum() / w.sum(), b - (w * b).sum() / w.sum()
            power = np.ldexp(np.longdouble(1), -(state.columns.exponent[i] + columns_y.exponent[j]))
            spread = [np.sqrt(state.columns.squares[i]), np.sqrt(columns_y.squares[j])]
            error = abs(float((w * a * b).sum() * power) - scatter)
            assert error <= 1e-12 * spread[0] * spread[1]


def _pairs(state) -> Iterator[tuple[int, int, int, float, float]]:
    """Yield the columns, rows, weight and scaled scatter of each pair that a state holds."""
    if hasattr(state, "pairs"):
        for i, j in np.ndindex(state.pairs.scatter.shape):
            yield i, j, state.pairs.rows[i, j], state.pairs.weight[i, j], state.pairs.scatter[i, j]
    for i, scatter in enumerate(getattr(state, "products", ())):
        yield i, i, state.seen.rows[i], state.seen.weight[i], scatter


@each_kind
@thorough
@given(data=st.data(), rows=holed_rows(), seed=st.integers(0, 2**32))
def test_any_merge_tree_of_any_cut(kind, data, rows, seed):
    states = [kind.fold(piece, options=OPTIONS) for piece in rows.cut(data.draw(cuttings(len(rows))))]
    order = random.Random(seed)
    while len(states) > 1:
        order.shuffle(states)
        states.append(states.pop().merge(states.pop()))
    check(states[0], rows)


@each_kind
@thorough
@given(rows=holed_rows())
def test_empty_is_the_identity(kind, rows):
    state, empty = kind.fold(rows, options=OPTIONS), kind.empty(rows.widths)
    assert bits(empty.merge(state)) == bits(state) == bits(state.merge(empty))


@each_kind
def test_rows_without_holes_are_folded_as_by_the_others(kind):
    x = np.random.default_rng(0).normal(size=(3000, 4)) + 5
    rows = Rows((x, x), np.zeros(3000, int))
    plain = next(k for k in PLAIN if k.sides == kind.sides and hasattr(k.empty([1, 1]), "seen") is False)
    assert bits(kind.fold(rows, options=OPTIONS).columns.mean) == bits(plain.fold(rows).columns.mean)


def test_pairs_whose_weights_differ_by_more_than_the_digits_there_are():
    """A light row's share of a pair's mean is far below the mean's last digit, but not below that of the covariance."""
    rows = [(1.0, 0.0, 1e-21), (0.0, 3000.0, 0.5), (0.0, 6000.0, 0.7)]
    states = []
    for x, y, weight in rows:
        accumulator = PairwiseCross.accumulator(1, 1)
        accumulator.add(np.array([[x]]), np.array([[y]]), reliability=np.array([weight]))
        states.append(accumulator.state())
    merged = states[0].merge(states[1]).merge(states[2])
    exact = Exact(*np.array(rows)[:, :2].T[:, :, None], weights=np.array(rows)[:, 2])
    scale = float(power(merged.columns.exponent[0] + merged.columns_y.exponent[0]))
    found = merged.pairs.scatter[0, 0] * scale / merged.columns.weight
    assert found == pytest.approx(float(exact.cov(0, 0, 1, 0)), rel=1e-9, abs=0)
