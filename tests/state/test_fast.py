"""precision="fast": within its stated error, whatever the columns' sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covdist.numerics.accumulator import Options
from covdist.numerics.packed import unpack
from covdist.state.cross import Cross
from covdist.state.scatter import Scatter

FAST = Options(precision="fast")
BOUND = 1.3e-4  # of σ_i σ_j, however the roundings fall
USUAL = 2e-6  # and where they fall by chance


def _matrix(state) -> np.ndarray:
    """Scatter over σ_i σ_j, so that entries are errors in the contract's unit."""
    roots = np.sqrt(state.columns.squares)
    if isinstance(state, Cross):
        return state.rectangle / roots[:, None] / np.sqrt(state.columns_y.squares)
    return unpack(state.triangle, len(roots)) / roots[:, None] / roots


def _fold(kind, options: Options, *blocks: np.ndarray):
    accumulator = kind.accumulator(*(block.shape[1] for block in blocks), options=options)
    for piece in zip(*(np.array_split(block, 7) for block in blocks), strict=True):
        accumulator.add(*piece)
    return accumulator.state()


def _columns(rows: int, width: int, decades: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(rows, width)) @ rng.normal(size=(width, width))
    return (mixed + 3 * rng.normal(size=width)) * 10.0 ** rng.uniform(-decades, decades, width)


@pytest.mark.parametrize("decades", [0, 15, 100, 150])
def test_error_is_within_the_bound(decades):
    x = _columns(5000, 12, decades, 0)
    high, fast = (_fold(Scatter, options, x) for options in (Options(), FAST))
    error = np.abs(_matrix(high) - _matrix(fast)).max()
    assert 0 < error < USUAL < BOUND
    np.testing.assert_array_equal(high.columns.squares, fast.columns.squares)
    np.testing.assert_array_equal(high.columns.mean, fast.columns.mean)


def test_cross_is_within_the_bound():
    x, y = _columns(5000, 9, 20, 1), _columns(5000, 4, 20, 2)
    y[:, 0] = x[:, 0]
    high, fast = (_fold(Cross, options, x, y) for options in (Options(), FAST))
    assert 0 < np.abs(_matrix(high) - _matrix(fast)).max() < USUAL


@given(st.integers(0, 5), st.floats(1e10, 1e25))
def test_outliers_that_float32_cannot_square_are_multiplied_in_float64(seed, size):
    x = _columns(600, 4, 0, seed)
    x[300, 1] *= size
    high, fast = (_fold(Scatter, options, x) for options in (Options(), FAST))
    assert np.abs(_matrix(high) - _matrix(fast)).max() < BOUND


def test_rows_that_all_round_the_same_way_stay_within_the_bound():
    x = np.full((4096, 2), 1 + 2.0**-24)  # rounds down to 1 in float32, every time
    x[::2] *= -1
    high, fast = (_fold(Scatter, options, x) for options in (Options(), FAST))
    assert np.abs(_matrix(high) - _matrix(fast)).max() < BOUND
