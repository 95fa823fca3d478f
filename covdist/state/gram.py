"""``Gram``: the n × n products of n rows, centred column by column; for many more columns than rows.

The covariance (columns × columns) has the same eigenvalues other than zero, and X'u / sqrt(n λ) for its
eigenvectors. Blocks of *columns* are folded, each with all of its rows, so every column's mean is known at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from covdist.errors import MergeError, NonFiniteError
from covdist.numerics import packed as triangle
from covdist.numerics.blas import add_outer, single_thread, weighted_sums
from covdist.numerics.columns import NO_EXPONENT, quantised_exponent
from covdist.numerics.eigen import Spectrum, spectrum_of
from covdist.numerics.screening import TILE
from covdist.numerics.shifted_columns import beyond_float64, high_part, low_part

LEAST_COLUMNS = 512  # fewer would move the triangle through memory more often than the cores can use it
_SAMPLE_STEP = 16
_NEAR_TOP, _DOWN = 2.0**900, 256  # sums of larger numbers could leave float64's range
_EXPECTED = "missing='raise' expects finite values only: leave such rows out beforehand"


class Gram(NamedTuple):
    """Sum over the columns of (x - mean)(x - mean)ᵀ, times ``4 ** -exponent``."""

    rows: int
    columns: int  # folded
    exponent: int  # NO_EXPONENT while no column has varied
    triangle: np.ndarray  # float64, rectangular full packed

    @classmethod
    def empty(cls, rows: int) -> Gram:
        return cls(rows, 0, NO_EXPONENT, np.zeros(triangle.size(rows)))

    def merge(self, other: Gram) -> Gram:
        if self.rows != other.rows:
            raise MergeError(f"cannot merge products of {self.rows} rows with products of {other.rows} rows")
        columns, exponent = self.columns + other.columns, max(self.exponent, other.exponent)
        live = [state for state in (self, other) if state.exponent != NO_EXPONENT]
        if len(live) < 2:
            return (live[0] if live else self)._replace(columns=columns)
        low, high = sorted(live, key=lambda state: state.exponent)
        shift = 2 * (low.exponent - exponent)
        lowered = np.ldexp(low.triangle, shift) if shift else low.triangle
        return Gram(self.rows, columns, exponent, high.triangle + lowered)

    def spectrum(self, k: int, vectors: bool = True) -> Spectrum:
        """Return the k leading eigenpairs of the covariance, or their values; the vectors are those of the rows."""
        matrix = triangle.unpack(self.triangle, self.rows)
        matrix /= self.rows
        exponent = 0 if self.exponent == NO_EXPONENT else self.exponent
        return spectrum_of(matrix, k, rows=self.rows, exponent=exponent, size=self.columns, vectors=vectors)


class GramAccumulator:
    """Folds blocks (columns, rows) of the transposed data; refuses NaN and infinity, or lets them into all products."""

    least_rows = LEAST_COLUMNS  # of the transposed data

    def __init__(self, rows: int, refuse: bool = True):
        self._state = Gram.empty(rows)
        self._refuse = refuse

    def add(self, block: np.ndarray) -> None:
        with single_thread(), np.errstate(over="ignore", invalid="ignore"):
            for columns, deviations, down in _runs(block):
                rows, folded, exponent, products = self._state
                if self._refuse and not np.isfinite(deviations[-1]).all():
                    _refuse(columns, folded)
                if columns.dtype.itemsize == 8:
                    exponent = self._scaled(deviations, down)
                elif exponent == NO_EXPONENT and deviations.any():
                    exponent = 0
                add_outer(deviations, products)
                self._state = Gram(rows, folded + columns.shape[1], exponent, products)

    def _scaled(self, deviations: np.ndarray, down: int) -> int:
        """Bring deviations times ``2**-down`` and what is held to one scale, in place; return its exponent."""
        held, products = self._state.exponent, self._state.triangle
        top = max(deviations.max(initial=0), -deviations.min(initial=0))
        if not np.isfinite(top):
            return max(held, 0)
        top = min(np.ldexp(top, down), np.finfo(np.float64).max)
        exponent = max(held, int(quantised_exponent(np.array(top))))
        if exponent not in (down, NO_EXPONENT):
            np.ldexp(deviations, down - exponent, out=deviations)
        if held not in (exponent, NO_EXPONENT):
            np.ldexp(products, 2 * (held - exponent), out=products)
        return exponent

    def state(self) -> Gram:
        return self._state._replace(triangle=self._state.triangle.copy())


def _runs(block: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Yield runs of the columns of ``block`` (columns, rows) small enough for the cache, and their deviations.

    Both are (rows, columns); deviations are float64, less each column's mean, times ``2**-down``, in a buffer that may
    be overwritten. One that is not finite spoils its whole column. ``down`` comes last.
    """
    rows = max(block.shape[1], 1)
    width = min(max(LEAST_COLUMNS, TILE // rows), len(block))
    buffer, ones = np.empty(width * rows), np.ones(rows)
    for start in range(0, len(block), max(width, 1)):
        columns = block[start : start + width].T
        out = buffer[: columns.size].reshape(columns.shape)
        down = _differences(columns, out)
        # A constant column must leave exactly 0, so the pilot is a value of the column and a mean of differences.
        out -= out[0] + (out[::_SAMPLE_STEP] - out[0]).mean(axis=0)
        out -= weighted_sums(ones, out) / len(out)
        yield columns, out, down


def _differences(columns: np.ndarray, out: np.ndarray) -> int:
    """Fill ``out`` with values times ``2**-down``, which is returned; with large integers less the first row's."""
    if beyond_float64(columns):
        np.subtract(high_part(columns), high_part(columns[0]), out=out)
        out += low_part(columns) - low_part(columns[0])
        return 0
    np.copyto(out, columns)
    if columns.dtype.itemsize < 8 or not max(out.max(initial=0), -out.min(initial=0)) > _NEAR_TOP:
        return 0
    out *= 2.0**-_DOWN
    return _DOWN


def _refuse(columns: np.ndarray, folded: int) -> None:
    bad = ~np.isfinite(columns)
    if bad.any():
        column = int(np.argmax(bad.any(axis=0)))
        row = int(np.argmax(bad[:, column]))
        value, amount = f"{columns[row, column]}", int(bad.sum())
        raise NonFiniteError(value, row=row, column=folded + column, amount=amount, advice=_EXPECTED)


def eigenvectors(block: np.ndarray, spectrum: Spectrum) -> np.ndarray:
    """Return the covariance's eigenvectors at the columns of ``block`` (columns, rows), shape (columns, k).

    NaN where the eigenvalue is zero to rounding: no direction is singled out then.
    """
    values, n = spectrum.values, block.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        basis = np.where(values > spectrum.error, spectrum.vectors / np.sqrt(n * values), np.nan)
    basis, out = np.ascontiguousarray(basis), np.empty((len(block), len(values)))
    done = 0
    with single_thread(), np.errstate(over="ignore", invalid="ignore"):
        for columns, deviations, down in _runs(block):
            if spectrum.exponent != down:
                np.ldexp(deviations, down - spectrum.exponent, out=deviations)
            np.matmul(deviations.T, basis, out=out[done : done + columns.shape[1]])
            done += columns.shape[1]
    return out
