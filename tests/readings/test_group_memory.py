"""Many groups take the memory of their states, and their matrices once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import covdist
from covdist.limits import changed
from covdist.state.grouped import Grouped
from covdist.state.scatter import Scatter

GROUPS, COLUMNS = 24, 256
ROWS = COLUMNS // 2 * GROUPS  # too many to be kept
STATES, MATRICES = GROUPS * Scatter.cost(COLUMNS).state_bytes, GROUPS * 8 * COLUMNS**2
X, BY = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)), np.arange(ROWS) % GROUPS


def peak(function: Callable[[], Any]) -> tuple[int, Any]:
    """Return the most bytes held during a second call, and what it returned."""
    function()
    tracemalloc.start()
    found = function()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most, found


def _folded() -> Grouped:
    accumulator = Grouped.accumulator(lambda: Scatter.accumulator(COLUMNS))
    accumulator.add(X, by=BY)
    return accumulator.state()


def test_a_fold_holds_one_matrix_a_group():
    most, _ = peak(_folded)
    assert most < 1.25 * STATES


def test_matrices_of_all_groups_are_held_once():
    m = covdist.moments(X, by=BY)
    most, found = peak(m.cov)
    assert most < 1.1 * MATRICES
    np.testing.assert_allclose(found[3], np.cov(X[BY == 3].T, ddof=0), rtol=0, atol=1e-14)


def test_matrices_of_groups_that_are_kept_as_rows_are_held_once():
    m = covdist.moments(X[: 20 * GROUPS], by=BY[: 20 * GROUPS])
    most, _ = peak(m.cov)
    assert most < 1.1 * MATRICES + 3 * STATES / GROUPS  # of one group, its state is made and its covariance


def test_saving_holds_few_chunks(tmp_path):
    m, names = covdist.moments(X, by=BY), iter("ab")

    def saved() -> None:
        with changed(store_chunk_bytes=1 << 20):
            m.save(tmp_path / next(names))

    most, _ = peak(saved)
    assert most < MATRICES / 2


@pytest.mark.parametrize("chunk", [1 << 18, 1 << 21])
def test_loading_holds_few_chunks_beside_the_states(chunk, tmp_path):
    m = covdist.moments(X, by=BY)
    with changed(store_chunk_bytes=chunk):
        m.save(tmp_path / "m.zarr")
    most, found = peak(lambda: covdist.load(tmp_path / "m.zarr"))
    assert most < 1.1 * STATES + 3 * max(chunk, 8 * COLUMNS**2)  # as stored, decoded, joined
    assert found.cov().identical(m.cov())


FEW = 6 * GROUPS * 4, GROUPS * 4  # rows of groups, all of which are kept


@pytest.mark.parametrize(
    "read",
    [
        lambda m: m.rolling("group", 3).var(),
        lambda m: m.within("group").var(),
        lambda m: m.between("group").var(),
        lambda m: m.jackknife("var", dim="group")["error"],
    ],
    ids=["rolling", "within", "between", "jackknife"],
)
def test_no_reading_holds_the_matrices_of_all_groups_of_few_rows(read):
    rows, groups = FEW
    m = covdist.moments(X[:rows], by=np.arange(rows) % groups)
    assert len(m.state.few.codes()) == groups
    most, _ = peak(lambda: read(m))
    assert most < groups * Scatter.cost(COLUMNS).state_bytes / 2
