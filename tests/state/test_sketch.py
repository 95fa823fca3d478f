"""Sketches: exact where they can be, within their own stated error everywhere else.

That counts and means merge as they should is for ``test_laws``, which finds the state by itself.
"""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from covdist.errors import MergeError
from covdist.numerics.accumulator import Options
from covdist.numerics.eigen import Spectrum
from covdist.numerics.nystrom import PROBES
from covdist.state.sketch import Applied, AppliedAccumulator, Basis, Directions, Sketch, spectrum_of_sketch

from .kinds import POLICIES, bits, frozen

N, D, K = 700, 300, 8
NUMBERS = np.arange(1, D + 1)
SPECTRA = {
    "flat": np.ones(D),
    "1/i": 1 / NUMBERS,
    "exponential": np.exp(-NUMBERS / 5),
    "low rank and noise": np.where(NUMBERS <= 5, 100.0, 1.0),
    "low rank": np.where(NUMBERS <= 5, 1.0 / NUMBERS, 0.0),
}
each_spectrum = pytest.mark.parametrize("values", SPECTRA.values(), ids=SPECTRA)


def rows(values: np.ndarray, seed: int = 0, offset: float = 10.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(D, D)))[0]
    return rng.normal(size=(N, D)) * np.sqrt(values) @ rotation + offset * rng.normal(size=D)


def fold(*pieces: np.ndarray, seed: int = 0, amount: int = 2 * K + 10, missing: str = "raise") -> Sketch:
    width = pieces[0].shape[1]
    accumulator = Sketch.accumulator(width, Options(POLICIES[missing]), Directions(amount, seed))
    for piece in pieces:
        accumulator.add(piece)
    return accumulator.state()


def in_units_of_the_data(found: Spectrum) -> Spectrum:
    values, error = found.variance(found.values), found.variance(found.error)
    return found._replace(values=values, error=error, total=float(found.variance(found.total)), exponent=0)


def read(sketch: Sketch) -> Spectrum:
    return in_units_of_the_data(spectrum_of_sketch(sketch, K))


def _second(sketch: Sketch, basis: Basis, *pieces: np.ndarray, missing: str = "raise") -> Spectrum:
    state = Applied(np.zeros(basis.directions.shape))
    for piece in pieces:
        accumulator = AppliedAccumulator(basis, Options(POLICIES[missing]))
        accumulator.add(piece)
        state = state.merge(frozen(accumulator.state()))
    return state.spectrum(sketch, basis, K)


def again(sketch: Sketch, *pieces: np.ndarray, missing: str = "raise") -> Spectrum:
    """Return the spectrum after a second pass over the pieces, each folded and merged."""
    return in_units_of_the_data(_second(sketch, Basis.of(sketch), *pieces, missing=missing))


def exact(x: np.ndarray) -> np.ndarray:
    return np.linalg.eigvalsh(np.cov(x.T, ddof=0))[::-1]


@each_spectrum
@pytest.mark.parametrize("seed", range(5))
def test_within_the_stated_error(values, seed):
    x = rows(values, seed)
    expected = exact(x)
    sketch = fold(x, seed=seed)
    for found in (read(sketch), again(sketch, x)):
        # Never too large: the approximation is below the covariance.
        rounding = 1e-13 * expected[0]
        assert (found.values <= expected[:K] + rounding).all()
        assert (expected[:K] - found.values <= found.error).all()
        assert found.total == pytest.approx(expected.sum(), rel=1e-12)
        np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(K), atol=1e-12)
        sums = expected.sum() ** 2 / (expected**2).sum()
        assert found.participation == pytest.approx(sums, rel=0.5)


@each_spectrum
def test_the_stated_error_is_of_use(values):
    x = rows(values)
    first = read(sketch := fold(x))
    second = again(sketch, x)
    assert (second.error <= first.error * 1.2).all()
    fast = values[-1] < 1e-6 * values[0]
    assert second.error[0] < (1e-3 if fast else 20) * values[0]


def test_low_rank_is_found_exactly():
    x = rows(SPECTRA["low rank"])
    found, expected = read(fold(x)), exact(x)
    np.testing.assert_allclose(found.values, expected[:K], atol=1e-13 * expected[0])
    assert found.error.max() < 1e-12 * expected[0]
    shares = expected[:5] / expected[:5].sum()
    assert found.effective_rank == pytest.approx(np.exp(-np.sum(shares * np.log(shares))), rel=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_image_is_the_covariance_times_the_directions(offset):
    x = rows(SPECTRA["1/i"], offset=offset)
    wide = x.astype(np.longdouble)
    centred = (wide - wide.mean(axis=0)).astype(float)
    sketch = fold(*np.array_split(x, 7))
    expected = centred.T @ (centred @ sketch.directions.matrix(D))
    np.testing.assert_allclose(sketch.image, expected, atol=1e-12 * np.abs(expected).max())


def test_any_merge_tree_of_any_cut():
    # The mean moves by many spreads, so that every state has a centre of its own.
    x = rows(SPECTRA["1/i"]) + np.linspace(0, 1e4, N)[:, None]
    whole = fold(x)
    size = np.abs(whole.image).max()
    for seed in range(5):
        order = random.Random(seed)
        cuts = sorted(order.sample(range(N), 6))
        states = [frozen(fold(x[a:b])) for a, b in pairwise([0, *cuts, cuts[-1], N])]
        while len(states) > 1:
            order.shuffle(states)
            states.append(frozen(states.pop().merge(states.pop())))
        np.testing.assert_allclose(states[0].image, whole.image, atol=1e-12 * size)


@pytest.mark.parametrize("scale", [1e-200, 1e-300, 1e200])
def test_any_size_of_values(scale):
    x = rows(SPECTRA["exponential"], offset=0.0)
    sketch, scaled = fold(x), fold(x[:300] * scale).merge(fold(x[300:] * scale))
    basis, scaled_basis = Basis.of(sketch), Basis.of(scaled)
    pairs = [
        (spectrum_of_sketch(sketch, K), spectrum_of_sketch(scaled, K)),
        (_second(sketch, basis, x), _second(scaled, scaled_basis, x * scale)),
    ]
    for expected, found in pairs:
        np.testing.assert_allclose(found.root() / scale, expected.root(), rtol=1e-10)
        np.testing.assert_allclose(found.error / found.values, expected.error / expected.values, rtol=1e-6)


def test_columns_of_very_different_sizes():
    x = rows(SPECTRA["exponential"], offset=0.0)
    mixed = x.copy()
    mixed[:, ::3] *= 1e-200
    mixed[:, 1] = 5.0
    without = mixed.copy()
    without[:, ::3] = 0.0
    expected = exact(without)
    for sketch in (fold(mixed), fold(mixed[:100]).merge(fold(without[100:]))):
        found = read(sketch)
        assert (np.abs(found.values - expected[:K]) <= found.error).all()


def test_few_columns_lose_nothing():
    x = rows(SPECTRA["1/i"])[:, : K + PROBES]
    sketch = fold(x[:100]).merge(fold(x[100:]))
    assert sketch.directions.complete(x.shape[1])
    np.testing.assert_allclose(read(sketch).values, exact(x)[:K], rtol=1e-12)


def test_constant_columns():
    x = np.full((N, D), 1e9 / 3)
    for found in (read(sketch := fold(x)), again(sketch, x)):
        assert found.values.tolist() == [0] * K
        assert found.total == 0
        assert np.isnan(found.participation)


def test_fewer_rows_than_vectors():
    x = rows(SPECTRA["flat"])[:4]
    found, expected = read(fold(x)), exact(x)
    np.testing.assert_allclose(found.values, expected[:K], atol=1e-12 * expected[0])
    assert found.condition == np.inf


def test_rows_with_holes():
    x = rows(SPECTRA["exponential"])
    holed = np.insert(x, 5, np.nan, axis=0)
    sketch = fold(holed, missing="drop")
    assert sketch.columns.skipped == 1
    np.testing.assert_allclose(read(sketch).values, read(fold(x)).values, rtol=1e-9)
    np.testing.assert_allclose(again(sketch, holed, missing="drop").values, again(fold(x), x).values, rtol=1e-9)
    assert np.isnan(read(fold(holed, missing="propagate")).values).all()
    assert np.isnan(read(Sketch.empty(D)).values).all()


def test_the_same_bits_again():
    x = rows(SPECTRA["flat"])
    first, second = fold(x), fold(x)
    assert bits(first) == bits(second) != bits(fold(x, seed=1))
    assert bits(read(first)) == bits(read(second))


def test_directions_of_a_column_do_not_depend_on_the_others():
    few, many = Directions(3).matrix(5000), Directions(3).matrix(9000)
    np.testing.assert_array_equal(few, many[:5000])


def test_other_directions_refuse_to_merge():
    with pytest.raises(MergeError, match=r"seed=0.*seed=1"):
        Sketch.empty(D, Directions(20, 0)).merge(Sketch.empty(D, Directions(20, 1)))
