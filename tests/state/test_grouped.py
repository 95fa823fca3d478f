"""What is special to ``Grouped``; the laws of every state hold for it too, in ``test_laws``."""

from __future__ import annotations

import numpy as np
import pytest

from covdist.errors import DataError, MergeError, NonFiniteError
from covdist.state.grouped import Grouped, GroupedAccumulator
from covdist.state.scatter import Scatter
from covdist.state.variances import Variances

from .kinds import PLAIN, bits
from .strategies import Rows

X = np.random.default_rng(0).normal(size=(90, 3)) + 1e6
BY = {"epochs": np.repeat([2, 5, 7], 30), "classes": np.arange(90) % 4 - 1, "back again": np.arange(90) // 20 % 2}
each_by = pytest.mark.parametrize("by", BY.values(), ids=BY)


@pytest.mark.parametrize("kind", PLAIN, ids=str)
@each_by
def test_equals_a_fold_of_each_group(kind, by):
    rows = Rows((X, X[:, :2]), by, reliability=np.linspace(0.5, 2, 90))
    accumulator = Grouped.accumulator(lambda: kind.accumulator(rows.widths))
    for piece in rows.cut([10, 10, 45]):
        accumulator.add(*kind.blocks(piece), by=piece.by, reliability=piece.reliability)
    state = accumulator.state()
    assert list(state) == [code for code in np.unique(by) if code >= 0]
    for code in state:
        alone = [piece.take(piece.by == code) for piece in rows.cut([10, 10, 45])]
        assert bits(state[code]) == bits(kind.fold(*alone))


class _Recorder:
    """An inner accumulator that keeps what it is given."""

    least_rows, workspace = 1, None

    def __init__(self):
        self.blocks: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> None:
        self.blocks.append(block)

    def state(self) -> list[np.ndarray]:
        return self.blocks


@pytest.mark.parametrize("room", [300, 1000, 1 << 20])
@pytest.mark.parametrize("kind", PLAIN, ids=str)
@each_by
def test_rows_that_are_kept_and_folded_together(kind, by, room):
    rows = Rows((X, X[:, :2]), by, reliability=np.linspace(0.5, 2, 90))
    blocks = kind.blocks(rows)
    accumulator = Grouped.accumulator(lambda: kind.accumulator(rows.widths), room)
    for piece in rows.cut([1, 5, 6, 40, 41]):
        again = [block.copy() for block in kind.blocks(piece)]
        accumulator.add(*again, by=piece.by, reliability=piece.reliability)
        for block in again:
            block[:] = np.nan  # a reader uses its memory again
    state = accumulator.state()
    for code in np.unique(by[by >= 0]):
        alone = kind.accumulator(rows.widths)
        alone.add(*(block[by == code] for block in blocks), reliability=rows.reliability[by == code])
        found, expected = (each.side(0) for each in (state[code], alone.state()))
        np.testing.assert_allclose(found.variance(0), expected.variance(0), rtol=1e-12)
        assert found.rows().tolist() == expected.rows().tolist()


@pytest.mark.parametrize("room", [0, 500, 1 << 20])
def test_the_first_bad_row_is_named_when_rows_are_kept(room):
    bad, by = X.copy(), np.arange(90) % 5
    bad[40, 2] = bad[71, 0] = np.nan

    def folded() -> Grouped:
        accumulator = Grouped.accumulator(lambda: Variances.accumulator(3), room)
        for start in range(0, 90, 7):
            accumulator.add(bad[start : start + 7], by=by[start : start + 7])
        return accumulator.state()

    with pytest.raises(NonFiniteError) as caught:
        folded()
    assert (caught.value.row, caught.value.column) == (40, 2)


def test_kept_rows_of_several_dtypes_stay_exact():
    whole, real = 2**60 + np.arange(40)[:, None], np.arange(40.0)[:, None]
    by = np.arange(40) % 20
    accumulator = Grouped.accumulator(lambda: Variances.accumulator(1), 1 << 20)
    accumulator.add(whole, by=by)
    accumulator.add(real, by=by + 20)
    state = accumulator.state()
    assert [state[code].variance(0)[0] for code in range(40)] == [100.0] * 40


@each_by
def test_a_run_of_one_code_is_not_copied(by):
    accumulator = GroupedAccumulator(_Recorder)
    accumulator.add(X, by=by)
    for code, blocks in accumulator.state().items():
        where = np.flatnonzero(by == code)
        np.testing.assert_array_equal(np.concatenate(blocks), X[where])
        is_run = where[-1] - where[0] + 1 == len(where)
        assert all(np.shares_memory(block, X) for block in blocks) == is_run


def test_rows_without_a_group_are_left_out():
    accumulator = Grouped.accumulator(lambda: Variances.accumulator(3))
    accumulator.add(np.full((4, 3), np.nan), by=np.full(4, -1))
    assert dict(accumulator.state()) == {}


def test_merge_keeps_what_only_one_side_has():
    def state(*codes: int) -> Grouped:
        accumulator = Grouped.accumulator(lambda: Scatter.accumulator(3))
        accumulator.add(X[: len(codes)], by=np.array(codes))
        return accumulator.state()

    first, second = state(3, 1, 1), state(1, 0)
    merged = first.merge(second)
    assert list(merged) == [0, 1, 3]
    assert bits(merged[0]) == bits(second[0])
    assert bits(merged[3]) == bits(first[3])
    assert bits(merged[1]) == bits(first[1].merge(second[1]))


def test_other_widths_are_refused_without_a_shared_code():
    states = []
    for width in (2, 3):
        accumulator = Grouped.accumulator(lambda width=width: Variances.accumulator(width))
        accumulator.add(X[:5, :width], by=np.full(5, width))
        states.append(accumulator.state())
    with pytest.raises(MergeError, match="2 columns with one of 3"):
        states[0].merge(states[1])


def test_the_first_bad_row_is_named_whichever_group_it_is_in():
    accumulator = Grouped.accumulator(lambda: Variances.accumulator(3))
    by = np.array([-1, 1, 0, 1, 0, 1, 0, 1])
    accumulator.add(X[:8], by=by)
    bad = X[8:16].copy()
    bad[0, 0], bad[5, 1], bad[6, 2] = np.nan, np.inf, np.nan  # the first has no group
    with pytest.raises(NonFiniteError, match="inf") as caught:
        accumulator.add(bad, by=by)
    assert (caught.value.row, caught.value.column) == (13, 1)


def test_codes_for_other_rows_are_refused():
    accumulator = Grouped.accumulator(lambda: Variances.accumulator(3))
    with pytest.raises(DataError, match="7 group codes"):
        accumulator.add(X[:8], by=np.zeros(7, int))
