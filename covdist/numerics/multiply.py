"""Adds products of rows to sums of them in place: by the compiled kernel, or by BLAS where none was compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from covdist.kernel import products
from covdist.kernel.library import compiled
from covdist.numerics import blas

_MOST_ROWS = 2048  # summed in float32


def add_gram(rows: np.ndarray, sums: np.ndarray, factor: float = 1.0) -> None:
    """Add ``factor * rows.T @ rows`` to a triangle in rectangular full packed storage, or a square's lower triangle."""
    (products if compiled() else blas).add_gram(rows, sums, factor)


def add_product(left: np.ndarray, right: np.ndarray, out: np.ndarray, factor: float = 1.0) -> None:
    """Add ``factor * left.T @ right`` to ``out``; all C-contiguous."""
    (products if compiled() else blas).add_product(left, right, out, factor)


def add_float_gram(rows: np.ndarray, scale: np.ndarray, sums: np.ndarray) -> None:
    """Add the products of ``rows * scale`` to a triangle or a square, computed and summed in float32 for some rows."""
    if compiled():
        products.add_float_gram(rows, scale, sums)
    else:
        _in_floats([rows], [scale], sums, blas.add_gram)


def add_float_product(rows: Sequence[np.ndarray], scales: Sequence[np.ndarray], out: np.ndarray) -> None:
    """Add the products of two sides' rows times their scales to ``out``, as ``add_float_gram`` does."""
    if compiled():
        products.add_float_product(rows, scales, out)
    else:
        _in_floats(rows, scales, out, blas.add_product)


def _in_floats(
    rows: Sequence[np.ndarray], scales: Sequence[np.ndarray], out: np.ndarray, add: Callable[..., None]
) -> None:
    rounded = [np.multiply(*pair, dtype=np.float32, casting="same_kind") for pair in zip(rows, scales, strict=True)]
    for start in range(0, len(rounded[0]), _MOST_ROWS):
        sums = np.zeros(out.shape, np.float32)
        add(*(each[start : start + _MOST_ROWS] for each in rounded), sums)
        out += sums
