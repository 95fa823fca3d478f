"""What each policy does with NaN and infinities."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from covdist.errors import NonFiniteError
from covdist.numerics import packed as triangle
from covdist.numerics.accumulator import Options
from covdist.numerics.nonfinite import drop, propagate

from .kinds import KINDS, PLAIN, assert_accurate, bits
from .strategies import Rows

each_kind = pytest.mark.parametrize("kind", PLAIN, ids=str)
DROP = Options(missing=drop, inf="missing")
each_hole = pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])


def _normal(n: int, width: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(n).normal(size=(n, width)) * scale


def _rows(x: np.ndarray, y: np.ndarray | None = None, by: np.ndarray | None = None) -> Rows:
    return Rows((x, x if y is None else y), np.zeros(len(x), int) if by is None else by)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("row", "hole"), [(0, np.nan), (255, np.inf), (256, -np.inf), (600, np.nan), (999, np.inf)])
def test_raise_names_the_first_bad_entry_of_the_whole_input(kind, hole, row):
    x = np.zeros((1000, 256), np.float32)  # blocks of 256 rows
    x[row:, 200], x[row + 1 :, 3] = hole, np.nan
    pieces = _rows(x, np.zeros_like(x) if kind.paired else x[:, :1], np.arange(1000) % 3).cut([0, 130, 650])
    with pytest.raises(NonFiniteError, match=str(hole)) as caught:
        kind.fold(*pieces)
    assert (caught.value.row, caught.value.column, caught.value.side) == (row, 200, 0)


def test_raise_names_the_side():
    kind = next(kind for kind in PLAIN if kind.sides == 2 and not kind.paired)
    x, y = _normal(20, 2), _normal(20, 3)
    y[7, 2], x[8, 0] = np.inf, np.nan
    with pytest.raises(NonFiniteError) as caught:
        kind.fold(_rows(x[:5], y[:5]), _rows(x[5:], y[5:]))
    assert (caught.value.row, caught.value.column, caught.value.side) == (7, 2, 1)
    assert caught.value.amount == 2
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.row, again.column, again.side, str(again)) == (7, 2, 1, "inf")


# States of pairs leave missing values out, whatever the policy lets through.
WHOLE = [kind for kind in PLAIN if not hasattr(kind.empty([1, 1]), "seen")]


@pytest.mark.parametrize("kind", WHOLE, ids=str)
@each_hole
@pytest.mark.parametrize("scale", [1.0, 1e-60], ids=str)
@pytest.mark.parametrize("cuts", [[], [100], [30, 30, 200]], ids=str)
def test_propagate_stays_in_its_column(kind, hole, scale, cuts):
    clean = _normal(300, 4, scale)
    holed = clean.copy()
    holed[150, 2] = hole
    options = Options(missing=propagate)
    with_hole = kind.fold(*_rows(holed, clean).cut(cuts), options=options)
    without = kind.fold(*_rows(clean, clean).cut(cuts), options=options)
    others = [0, 1, 3]
    for name in ("mean", "squares", "exponent"):
        got, expected = getattr(with_hole.columns, name), getattr(without.columns, name)
        assert bits(got[others]) == bits(expected[others])
    assert np.isnan(with_hole.columns.squares[2])
    assert not np.isfinite(with_hole.columns.mean[2])
    for (got, square), (expected, _) in zip(_matrices(with_hole), _matrices(without), strict=True):
        assert np.isnan(got[2]).all()
        keep = np.isfinite(expected)
        keep[2] = False
        if square:
            assert np.isnan(got[:, 2]).all()
            keep[:, 2] = False
        assert bits(got[keep]) == bits(expected[keep])


def _matrices(state) -> list[tuple[np.ndarray, bool]]:
    """Return the matrices that x's columns are in, and whether they are x's with themselves."""
    square = [(triangle.unpack(state.triangle, state.columns.width), True)] if hasattr(state, "triangle") else []
    return square + ([(state.rectangle, False)] if hasattr(state, "rectangle") else [])


@each_hole
def test_propagate_merges_without_a_warning(hole):
    x = _normal(40, 3)
    x[[3, 30], 1] = hole, -hole
    for kind in WHOLE:
        first, second = (kind.fold(_rows(half), options=Options(propagate)) for half in (x[:20], x[20:]))
        clean = kind.fold(_rows(_normal(5, 3)))
        merged = first.merge(second).merge(clean)
        assert np.isfinite(merged.columns.squares).tolist() == [True, False, True]
        assert np.isfinite(merged.columns.mean).tolist() == [True, False, True]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_drop_equals_folding_the_rows_kept(kind):
    x, y = _normal(300, 3, 1e3), _normal(300, 3 if kind.paired else 2)
    x[[2, 3, 250], [0, 1, 2]] = np.nan, np.inf, -np.inf
    y[[3, 100], 1] = np.nan
    by = np.arange(300) // 70 - 1
    bad = [2, 3, 250] + [100] * (kind.sides == 2)
    kept = np.delete(np.arange(300), bad)
    rows = _rows(x, y, by)
    state = kind.fold(*rows.cut([0, 90]), options=DROP)
    assert_accurate(state, rows.take(kept))
    groups = [state] if not kind.grouped else state.values()
    dropped = len(bad) if not kind.grouped else sum(by[row] >= 0 for row in bad)
    assert sum(group.columns.skipped for group in groups) == dropped


@each_kind
def test_drop_may_leave_nothing(kind):
    state = kind.fold(_rows(np.full((5, 2), np.nan)), options=DROP)
    assert (state.columns.rows, state.columns.skipped, state.columns.weight) == (0, 5, 0)
    clean = kind.fold(_rows(_normal(9, 2)))
    assert bits(state.merge(clean).columns.squares) == bits(clean.columns.squares)


@each_kind
def test_drop_takes_the_weights_along(kind):
    x, weights = _normal(30, 2), np.arange(30.0)
    x[[4, 20], 0] = np.nan
    rows = Rows((x, x), np.zeros(30, int), reliability=weights)
    kept = np.delete(np.arange(30), [4, 20])
    assert_accurate(kind.fold(rows, options=DROP), rows.take(kept))
