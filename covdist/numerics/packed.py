"""Symmetric matrices as one flat triangle in rectangular full packed storage.

The lower triangle of an n×n matrix, n(n+1)/2 numbers, folded into a rectangle so that level-3 BLAS works on it
(LAPACK Working Note 199). Column-major, with h = ceil(n/2) columns::

    n = 6:  33 43 53      n = 5:  00 33 43
            00 44 54              10 11 44
            10 11 55              20 21 22
            20 21 22              30 31 32
            30 31 32              40 41 42
            40 41 42
            50 51 52
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

LEAST_COLUMNS = 256  # of which sums of products are packed while they are added to; of fewer they are a square
_EXACT = 511  # powers of two whose products are exact; by them 1,024 columns take a third of the time of ldexp
_STRIP = 16  # rows whose factors stay in the second cache
_SMALL = 256  # columns up to which it is known where each entry lies: 10 columns take 1 us instead of 10, 256 take 50


def size(n: int) -> int:
    """Numbers held for an n×n matrix."""
    return n * (n + 1) // 2


def _parts(flat: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Views of the leading columns (n × h, lower trapezoid) and of the trailing block (transposed: upper)."""
    h = (n + 1) // 2
    even = 1 - n % 2
    rectangle = flat.reshape(*flat.shape[:-1], h, n + even).mT
    return rectangle[..., even:, :], rectangle[..., : n - h, 1 - even :]


@lru_cache(maxsize=16)
def _entries(n: int) -> np.ndarray:
    """Return which entry of a small matrix, counted along its rows, each number of its triangle is."""
    return _pack(np.arange(n * n).reshape(n, n))


@lru_cache(maxsize=16)
def _places(n: int) -> np.ndarray:
    """Return where each entry of a small matrix lies in its triangle."""
    return _unpack(np.arange(size(n)), n)


def pack(full: np.ndarray) -> np.ndarray:
    """Return the lower triangle of ``full`` (n, n) as a flat triangle, or those of several (..., n, n).

    LAPACK's ``trttf`` reads the other triangle of an array in C order, which ``syrk`` leaves empty.
    """
    n = full.shape[-1]
    return full.reshape(*full.shape[:-2], n * n).take(_entries(n), axis=-1) if n <= _SMALL else _pack(full)


def _pack(full: np.ndarray) -> np.ndarray:
    n = full.shape[-1]
    h = (n + 1) // 2
    flat = np.empty((*full.shape[:-2], size(n)), full.dtype)
    leading, trailing = _parts(flat, n)
    leading[..., h:, :] = full[..., h:, :h]
    # Both triangles lie in one rectangle: each must leave the other's half alone.
    lower = np.tri(h, dtype=bool)
    np.copyto(leading[..., :h, :], full[..., :h, :h], where=lower)
    np.copyto(trailing.mT, full[..., h:, h:], where=lower[: n - h, : n - h])
    return flat


def rows(flat: np.ndarray, n: int, start: int, stop: int) -> np.ndarray:
    """Return rows ``start:stop`` of the full symmetric matrix, shape (stop - start, n)."""
    if stop - start == n:
        return unpack(flat, n)
    h = (n + 1) // 2
    leading, trailing = _parts(flat, n)
    out = np.empty((stop - start, n))
    for i in range(start, stop):
        row = out[i - start]
        if i < h:
            row[: i + 1] = leading[i, : i + 1]
            row[i:] = leading[i:, i]
        else:
            row[:h] = leading[i]
            row[h : i + 1] = trailing[: i - h + 1, i - h]
            row[i:] = trailing[i - h, i - h :]
    return out


def unpack(flat: np.ndarray, n: int) -> np.ndarray:
    """Return the full, exactly symmetric matrix (n, n); of several triangles (..., numbers), their matrices."""
    return flat.take(_places(n), axis=-1) if n <= _SMALL else _unpack(flat, n)


def _unpack(flat: np.ndarray, n: int) -> np.ndarray:
    h = (n + 1) // 2
    leading, trailing = _parts(flat, n)
    out, lower = np.empty((*flat.shape[:-1], n, n), flat.dtype), np.tri(h, dtype=bool)
    out[..., h:, :h], out[..., :h, h:] = leading[..., h:, :], leading[..., h:, :].mT
    for start, triangle in ((0, leading[..., :h, :]), (h, trailing.mT)):
        corner, size = out[..., start : start + h, start : start + h], triangle.shape[-1]
        mask = lower[:size, :size]
        np.copyto(corner, triangle, where=mask)
        np.copyto(corner, triangle.mT, where=~mask)
    return out


def mirrored(lower: np.ndarray) -> np.ndarray:
    """Fill the upper triangle of a square by its lower one, in place and some rows at a time."""
    for start in range(0, len(lower), 64):
        strip = slice(start, start + 64)
        lower[:start, strip] = lower[strip, :start].T
        corner = lower[strip, strip]
        np.copyto(corner, corner.T, where=~np.tri(len(corner), dtype=bool))
    return lower


def rescale(flat: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return the triangle with entry (i, j) times ``2 ** (shift[i] + shift[j])``; of several each by its own."""
    if not shift.any():
        return flat
    if shift.ndim > 1:
        flat = flat.copy()
        for number in np.flatnonzero(shift.any(axis=-1)):
            flat[number] = rescale(flat[number], shift[number])
        return flat
    flat = flat.copy()
    rescale_in_place(flat, shift)
    return flat


def rescale_in_place(flat: np.ndarray, shift: np.ndarray) -> None:
    """Do the same to one triangle: for 1,024 columns the pages of another one take longer than the products."""
    n = len(shift)
    h, even = (n + 1) // 2, 1 - n % 2
    exact = np.abs(shift).max(initial=0) <= _EXACT
    by: np.ufunc = np.multiply if exact else np.ldexp
    join: np.ufunc = np.multiply if exact else np.add
    power = np.ldexp(1.0, shift) if exact else shift.astype(np.int32)
    rectangle, of_leading, of_trailing = flat.reshape(h, n + even), power[np.arange(-even, n)], power[h - 1 + even :]
    # A row of the rectangle holds the end of a leading column after the beginning of one of the trailing block.
    for first in range(0, h, _STRIP):
        strip, some = rectangle[first : first + _STRIP], slice(first, first + _STRIP)
        most = first + len(strip) + even - 1  # numbers of the trailing block in the last of these rows
        factors = join.outer(power[:h][some], of_leading)
        begins = np.tri(len(strip), most, first + even - 1, dtype=bool)
        np.copyto(factors[:, :most], join.outer(of_trailing[some], power[h : h + most]), where=begins)
        by(strip, factors, out=strip)


def order(flat: np.ndarray) -> int:
    """Return n of an n×n matrix that is held as ``flat``."""
    return (math.isqrt(8 * flat.shape[-1] + 1) - 1) // 2
