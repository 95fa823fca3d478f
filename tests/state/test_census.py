"""Zeros, subnormals, NaN and infinities are counted per column, whatever the dtype."""

from __future__ import annotations

import numpy as np
import pytest

from covdist.numerics.accumulator import Options
from covdist.numerics.screening import SpecialCounts

from .kinds import PLAIN, POLICIES
from .strategies import FLOATS, Rows

each_kind = pytest.mark.parametrize("kind", PLAIN, ids=str)
each_float = pytest.mark.parametrize("dtype", FLOATS, ids=str)


def _block(dtype: np.dtype, height: int = 700) -> np.ndarray:
    """Two zeros, one subnormal, one NaN, two infinities in column 0; one zero, two subnormals in column 2."""
    block = np.ones((height, 3), dtype)
    # bfloat16 has the exponents of float32.
    info = np.finfo(dtype if dtype.kind == "f" else np.float32)
    below = info.smallest_normal / 4
    block[[3, 300], 0] = [0.0, -0.0]
    block[5, 0], block[6, 0] = below, info.smallest_normal
    block[[7, 8, 699], 0] = [np.nan, np.inf, -np.inf]
    block[[0, 1, 2], 2] = [-0.0, -below, below]
    return block


def _census(kind, *pieces: np.ndarray, missing: str, **options: str) -> dict[str, list[int]]:
    rows = [Rows((piece, piece), np.zeros(len(piece), int)) for piece in pieces]
    census = kind.fold(*rows, options=Options(POLICIES[missing], **options)).columns.census
    return {name: getattr(census, name).tolist() for name in SpecialCounts._fields}


@each_kind
@each_float
def test_counts_of_each_dtype(kind, dtype):
    block = _block(dtype)
    expected = {"zeros": [2, 0, 1], "subnormals": [1, 0, 2], "nans": [1, 0, 0], "infs": [2, 0, 0]}
    assert _census(kind, block, missing="propagate") == expected
    assert _census(kind, block[:5], block[5:300], block[300:], missing="propagate") == expected


@each_kind
def test_dropped_rows_leave_their_holes_in_the_census(kind):
    block = np.array([[0.0, np.nan], [np.inf, 0.0], [0.0, 1.0], [1.0, 1.0]])
    expected = {"zeros": [1, 0], "subnormals": [0, 0], "nans": [0, 1], "infs": [1, 0]}
    assert _census(kind, block, missing="drop", inf="missing") == expected


@each_kind
@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "i8", "u8"])
def test_integers_have_only_zeros(kind, dtype):
    block = np.array([[0, 1], [1, 1], [0, 1]] * 200).astype(dtype)
    assert _census(kind, block, missing="raise") == {
        "zeros": [400, 0], "subnormals": [0, 0], "nans": [0, 0], "infs": [0, 0]
    }  # fmt: skip


@each_kind
def test_more_zeros_than_a_byte_counts(kind):
    zeros = np.zeros((70_000, 1), np.float16)
    assert _census(kind, zeros, missing="raise")["zeros"] == [70_000]


def test_both_sides_are_counted():
    kind = next(kind for kind in PLAIN if kind.sides == 2)
    x, y = np.ones((4, 1)), np.array([[0.0], [1.0], [0.0], [1e-310]])
    state = kind.fold(Rows((x, y), np.zeros(4, int)))
    assert state.columns.census.zeros.tolist() == [0]
    assert state.columns_y.census.zeros.tolist() == [2]
    assert state.columns_y.census.subnormals.tolist() == [1]
