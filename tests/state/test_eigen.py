"""Leading eigenpairs, and what all eigenvalues say."""

from __future__ import annotations

import numpy as np
import pytest

from covdist.numerics.eigen import decompose, effective_rank, participation, spectrum_of

rng = np.random.default_rng(3)


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (2, 2), (3, 2), (65, 3), (130, 130)])
def test_decompose(n, k, scale):
    root = rng.normal(size=(n, n + 3))
    matrix = root @ root.T
    values, vectors = decompose(matrix * scale, k)
    np.testing.assert_allclose(values / scale, np.linalg.eigvalsh(matrix)[::-1], rtol=1e-10)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(k), atol=1e-13)
    np.testing.assert_allclose(matrix @ vectors, vectors * (values[:k] / scale), atol=1e-12 * values[0] / scale)


def test_equal_eigenvalues_have_orthonormal_vectors():
    _, vectors = decompose(np.eye(50), 20)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(20), atol=1e-14)


def test_eigenvalues_far_below_the_largest_have_orthonormal_vectors():
    """As of duplicate columns beside one far smaller: both vectors of the other directions were the same."""
    column = np.array([1e15, 1e15, 1.0])
    _, vectors = decompose(np.outer(column, column), 3)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-14)


def test_what_all_eigenvalues_say():
    assert effective_rank(np.full(7, 3.0)) == pytest.approx(7)
    assert participation(np.array([2.0, 2.0, 0.0])) == pytest.approx(2)
    assert spectrum_of(np.diag([4.0, 1.0]), 1, rows=9).condition == 4
    assert spectrum_of(np.diag([4.0, 0.0]), 1, rows=9).condition == np.inf


def test_a_matrix_of_zeros():
    found = spectrum_of(np.zeros((3, 3)), 2, rows=9)
    assert found.values.tolist() == [0, 0]
    assert np.isnan([found.effective_rank, found.participation, found.condition]).all()


def test_nan_stays_nan():
    found = spectrum_of(np.full((3, 3), np.nan), 2, rows=9)
    assert np.isnan(found.values).all()
    assert found.vectors.shape == (3, 2)
