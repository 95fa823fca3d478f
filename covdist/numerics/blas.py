"""In-place BLAS and LAPACK products that release the GIL.

``scipy.linalg.blas`` holds the GIL while it computes, so two threads run at the speed of one. The same
routines reached through ``scipy.linalg.cython_blas`` by ctypes release it, work in place and allocate nothing.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from scipy.linalg import cython_blas, cython_lapack
from threadpoolctl import ThreadpoolController

from covdist.errors import CovdistError
from covdist.kernel.library import kind

_LOWER, _UPPER, _PLAIN, _TRANSPOSED, _LEFT = map(ctypes.c_char, (b"L", b"U", b"N", b"T", b"L"))
_BLOCK = 64  # columns that LAPACK works on at once; its own choice is never larger
# Types in the signatures, and their ctypes: `int` by default, `int64_t` in ILP64 builds of SciPy 1.18 and later.
_INTEGERS = {
    "int": ctypes.c_int, "int32_t": ctypes.c_int32, "npy_int32": ctypes.c_int32, "long": ctypes.c_long,
    "int64_t": ctypes.c_int64, "npy_int64": ctypes.c_int64, "long long": ctypes.c_longlong,
}  # fmt: skip
_REAL_TYPE = re.compile(r"__pyx_t_\w+_[sd]|float|double")
_REAL = {np.dtype("f8"): ("d", ctypes.c_double), np.dtype("f4"): ("s", ctypes.c_float)}


@cache
def _signature(name: str) -> tuple[Any, bytes]:
    """Return a routine's capsule and its C signature, such as ``void (char *, int *, ..._d *)``."""
    capsule = (cython_blas.__pyx_capi__ | cython_lapack.__pyx_capi__)[name]
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    return capsule, get_name(capsule)


@cache
def _routine(name: str) -> Callable[..., None]:
    capsule, signature = _signature(name)
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    arguments = [ctypes.c_void_p] * (signature.count(b",") + 1)
    return ctypes.CFUNCTYPE(None, *arguments)(get_pointer(capsule, signature))


def integer_type(name: str, signature: str) -> Any:
    """Return the ctypes integer that a routine takes by its C signature.

    SciPy can be built with integers of 64 bits (ILP64). A routine that is given others reads beyond them and computes
    something else, or writes where it must not.
    """
    parts = signature.partition("(")[2].rstrip(")").split(",")
    types = {part.replace("const", "").strip(" *") for part in parts}
    integers = {each for each in types if each != "char" and not _REAL_TYPE.fullmatch(each)}
    if len(integers) != 1 or not (known := integers & _INTEGERS.keys()):
        raise CovdistError(
            f"the routine {name} of this SciPy takes arguments that covdist does not know, {signature}: install SciPy "
            "from PyPI or conda-forge, or report this to covdist"
        )
    return _INTEGERS[known.pop()]


@cache
def _integer(name: str) -> Any:
    return integer_type(name, _signature(name)[1].decode())


def _call(name: str, *arguments: Any) -> None:
    """Call a routine with arrays, ctypes, and Python integers, which are passed in the width that it takes."""
    integer = _integer(name)
    held = [integer(a) if isinstance(a, int) else a for a in arguments]  # alive as long as their addresses are in use
    _routine(name)(*[a.ctypes.data if isinstance(a, np.ndarray) else ctypes.addressof(a) for a in held])


def add_gram(rows: np.ndarray, sums: np.ndarray, alpha: float = 1.0) -> None:
    """Add ``alpha * rows.T @ rows`` to a triangle in rectangular full packed storage, or to a square's lower triangle.

    LAPACK's ``sfrk`` takes half the memory of a square, and is faster than ``syrk`` from 256 columns on, because half
    of the work is a ``gemm``: 4096 columns, two threads: 100 against 51 GF. With 64 columns: 31 against 36 GF.
    """
    letter, real = _REAL[sums.dtype]
    height, width = rows.shape
    if sums.ndim == 1:
        _call(f"{letter}sfrk", _PLAIN, _LOWER, _PLAIN, width, height, real(alpha), rows, width, real(1.0), sums)
    else:  # whose transpose Fortran sees
        _call(f"{letter}syrk", _UPPER, _PLAIN, width, height, real(alpha), rows, width, real(1.0), sums, width)


def add_outer(rows: np.ndarray, triangle: np.ndarray, alpha: float = 1.0) -> None:
    """Add ``alpha * rows @ rows.T`` to a triangle, as ``add_gram`` does with the other product."""
    letter, real = _REAL[triangle.dtype]
    height, width = rows.shape
    stride = max(1, width)  # LAPACK refuses 0, even if there is nothing to add
    by, one = real(alpha), real(1.0)
    _call(f"{letter}sfrk", _PLAIN, _LOWER, _TRANSPOSED, height, width, by, rows, stride, one, triangle)


def add_product(left: np.ndarray, right: np.ndarray, out: np.ndarray, alpha: float = 1.0) -> None:
    """Add ``alpha * left.T @ right`` to ``out``; all C-contiguous and of one dtype."""
    letter, real = _REAL[out.dtype]
    n, m, height, by, one = right.shape[1], left.shape[1], len(left), real(alpha), real(1.0)
    # Fortran sees the transposes: out.T (right × left) += right.T-as-stored @ left.
    _call(f"{letter}gemm", _PLAIN, _TRANSPOSED, n, m, height, by, right, n, left, m, one, out, n)


def weighted_sums(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return ``weights @ rows`` as float64."""
    height, width = rows.shape
    out, one = np.zeros(width), ctypes.c_double(1.0)
    _call("dgemv", _PLAIN, width, height, one, rows, width, weights, 1, one, out, 1)
    return out


def tridiagonal(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overwrite a symmetric matrix, of 2 rows or more, by its reduction to tridiagonal form (LAPACK's ``sytrd``).

    Returns the diagonal, the entries beside it, and factors for ``rotate_back``, which also needs the matrix.
    """
    n = len(matrix)
    diagonal, beside, factors, work = np.empty(n), np.empty(n - 1), np.empty(n - 1), np.empty(_BLOCK * n)
    _call("dsytrd", _LOWER, n, matrix, n, diagonal, beside, factors, work, len(work), 0)
    return diagonal, beside, factors


def rotate_back(matrix: np.ndarray, factors: np.ndarray, vectors: np.ndarray) -> None:
    """Overwrite eigenvectors of the tridiagonal form, one per row, by those of the matrix (``ormtr``)."""
    count, n = vectors.shape
    work = np.empty(_BLOCK * max(count, n))
    _call("dormtr", _LEFT, _LOWER, _PLAIN, n, count, matrix, n, factors, vectors, n, work, len(work), 0)


class _SingleThread:
    """Counts the tasks inside; the first limits the process's BLAS pools, the last restores them.

    float64 products differ in bits between one BLAS thread and two, and dask already keeps every core busy.
    Where a library keeps a limit for each thread, each task sets its own.
    """

    def __init__(self) -> None:
        self._before: list[tuple[Any, int]] = []
        self._begin()
        if hasattr(os, "register_at_fork"):  # not on Windows
            # Nobody may be between setting a limit and noting it while the process is copied.
            os.register_at_fork(
                before=lambda: self._lock.acquire(),
                after_in_parent=lambda: self._lock.release(),
                after_in_child=self._begin,
            )

    def _begin(self) -> None:
        """Begin anew, also in a forked child: other threads do not exist there, nor the tasks that they were in."""
        self._lock, self._inside = threading.RLock(), 0
        self._lift()

    def _lift(self) -> None:
        _restore(self._before)
        self._before = []

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before = _limit(pool for pool in _pools().lib_controllers if not _by_thread(pool))
        own = _limit(filter(_by_thread, _pools().lib_controllers))
        try:
            yield
        finally:
            _restore(own)
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._lift()


def _by_thread(pool: Any) -> bool:
    """Tell whether a limit holds only for the thread that sets it, rather than for the process."""
    openmp = getattr(pool, "threading_layer", "") == "openmp"
    return bool(pool.internal_api == "mkl" or (openmp and hasattr(pool, "_real_set_num_threads")))


def _limit(pools: Iterable[Any]) -> list[tuple[Any, int]]:
    """Let pools have one thread each; return those that had more, with how many."""
    before = [(pool, threads) for pool in pools if (threads := pool.num_threads) > 1]
    _restore([(pool, 1) for pool, _ in before])
    return before


def _restore(before: list[tuple[Any, int]]) -> None:
    for pool, threads in before:
        # Otherwise a newer threadpoolctl heeds only the first thread that has set a limit of OpenBLAS.
        getattr(pool, "_real_set_num_threads", pool.set_num_threads)(threads)


def library_names() -> str:
    """Return the BLAS libraries in use, with version and kind of processor."""
    found = (f"{each['internal_api']} {each['version']} {each.get('architecture', '')}" for each in _pools().info())
    return ", ".join(sorted({name.strip() for name in found}))


def with_kernel() -> str:
    """Return what computes what the kernel alone does not: the kernel, and the BLAS libraries."""
    return f"{kind()}, {library_names()}"


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


single_thread = _SingleThread()
