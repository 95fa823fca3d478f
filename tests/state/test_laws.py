"""The laws that every state keeps."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covdist.errors import MergeError
from covdist.numerics.accumulator import Options
from covdist.numerics.columns import Columns
from covdist.numerics.nonfinite import drop
from covdist.state.base import column_fields, scaled, without_spread
from covdist.state.variances import Variances

from .kinds import KINDS, ORDERED, PLAIN, assert_accurate, bits, frozen
from .strategies import Rows, cuttings, some_rows, thorough

EVERY = [*KINDS, *(each for kind in ORDERED for each in (kind, replace(kind, grouped=True)))]
each_kind = pytest.mark.parametrize("kind", EVERY, ids=str)


def test_finds_the_states():
    assert {"Cross", "Scatter", "Variances"} <= {str(kind) for kind in PLAIN}
    assert all(kind.sides for kind in PLAIN)


@each_kind
@thorough
@given(rows=some_rows(weighted=True))
def test_empty_is_the_identity(kind, rows):
    state, empty = kind.fold(rows), kind.empty(rows.widths)
    assert bits(empty.merge(state)) == bits(state) == bits(state.merge(empty))


@each_kind
def test_empty_is_the_identity_for_counters_without_weight(kind):
    blocks = (np.array([[0.0, 1.0], [np.nan, 0.0]]), np.array([[np.inf], [-0.0]]))
    rows = Rows(blocks, np.array([0, 2]), reliability=np.zeros(2))
    state, empty = kind.fold(rows, options=Options(missing=drop, inf="missing")), kind.empty(rows.widths)
    assert bits(state) != bits(empty)
    assert bits(empty.merge(state)) == bits(state) == bits(state.merge(empty))


@pytest.mark.parametrize("kind", PLAIN, ids=str)
@thorough
@given(rows=some_rows(weighted=True))
def test_times_nothing_is_a_state_of_rows_that_weigh_nothing(kind, rows):
    """Also where a state counts or keeps only rows that weigh something."""
    weightless = replace(rows, reliability=np.zeros(len(rows)))
    assert bits(scaled(kind.cls, kind.fold(rows), 0.0)) == bits(kind.fold(weightless))


class Sums(NamedTuple):
    sums: Columns


class Renamed(Sums):
    """A state whose fields have names and paths that no other has."""

    sides = 1
    FIELDS: ClassVar = {
        f"its_{name}": field._replace(path=field.path.replace("columns", "sums"))
        for name, field in column_fields().items()
    }

    @classmethod
    def empty(cls, width):
        return cls(Columns.empty(width))

    def side(self, number):
        return Variances(self.sums)


@pytest.mark.parametrize("factor", [0.0, 0.3, 2.0**-80])
def test_what_a_field_is_of_is_said_by_itself(factor):
    rows = Rows((np.array([[0.0, 1.0], [3.0, -1.0]]),), np.zeros(2, int))
    columns = Variances.accumulator(2)
    columns.add(*rows.blocks)
    state = columns.state()
    assert bits(scaled(Renamed, Renamed(state.columns), factor)) == bits(scaled(Variances, state, factor))
    assert bits(without_spread(Renamed(state.columns))) == bits(without_spread(state))


@each_kind
def test_an_unused_accumulator_gives_the_empty_state(kind):
    assert bits(kind.accumulator([3, 2]).state()) == bits(kind.empty([3, 2]))


@each_kind
@thorough
@given(rows=some_rows(weighted=True))
def test_no_rows_change_nothing(kind, rows):
    nothing = rows.take(slice(0, 0))
    assert bits(kind.fold(nothing, rows, nothing)) == bits(kind.fold(rows))


@each_kind
@thorough
@given(data=st.data(), rows=some_rows(weighted=True))
def test_any_cut_added_to_one_accumulator(kind, data, rows):
    assert_accurate(kind.fold(*rows.cut(data.draw(cuttings(len(rows))))), rows)


@each_kind
@thorough
@given(rows=some_rows(most=25))
def test_one_row_at_a_time(kind, rows):
    assert_accurate(kind.fold(*rows.cut(range(1, len(rows)))), rows)


@each_kind
@thorough
@given(data=st.data(), rows=some_rows(weighted=True), seed=st.integers(0, 2**32))
def test_any_merge_tree_of_any_cut(kind, data, rows, seed):
    states = [frozen(kind.fold(piece)) for piece in rows.cut(data.draw(cuttings(len(rows))))]
    order = random.Random(seed)
    while len(states) > 1:
        if not kind.cls.ordered:
            order.shuffle(states)
        at = order.randrange(len(states) - 1)
        states[at : at + 2] = [frozen(states[at].merge(states[at + 1]))]
    assert_accurate(states[0], rows)


@each_kind
@thorough
@given(rows=some_rows(most=20))
def test_merging_single_rows_one_after_the_other(kind, rows):
    state = kind.empty(rows.widths)
    for start, stop in pairwise(range(len(rows) + 1)):
        state = frozen(state.merge(kind.fold(rows.take(slice(start, stop)))))
    assert_accurate(state, rows)


@each_kind
@thorough
@given(rows=some_rows(weighted=True))
def test_merge_leaves_its_arguments_alone(kind, rows):
    half = len(rows) // 2
    first, second = kind.fold(rows.take(slice(half))), kind.fold(rows.take(slice(half, None)))
    before = bits(first), bits(second)
    first.merge(second)
    second.merge(first)
    assert (bits(first), bits(second)) == before


@each_kind
def test_a_state_is_not_changed_by_later_rows(kind):
    rows = Rows((np.eye(3), np.eye(3)), np.zeros(3, int))
    accumulator = kind.accumulator(rows.widths)
    by = {"by": rows.by} if kind.grouped else {}
    blocks = kind.blocks(rows)
    accumulator.add(*blocks, **by)
    state = accumulator.state()
    before = bits(state)
    accumulator.add(*blocks, **by)
    assert bits(state) == before
    twice = Rows(tuple(np.concatenate([block, block]) for block in rows.blocks), np.zeros(6, int))
    assert_accurate(accumulator.state(), twice)


@pytest.mark.parametrize(("kind", "side"), [(kind, side) for kind in EVERY for side in range(kind.sides)], ids=str)
def test_other_widths_refuse_to_merge(kind, side):
    widths, other = [4, 5], [4, 5]
    other[side] = 7
    if kind.paired:
        widths, other = [4, 4], [7, 7]
    with pytest.raises(MergeError, match=rf"\b{widths[side]}\b.*\b7\b"):
        kind.empty(widths).merge(kind.empty(other))
