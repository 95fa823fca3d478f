"""Products of rows, folded by columns.

The laws in ``test_laws`` cut rows; this state is cut along columns, so it keeps its own copy of them here.
"""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covdist.errors import MergeError, NonFiniteError
from covdist.numerics import packed as triangle
from covdist.numerics.blas import add_outer
from covdist.state.gram import Gram, GramAccumulator, eigenvectors

from .kinds import bits, frozen
from .strategies import blocks, cuttings, thorough

rng = np.random.default_rng(11)


def fold(*slabs: np.ndarray, missing: str = "raise") -> Gram:
    """Fold slabs (rows, columns)."""
    accumulator = GramAccumulator(slabs[0].shape[0], refuse=missing == "raise")
    for slab in slabs:
        accumulator.add(slab.T)
    return accumulator.state()


def reference(x: np.ndarray) -> np.ndarray:
    """Return the eigenvalues of x's covariance in long double products, as far as float64 holds the rest."""
    wide = x.astype(np.longdouble)
    centred = (wide - wide.mean(axis=0)).astype(np.float64)
    return np.linalg.svd(centred, compute_uv=False) ** 2 / len(x)


@pytest.mark.parametrize("n", [1, 2, 5, 64, 65])
@pytest.mark.parametrize("width", [0, 1, 200])
def test_add_outer(n, width):
    rows, start = rng.normal(size=(n, width)), rng.normal(size=(n, n))
    flat = triangle.pack(start + start.T)
    add_outer(rows, flat, -0.5)
    np.testing.assert_allclose(triangle.unpack(flat, n), start + start.T - 0.5 * rows @ rows.T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8"])
def test_top_eigenvalues(offset, dtype):
    n, d = 60, 3000
    x = (rng.normal(size=(n, d)) * rng.random(d) + offset * rng.normal(size=d)).astype(dtype)
    found, expected = fold(x).spectrum(20), reference(x)
    np.testing.assert_allclose(found.values, expected[:20], rtol=1e-10)
    assert found.total == pytest.approx(expected.sum(), rel=1e-10)
    vectors = eigenvectors(x.T, found)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(20), atol=1e-10)
    centred = x.astype(float) - x.astype(float).mean(axis=0)
    np.testing.assert_allclose(centred.T @ (centred @ vectors) / n, vectors * found.values, atol=1e-6 * expected[0])


@pytest.mark.parametrize("scale", [1e-30, 1e-200, 1e-300, 1e200])
def test_any_size_of_values(scale):
    x = rng.normal(size=(12, 90))
    found, expected = fold(x * scale).spectrum(5), fold(x).spectrum(5)
    np.testing.assert_allclose(found.root() / scale, expected.root(), rtol=1e-12)
    assert found.effective_rank == pytest.approx(expected.effective_rank)
    vectors = eigenvectors(x.T * scale, found)
    np.testing.assert_allclose(np.abs(vectors), np.abs(eigenvectors(x.T, expected)), atol=1e-12)


def test_slabs_of_very_different_sizes():
    x = rng.normal(size=(12, 90))
    parts = [x[:, :30] * 1e-200, x[:, 30:60], x[:, 60:] * 1e-200]
    for folded in (fold(*parts), fold(parts[0]).merge(fold(parts[1])).merge(fold(parts[2]))):
        np.testing.assert_allclose(folded.spectrum(3).values, fold(x[:, 30:60]).spectrum(3).values, rtol=1e-12)


def test_no_more_eigenvalues_than_the_rank():
    x = np.hstack([np.outer(rng.normal(size=8), np.ones(5)), np.full((8, 40), 1e9 / 3)])
    found = fold(x).spectrum(10)
    assert found.values[0] == pytest.approx(np.var(x[:, 0]) * 5)
    assert (found.values[1:] <= 1e-15 * found.values[0]).all()
    vectors = eigenvectors(x.T, found)
    assert vectors.shape == (45, 10)
    assert np.isfinite(vectors[:, 0]).all()
    assert np.isnan(vectors[:, 8:]).all()
    assert found.condition == np.inf


def test_constant_columns_leave_exactly_nothing():
    state = fold(np.full((7, 600), 1e9 / 3))
    assert not state.triangle.any()
    assert state.spectrum(2).values.tolist() == [0, 0]


@thorough
@given(data=st.data(), n=st.integers(1, 20), d=st.integers(1, 20), seed=st.integers(0, 2**32))
def test_any_merge_tree_of_any_cut(data, n, d, seed):
    x = np.ascontiguousarray(data.draw(blocks(np.random.default_rng(seed), n, d)))
    slabs = [x[:, a:b] for a, b in pairwise([0, *data.draw(cuttings(d)), d])]
    whole, order = fold(x), random.Random(seed)
    states = [frozen(fold(slab)) for slab in slabs]
    while len(states) > 1:
        order.shuffle(states)
        states.append(frozen(states.pop().merge(states.pop())))
    for other in (states[0], fold(*slabs)):
        assert (other.rows, other.columns, other.exponent) == (whole.rows, whole.columns, whole.exponent)
        size = np.abs(whole.triangle).max()
        np.testing.assert_allclose(other.triangle, whole.triangle, atol=1e-13 * size, rtol=0)


@thorough
@given(data=st.data(), n=st.integers(1, 20), seed=st.integers(0, 2**32))
def test_empty_is_the_identity(data, n, seed):
    state, empty = fold(data.draw(blocks(np.random.default_rng(seed), n, 3))), Gram.empty(n)
    assert bits(empty.merge(state)) == bits(state) == bits(state.merge(empty))
    assert bits(fold(np.empty((n, 0)))) == bits(empty)


def test_other_rows_refuse_to_merge():
    with pytest.raises(MergeError, match=r"\b4\b.*\b7\b"):
        Gram.empty(4).merge(Gram.empty(7))


def test_the_same_bits_again_and_for_later_columns():
    x = rng.normal(size=(30, 2000))
    accumulator = GramAccumulator(30)
    accumulator.add(x.T)
    state = accumulator.state()
    before = bits(state)
    accumulator.add(x.T)
    assert bits(state) == before == bits(fold(x))


def test_names_the_bad_value():
    x = rng.normal(size=(9, 1500))
    x[4, 1300] = np.inf
    with pytest.raises(NonFiniteError, match="inf") as caught:
        fold(x[:, :700], x[:, 700:])
    assert (caught.value.row, caught.value.column) == (4, 1300)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_propagates_nan(dtype):
    x = rng.normal(size=(9, 50)).astype(dtype)
    x[4, 3] = np.nan
    state = fold(x[:, :10], missing="propagate").merge(fold(x[:, 10:], missing="propagate"))
    assert np.isnan(state.spectrum(2).values).all()
