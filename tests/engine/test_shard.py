"""Pieces of any height: gathered, cut at each other's borders, made ahead."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covdist.kernel.threads import allowed
from covdist.rows.fold import gathered, together
from covdist.rows.readers import ahead, by_threads

heights = st.lists(st.integers(0, 7), max_size=12)


def _pieces(sizes: list[int]) -> list[np.ndarray]:
    rows = np.arange(2 * sum(sizes)).reshape(-1, 2)
    return np.split(rows, np.cumsum(sizes)[:-1]) if sizes else []


@given(heights, st.integers(1, 9))
def test_gathered_keeps_the_rows_in_order(sizes, least):
    pieces = _pieces(sizes)
    found = [piece.copy() for piece in gathered(iter(pieces), least)]
    assert all(len(piece) >= least for piece in found[:-1])
    np.testing.assert_array_equal(
        np.concatenate([*found, np.empty((0, 2))]), np.concatenate([*pieces, np.empty((0, 2))])
    )


def test_a_piece_that_is_large_enough_is_not_copied():
    piece = np.zeros((5, 2))
    assert [found is piece for found in gathered(iter([piece]), 5)] == [True]


@given(heights, st.randoms(use_true_random=False))
def test_together_cuts_all_streams_at_the_same_rows(sizes, random):
    other = [1] * sum(sizes)
    random.shuffle(other)
    streams = [_pieces(sizes), _pieces(other)]
    found = [[piece.copy() for piece in step] for step in together([iter(stream) for stream in streams])]
    assert all(len(a) == len(b) > 0 for a, b in found)
    assert sum(len(a) for a, _ in found) == sum(sizes)
    assert all((a == b).all() for a, b in found)


def test_the_next_piece_is_made_while_the_last_one_is_held():
    second = threading.Event()

    def pieces():
        yield np.zeros(1)
        second.set()
        yield np.ones(1)

    stream = ahead(pieces())
    next(stream)
    assert second.wait(60)  # without asking for it
    assert [piece.tolist() for piece in stream] == [[1.0]]


def test_an_error_ahead_reaches_the_one_who_folds():
    def pieces():
        yield np.zeros(1)
        raise ValueError("broken")

    found = []
    try:
        for piece in ahead(pieces()):
            found.append(piece)
    except ValueError as error:
        found.append(str(error))
    assert len(found) == 2
    assert found[1] == "broken"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_threads_read_comes_in_order_and_stays_until_the_next(count):
    def read(number, buffer):
        buffer[:] = number
        return buffer

    with allowed(lambda: count):
        for number, piece in enumerate(by_threads(read, range(300), [np.zeros(5000) for _ in range(4)])):
            assert (piece == number).all()
            time.sleep(1e-4)
            assert (piece == number).all()
    assert number == 299


def test_of_errors_in_threads_the_first_is_raised():
    second = threading.Event()

    def read(number, buffer):
        if number < 3:
            return number
        if number == 3:
            second.wait(10)
        second.set()
        raise ValueError(number)

    found = []
    with allowed(lambda: 2), pytest.raises(ValueError, match="3"):
        found.extend(by_threads(read, range(9), [np.zeros(1) for _ in range(3)]))
    assert found == [0, 1, 2]


@pytest.mark.parametrize(("first", "later", "value"), [("i4", "f8", np.nan), ("f4", "f8", 1e200), ("i2", "i8", 2**40)])
def test_gathered_holds_what_a_later_piece_holds(first, later, value):
    pieces = [np.ones((2, 1), first), np.array([[value]], later), np.ones((2, 1), first)]
    rows = np.concatenate([piece.copy() for piece in gathered(iter(pieces), 4)])
    np.testing.assert_array_equal(rows, np.concatenate(pieces))


def test_reading_ahead_may_be_given_up_in_its_own_thread():
    begun, ended = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def pieces():
        yield np.ones((2, 2))
        begun.wait(60)
        try:
            read.close()
        except BaseException as error:
            errors.append(error)
        ended.set()
        yield np.ones((2, 2))

    read = ahead(pieces())
    next(read)
    begun.set()
    assert ended.wait(60)
    assert not errors
