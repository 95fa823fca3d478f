"""Packed triangles against full matrices."""

from __future__ import annotations

import numpy as np
import pytest

from covdist.numerics import packed as triangle

each_size = pytest.mark.parametrize("n", [*range(1, 10), 32, 33])


def _symmetric(n: int) -> np.ndarray:
    full = np.random.default_rng(n).normal(size=(n, n))
    return full + full.T


def test_the_drawn_layouts():
    even, odd = (triangle.pack(np.add.outer(10 * np.arange(n), np.arange(n))) for n in (6, 5))
    assert even.astype(int).tolist()[:14] == [33, 0, 10, 20, 30, 40, 50, 43, 44, 11, 21, 31, 41, 51]
    assert odd.astype(int).tolist()[:10] == [0, 10, 20, 30, 40, 33, 11, 21, 31, 41]


@each_size
def test_round_trip(n):
    full = _symmetric(n)
    flat = triangle.pack(full)
    assert flat.shape == (triangle.size(n),)
    np.testing.assert_array_equal(triangle.unpack(flat, n), full)
    np.testing.assert_array_equal(triangle.pack(triangle.unpack(flat, n)), flat)


@each_size
def test_only_the_lower_triangle_is_read(n):
    full = _symmetric(n)
    np.testing.assert_array_equal(triangle.pack(np.tril(full)), triangle.pack(full))


@each_size
def test_every_stretch_of_rows(n):
    full = _symmetric(n)
    flat = triangle.pack(full)
    for start in range(n + 1):
        for stop in range(start, n + 1):
            np.testing.assert_array_equal(triangle.rows(flat, n, start, stop), full[start:stop])


@each_size
def test_rescale_and_back(n):
    full = _symmetric(n)
    shift = np.random.default_rng(0).integers(-40, 40, n)
    flat = triangle.pack(full)
    flat.flags.writeable = False
    scaled = triangle.rescale(flat, shift)
    np.testing.assert_array_equal(triangle.unpack(scaled, n), full * 2.0 ** np.add.outer(shift, shift))
    np.testing.assert_array_equal(triangle.rescale(scaled, -shift), flat)
    np.testing.assert_array_equal(triangle.rescale(flat, np.zeros(n, int)), flat)


@each_size
@pytest.mark.parametrize("most", [511, 1100])  # up to the last whose products are powers of two, and beyond
def test_rescale_rounds_once(n, most):
    full = _symmetric(n)
    shift = np.random.default_rng(0).choice([-most, most, 1 - most, 3, -537], n)
    with np.errstate(over="ignore"):
        scaled, expected = triangle.rescale(triangle.pack(full), shift), np.ldexp(full, np.add.outer(shift, shift))
    np.testing.assert_array_equal(triangle.unpack(scaled, n), expected)
