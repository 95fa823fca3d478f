"""The counts of ``Signs`` against those of the rows; tests/state/test_laws.py holds its moments to the laws."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covdist.errors import DataError
from covdist.numerics.accumulator import Options
from covdist.numerics.nonfinite import drop
from covdist.state.counts.signs import Signs
from covdist.state.named import state_type

from .strategies import cuttings, some_rows, thorough


def fold(*blocks, options=Options(), **weights):
    accumulator = Signs.accumulator(blocks[0].shape[1], options)
    for block in blocks:
        accumulator.add(block, **weights)
    return accumulator.state()


def counts(state):
    return np.array([state.positive, state.negative])


@thorough
@given(data=st.data(), rows=some_rows(), seed=st.integers(0, 2**32))
def test_any_merge_tree_counts_exactly(data, rows, seed):
    block = rows.blocks[0]
    states = [fold(piece.blocks[0]) for piece in rows.cut(data.draw(cuttings(len(rows))))]
    order = random.Random(seed)
    while len(states) > 1:
        order.shuffle(states)
        states[-2:] = [states[-2].merge(states[-1])]
    assert counts(states[0]).tolist() == [(block > 0).sum(axis=0).tolist(), (block < 0).sum(axis=0).tolist()]


@pytest.mark.parametrize("unit", [0, 400, -400, -900])
def test_weights_of_any_size(unit):
    x, often = np.array([[1.0, -1.0], [-1.0, 0.0], [2.0, -3.0]]), np.array([3.0, 1.0, 2.0])
    state = fold(x, reliability=np.ldexp(often, unit))
    assert np.ldexp(counts(state), state.columns.weight_unit - unit).tolist() == [[5, 0], [1, 5]]
    assert state.sign_agreement().tolist() == [5 / 6, 5 / 6]
    both = state.merge(fold(x[1:], reliability=np.ldexp(often[1:], unit)))
    assert both.sign_agreement().tolist() == [7 / 9, 7 / 9]


def test_weights_that_outgrow_each_other():
    x = np.array([[1.0], [-1.0]])
    accumulator = Signs.accumulator(1)
    for unit in (-400, 0, -400, 400, 0):
        accumulator.add(x, reliability=np.ldexp([1.0, 3.0], unit))
    assert accumulator.state().sign_agreement().tolist() == [0.75]


def test_rows_left_out_are_not_counted():
    x = np.array([[1.0, -1.0], [np.nan, 2.0], [3.0, 0.0]])
    state = fold(x, options=Options(missing=drop))
    assert counts(state).tolist() == [[2, 0], [0, 1]]
    assert state.columns.skipped == 1


def test_rows_of_no_weight_are_not_counted():
    assert counts(fold(np.array([[1.0], [1.0]]), frequency=np.array([0, 2]))).tolist() == [[2], [0]]


def test_it_is_folded_by_itself():
    with pytest.raises(DataError, match="signs cannot be folded together with others: fold it by itself"):
        state_type(("full", "signs"))
