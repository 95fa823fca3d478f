"""Bands: the upper triangle once, in pieces that fit and that are worth a task each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covdist.engine.bands import Band, band_bytes, band_plan, cut_bands, tile_side
from covdist.engine.plan import Work

quick = settings(deadline=None, max_examples=100)


@quick
@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 60))
def test_bands_cover_the_upper_triangle_once(columns, side, tiles):
    seen = np.zeros((columns, columns), int)
    for band in cut_bands(columns, side, tiles * 8 * side * side):
        seen[band.start : band.stop, band.first : band.last] += 1
        for edge, end in ((band.start, False), (band.first, False), (band.stop, True), (band.last, True)):
            assert edge % side == 0 or (end and edge == columns)
    assert (seen[np.triu_indices(columns)] == 1).all()
    assert seen.max() == 1


@quick
@given(st.integers(1, 100_000), st.integers(1, 1 << 30))
def test_bands_fit_the_budget_or_are_one_tile(columns, most):
    side = tile_side(columns)
    for band in cut_bands(columns, side, most):
        assert 8 * band.cells <= max(most, 8 * side * side)
        assert band.start <= band.first < band.last <= columns


@pytest.mark.parametrize("columns", [2_000, 20_000, 30_000, 40_000])
def test_wide_bands_are_alike_and_keep_eight_workers_busy(columns):
    bands = cut_bands(columns, tile_side(columns), band_bytes(columns))
    cells = [band.cells for band in bands]
    assert all(band.last == columns and band.first == band.start for band in bands)
    assert len(bands) % 8 == 0
    assert max(cells) <= 1.35 * np.mean(cells)
    assert sum(cells) <= 1.16 * columns * (columns + 1) / 2


@pytest.mark.parametrize("columns", [100_000, 1_000_000])
def test_of_very_many_columns_bands_are_nearly_square_and_waste_little(columns):
    bands = cut_bands(columns, tile_side(columns), band_bytes(columns))
    assert sum(band.cells for band in bands) <= 1.06 * columns**2 / 2
    assert sum(band.height + band.width for band in bands) <= 3.2 * sum(band.cells**0.5 for band in bands)


@quick
@given(st.integers(500, 1_000_000))
def test_tiles_store_little_beyond_the_triangle(columns):
    side = tile_side(columns)
    count = -(-columns // side)
    assert count * (count + 1) * side**2 <= 1.1 * columns * (columns + 1)


def test_a_band_that_would_take_days_is_cut_along_the_rows():
    rows = Work(
        rows=10**9, pieces=10**6, columns="", row_bytes=10**5, piece_bytes=1, row_flops=1e8, state_bytes=1 << 28
    )
    assert band_plan(rows, 10).shards == 362


def test_a_band_says_its_size():
    assert (Band(2, 5, 3, 10).height, Band(2, 5, 3, 10).width, Band(2, 5, 3, 10).cells) == (3, 7, 21)
