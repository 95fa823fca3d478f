"""The in-place products against numpy, in one thread and in two."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, local
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from covdist.errors import CovdistError
from covdist.numerics import blas
from covdist.numerics import packed as triangle
from covdist.numerics.blas import add_gram, add_product, single_thread, weighted_sums

from .kinds import PLAIN, bits
from .strategies import Rows

rng = np.random.default_rng(5)
each_size = pytest.mark.parametrize("n", [*range(1, 10), 64, 65])
each_height = pytest.mark.parametrize("height", [0, 1, 3, 200])
each_dtype = pytest.mark.parametrize("dtype", ["f4", "f8"])


def _near(dtype: str) -> dict[str, float]:
    tolerance = 1e-4 if dtype == "f4" else 1e-12
    return {"rtol": tolerance, "atol": tolerance}


@each_size
@each_height
@each_dtype
def test_add_gram(n, height, dtype):
    rows = rng.normal(size=(height, n)).astype(dtype)
    start = rng.normal(size=(n, n))
    flat = triangle.pack(start + start.T).astype(dtype)
    add_gram(rows, flat, -0.5)
    np.testing.assert_allclose(triangle.unpack(flat, n), start + start.T - 0.5 * rows.T @ rows, **_near(dtype))


@each_size
@each_height
@each_dtype
def test_add_product(n, height, dtype):
    left, right = rng.normal(size=(height, n)).astype(dtype), rng.normal(size=(height, 7)).astype(dtype)
    out = rng.normal(size=(n, 7)).astype(dtype)
    expected = out + 2.0 * left.T @ right
    add_product(left, right, out, 2.0)
    np.testing.assert_allclose(out, expected, **_near(dtype))


@each_size
@each_height
def test_weighted_sums(n, height):
    weights, rows = rng.normal(size=height), rng.normal(size=(height, n))
    np.testing.assert_allclose(weighted_sums(weights, rows), weights @ rows, **_near("f8"))


TYPES = "char *, {0} *, __pyx_t_5scipy_6linalg_11cython_blas_d *, {0} *, double *, float *"


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("int", 4),
        ("int32_t", 4),
        ("int64_t", 8),
        ("npy_int64", 8),
        ("long long", 8),
        ("long", ctypes.sizeof(ctypes.c_long)),
    ],
)
def test_integers_have_the_width_of_the_signature(text, width):
    assert ctypes.sizeof(blas.integer_type("dsyrk", f"void ({TYPES.format(text)})")) == width


@pytest.mark.parametrize(
    "signature", [f"void ({TYPES.format('blas_int')})", "void (char *)", "void (int *, long *)", ""]
)
def test_a_signature_that_is_not_known(signature):
    with pytest.raises(CovdistError, match="routine dsyrk of this SciPy takes arguments"):
        blas.integer_type("dsyrk", signature)


def test_wide_integers_reach_the_routine(monkeypatch):
    """Signatures as those of an ILP64 SciPy, and a routine that reads its integers as such."""
    seen = []

    def routine(*pointers: int) -> None:
        seen.extend(ctypes.c_int64.from_address(pointers[i]).value for i in (1, 2, 5, 7, 10))

    monkeypatch.setattr(blas, "_signature", lambda name: (None, f"void ({TYPES.format('int64_t')})".encode()))
    monkeypatch.setattr(blas, "_routine", lambda name: routine)
    blas._integer.cache_clear()
    weighted_sums(np.ones(3), np.ones((3, 5)))
    blas._integer.cache_clear()
    assert seen == [5, 3, 5, 1, 1]


def test_scipy_still_says_its_signatures():
    for name in ("dgemm", "dgemv", "dsfrk", "ssfrk", "dsyrk", "ssyrk", "dsytrd", "dormtr"):
        _, signature = blas._signature(name)
        assert signature.startswith(b"void (char *")
        assert blas.integer_type(name, signature.decode()) in (ctypes.c_int, ctypes.c_int64)


def _together(work, *arguments):
    """Run two calls that start at the same moment."""
    gate = Barrier(2)

    def task(argument):
        gate.wait()
        return work(argument)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(task, arguments))


def test_two_threads_at_once_give_the_same_bits():
    rows = rng.normal(size=(900, 130))

    def products(scale: float) -> list[np.ndarray]:
        flat, out = np.zeros(triangle.size(130)), np.zeros((130, 130))
        with single_thread():
            for _ in range(5):
                add_gram(scale * rows, flat)
                add_product(rows, scale * rows, out)
            return [flat, out, weighted_sums(scale * rows[:, 0].copy(), rows)]

    alone = [bits(products(scale)) for scale in (1.0, 3.0)]
    assert [bits(result) for result in _together(products, 1.0, 3.0)] == alone


@pytest.mark.parametrize("kind", PLAIN, ids=str)
def test_a_fold_has_the_same_bits_whatever_the_blas_threads(kind):
    x = rng.normal(size=(3000, 400)) + np.linspace(0, 1e4, 3000)[:, None]
    pieces = Rows((x, x[:, ::-1]), np.zeros(3000, int)).cut([1000, 1100])
    folded = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            folded.append(bits(kind.fold(*pieces)))
            folded += map(bits, _together(lambda rows: kind.fold(*rows), pieces, pieces))
    assert all(state == folded[0] for state in folded)


def test_the_last_one_out_restores_the_threads():
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in ThreadpoolController().info() if pool["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        outside = threads()
        with single_thread():
            with single_thread():
                assert set(threads()) == {1}
            assert set(threads()) == {1}
        assert threads() == outside


def test_a_thread_that_set_a_limit_before_keeps_none_from_its_own():
    """Such as a notebook's: a newer threadpoolctl heeds only the first thread that has set one while it lives."""

    def threads() -> set[int]:
        return {pool["num_threads"] for pool in ThreadpoolController().info() if pool["user_api"] == "blas"}

    with ThreadPoolExecutor(1) as other:
        limits = other.submit(threadpool_limits, 2, user_api="blas").result()
        with single_thread():
            assert threads() == {1}
        assert other.submit(threads).result() == {2}
        other.submit(limits.restore_original_limits).result()


class LocalPool:
    """A library that keeps a limit for each thread, as MKL does."""

    internal_api = "mkl"

    def __init__(self) -> None:
        self.of_thread = local()

    @property
    def num_threads(self) -> int:
        return getattr(self.of_thread, "limit", 4)

    def set_num_threads(self, number: int) -> None:
        self.of_thread.limit = number


def test_limits_of_threads_are_set_and_restored_by_each(monkeypatch):
    pool, both_inside = LocalPool(), Barrier(2)
    monkeypatch.setattr(blas, "_pools", lambda: SimpleNamespace(lib_controllers=[pool]))

    def seen(_) -> tuple[int, int]:
        with single_thread():
            both_inside.wait()
            inside = pool.num_threads
            both_inside.wait()
        return inside, pool.num_threads

    assert _together(seen, 0, 1) == [(1, 4), (1, 4)]
