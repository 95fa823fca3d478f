"""The numerics contract against exact arithmetic, one hard input after the other."""

from __future__ import annotations

import numpy as np
import pytest
from ml_dtypes import bfloat16

from covdist.numerics import packed as triangle
from covdist.state.scatter import Scatter
from covdist.state.variances import Variances

from .kinds import PLAIN, assert_accurate
from .oracle import Exact
from .strategies import FLOATS, INTEGERS, SHAPES, Rows, cast

N = 32
CUTS = {"at once": [], "one by one": range(1, N), "empty between": [0, 0, 20, 20, 21, N, N]}
each_kind = pytest.mark.parametrize("kind", PLAIN, ids=str)
each_shape = pytest.mark.parametrize("shape", sorted(SHAPES))
DISTANCES, SIZES = [0.0, 1e4, -1e8], [1.0, 1e-30, 1e-200, 1e-310, 1e200]
PLACES = [*zip(DISTANCES * 5, SIZES * 3, strict=True)]  # every pair: the numbers of both have no common divisor
# All of them in three parts, one for each way to cut: each has every size, and every distance.
THIRDS = [[(DISTANCES[(first + i) % 3], size) for i, size in enumerate(SIZES)] for first in range(3)]
DTYPE_PLACES = [(0.0, 1.0), (100.0, 30.0), (0.0, 30.0), (100.0, 1.0)]
each_cut = pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
each_part = pytest.mark.parametrize("part", ["some", pytest.param("rest", marks=pytest.mark.slow)])


def _rows(x: np.ndarray, seed: int = 0) -> Rows:
    """Rows of two sides: ``x``, and noise that shares part of it."""
    noise = np.random.default_rng(seed).normal(size=(len(x), 2))
    with np.errstate(over="ignore", invalid="ignore"):
        y = np.nan_to_num(noise * x[:, :1].astype(np.float64), posinf=0, neginf=0)
    return Rows((x, y), np.zeros(len(x), int))


def _shaped(shape: str, shift: float, scale: float, n: int = N) -> np.ndarray:
    rng = np.random.default_rng(1)
    own, steady = SHAPES[shape](rng, n), rng.normal(size=n)
    return np.stack([own + shift, steady, own + 0.1 * steady], axis=1) * scale


@each_part
@each_kind
@each_cut
@each_shape
def test_every_shape_at_every_distance_and_size(kind, cuts, shape, part):
    first = sorted(SHAPES).index(shape) + [*CUTS.values()].index(cuts)  # each shape meets each distance and each size
    for shift, scale in PLACES[first % 7 :: 7] if part == "some" else THIRDS[first % 3]:
        rows = _rows(_shaped(shape, shift, scale))
        assert_accurate(kind.fold(*rows.cut(cuts)), rows)


@each_part
@each_kind
@each_cut
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS, ids=str)
def test_every_dtype(kind, cuts, dtype, part):
    """Some: each shape cut in one way. The rest: in each way, and at another place than before in each."""
    cut = [*CUTS.values()].index(cuts)
    for i, shape in enumerate(SHAPES, (FLOATS + INTEGERS).index(dtype)):
        if part == "rest" or i % 3 == cut:
            shift, scale = DTYPE_PLACES[(i if part == "some" else i + 1 + cut) % 4]
            rows = _rows(cast(_shaped(shape, shift, scale), dtype))
            assert_accurate(kind.fold(*rows.cut(cuts)), rows)


def test_bfloat16():
    rows = _rows(_shaped("steady", 3.0, 1e-30).astype(bfloat16))
    for kind in PLAIN:
        assert_accurate(kind.fold(rows), rows)


@each_kind
@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_rows(kind, n):
    for shape in SHAPES:
        rows = _rows(_shaped(shape, 1e8, 1.0, n))
        assert_accurate(kind.fold(rows), rows)


@pytest.mark.parametrize("value", [0.1, 1e200, 1e-200, 1e-310, 1e8 + 0.1, -1 / 3])
@pytest.mark.parametrize("height", [1, 7, 1000])
def test_a_constant_column_never_varies(value, height):
    column = np.full((1000, 1), value)
    other = np.random.default_rng(0).normal(size=(1000, 1)) + np.linspace(0, 1e9, 1000)[:, None]
    accumulator = Scatter.accumulator(2)
    for start in range(0, 1000, height):
        accumulator.add(np.hstack([column, other])[start : start + height])
    state = accumulator.state()
    assert state.columns.squares[0] == 0
    assert triangle.unpack(state.triangle, 2)[0].tolist() == [0, 0]
    assert state.columns.mean[0] == value


@pytest.mark.parametrize(("dtype", "size"), [("f4", 1e-30), ("f8", 1e-200), ("f8", 1e-310), ("f8", 1e200)])
def test_std_and_snr_of_gradients_of_any_size(dtype, size):
    gradients = ((np.random.default_rng(0).normal(size=(500, 3)) + 0.25) * size).astype(dtype)
    accumulator = Variances.accumulator(3)
    for start in range(0, 500, 100):
        accumulator.add(gradients[start : start + 100])
    columns = accumulator.state().columns
    std = np.ldexp(np.sqrt(columns.squares / columns.weight), columns.exponent)
    # The reference multiplies by a power of two, which changes no digit but brings squares into range.
    power = int(np.frexp(size)[1])
    scaled = np.ldexp(gradients.astype(np.float64), -power)
    np.testing.assert_allclose(std, np.ldexp(scaled.std(axis=0), power), rtol=1e-12)
    np.testing.assert_allclose(columns.mean / std, scaled.mean(axis=0) / scaled.std(axis=0), rtol=1e-12)


@each_kind
def test_blocks_taller_than_the_buffer(kind):
    """A jump by 1e8 spreads inside one tall block, away from the buffer's edges, and another column drifting."""
    n = 2000
    rng = np.random.default_rng(0)
    jump = np.where(np.arange(n) < 700, 0.0, 1e8)
    x = np.stack([rng.normal(size=n) + jump, rng.normal(size=n) + np.linspace(0, 1e6, n)], axis=1)
    wide = np.zeros((n, 1022), np.float32)
    block, width_y = np.hstack([x, wide]), 1024 if kind.paired else 1
    accumulator = kind.accumulator([1024, width_y])
    accumulator.add(*(block, block[:, :width_y])[: kind.sides])
    columns = accumulator.state().columns
    truth = Exact(x)
    for i in range(2):
        variance = float(truth.cov(0, i, 0, i))
        assert columns.squares[i] / n == pytest.approx(variance, rel=1e-12)
    assert not columns.squares[2:].any()


def test_variances_are_never_negative():
    """Cancellation at its worst: the same number but for the last bit of one row."""
    x = np.full((300, 50), 1e8)
    x[17] = np.nextafter(1e8, 2e8)
    for height in (1, 3, 300):
        accumulator = Scatter.accumulator(50)
        for start in range(0, 300, height):
            accumulator.add(x[start : start + height])
        assert (accumulator.state().columns.squares > 0).all()
