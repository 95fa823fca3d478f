"""``Norms``: a full state, and beside it what the rows' squared norms add: a vector and a number.

Ledoit and Wolf's intensity takes Σ‖x - mean‖⁴. Its merge takes Σ‖x - mean‖²(x - mean) and the scatter, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from covdist.kernel.sums import column_sums, sum_in_order
from covdist.numerics import packed
from covdist.numerics.accumulator import Cost, Options, RowsAccumulator
from covdist.numerics.columns import NO_EXPONENT, Columns, combine
from covdist.numerics.eigen import Spectrum
from covdist.numerics.matrices.covariance import Covariance
from covdist.numerics.matrices.eigenvalues import Eigenvalues
from covdist.numerics.products import Triangle, product
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns
from covdist.state.base import UNITS, Field, Fields, fold_whole, in_one_unit, segments
from covdist.state.scatter import Scatter
from covdist.state.variances import LEAST_ROWS, Variances


class NormSums(NamedTuple):
    """Sums over deviations y from some centre; the k-th powers times ``2**(-k * unit)``."""

    cubes: np.ndarray  # Σ w ‖y‖² y, (columns,)
    fourth: float  # Σ w ‖y‖⁴
    unit: int

    @classmethod
    def empty(cls, width: int) -> NormSums:
        return cls(np.zeros(width), 0.0, NO_EXPONENT)

    @classmethod
    def of(cls, rows: np.ndarray, weights: np.ndarray, unit: int) -> NormSums:
        """Return those of rows times ``2**-unit``, with weights (rows, 1)."""
        squares = (rows * rows).sum(axis=1, keepdims=True)
        weighted = weights * squares
        return cls(column_sums(rows, weighted), column_sums(squares, weighted).item(), unit)

    def within(self, unit: int) -> NormSums:
        shift = max(self.unit - unit, -2000)  # 2**-2000 is 0
        return NormSums(np.ldexp(self.cubes, 3 * shift), float(np.ldexp(self.fourth, 4 * shift)), unit)

    def __add__(self, other: Any) -> NormSums:
        unit = max(self.unit, other.unit)
        a, b = self.within(unit), other.within(unit)
        return NormSums(a.cubes + b.cubes, a.fourth + b.fourth, unit)

    def about(self, weight: float, scatter: np.ndarray, step: np.ndarray) -> NormSums:
        """Return the sums about a centre ``step`` before the mean, about which these are; all in the same unit."""
        trace, square, along = _parts(scatter, step)
        cubes = self.cubes + 2 * along + (trace + weight * square) * step
        fourth = self.fourth + 4 * sum_in_order(step * (along + self.cubes))
        fourth += (2 * trace + weight * square) * square
        return NormSums(cubes, fourth, self.unit)

    def about_mean(self, weight: float, scatter: np.ndarray, step: np.ndarray) -> NormSums:
        """Return the sums about the mean, which lies ``step`` from the centre of these."""
        trace, square, along = _parts(scatter, step)
        cubes = self.cubes - 2 * along - (trace + weight * square) * step
        fourth = self.fourth - 4 * sum_in_order(step * (along + cubes))
        fourth -= (2 * trace + weight * square) * square
        return NormSums(cubes, fourth, self.unit)


def _parts(scatter: np.ndarray, step: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Return the trace, the step's square, and their product: sums in an order that no BLAS chooses."""
    return float(np.trace(scatter)), sum_in_order(step * step), column_sums(scatter, step[:, None])


class _NormsFields(NamedTuple):
    columns: Columns
    triangle: np.ndarray  # as that of ``Scatter``
    norms: Any  # ``SUMS`` about the mean


class Norms(_NormsFields):
    """The state behind ``shrink("ledoit-wolf")``: the answers of ``Scatter``, and that."""

    __slots__ = ()
    name = "norms"
    EXTENDS: ClassVar[Any] = Scatter
    SUMS: ClassVar[Any] = NormSums
    sides = 1
    ordered = False
    FIELDS: ClassVar[Fields] = {
        **Scatter.FIELDS,
        "norm_cubes": Field("norms.cubes", (0,), extensive=1),
        "norm_fourth": Field("norms.fourth", extensive=1),
        "norm_exponent": Field("norms.unit", (), np.int64, **UNITS),
    }

    @classmethod
    def empty(cls, width: int) -> Norms:
        return cls(*Scatter.empty(width), cls.SUMS.empty(width))

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> RowsAccumulator:
        return fold_whole(segments(cls, width, options=options), [width], LEAST_ROWS, options)

    @classmethod
    def product(cls, width: int, options: Options) -> _NormBlocks:
        return _NormBlocks(cls, width, options.precision)

    @classmethod
    def cost(cls, width: int) -> Cost:
        """Return that of a scatter, and of a square of it while states are merged."""
        cost = Scatter.cost(width)
        return cost._replace(
            state_bytes=cost.state_bytes + 8 * width,
            row_flops=cost.row_flops + 6 * width,
            merged_bytes=cost.merged_bytes + 16 * width * width,
        )

    def merge(self, other: Norms) -> Norms:
        self, other = in_one_unit(self, other)
        scatter = self.scatter().merge(other.scatter())
        columns, link = combine(self.columns, other.columns)
        if link is None:
            return type(self)(*scatter, (other if self.columns.weight == 0 else self).norms)
        delta, weight = link.delta, self.columns.weight + other.columns.weight
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity that were let through
            first = self._about(-delta * (other.columns.weight / weight), columns.exponent)
            return type(self)(*scatter, first + other._about(delta * (self.columns.weight / weight), columns.exponent))

    def _about(self, step: np.ndarray, exponent: np.ndarray) -> Any:
        """Return the sums about a centre whose mean lies ``step * 2**exponent`` from it."""
        unit = max(self.norms.unit, unit_above(step, exponent))
        step = np.ldexp(step, exponent - unit)
        return self.norms.within(unit).about(self.columns.weight, square_within(self.scatter(), unit), step)

    def scatter(self) -> Scatter:
        return Scatter(self.columns, self.triangle)

    def side(self, number: int) -> Variances:
        return Variances(self.columns)

    def estimate(self, ddof: float, method: str | None) -> Covariance:
        return self.scatter().estimate(ddof, method, (self.norms.fourth, self.norms.unit))

    def estimate_by_norms(self, ddof: float, method: str) -> Covariance:
        """Return what a full state alone has no intensity for."""
        return self.estimate(ddof, method)

    def covariance(self, rows: slice, ddof: float) -> np.ndarray:
        return self.scatter().covariance(rows, ddof)

    def correlation(self, rows: slice) -> np.ndarray:
        return self.scatter().correlation(rows)

    def second_moment(self, rows: slice, divide: bool, append_one: bool) -> np.ndarray:
        return self.scatter().second_moment(rows, divide, append_one)

    def smallest_eigenvalue(self, ddof: float, min_periods: int) -> float:
        return self.scatter().smallest_eigenvalue(ddof, min_periods)

    def spectrum(self, k: int, vectors: bool = True) -> Spectrum:
        return self.scatter().spectrum(k, vectors)

    def eigenvalues(self) -> Eigenvalues:
        return self.scatter().eigenvalues()

    def about_zero(self, append_one: bool) -> Covariance:
        return self.scatter().about_zero(append_one)

    def uncentred_eigenvalues(self) -> Eigenvalues:
        return self.scatter().uncentred_eigenvalues()


class _NormBlocks:
    """The scatter's products, and sums of norms about the segment's pilot."""

    def __init__(self, kind: type[Norms], width: int, precision: str):
        self._product = product(Triangle(width), Scatter, precision)
        self._kind, self._empty = kind, kind.SUMS.empty(width)
        self._norms = self._empty

    def add(self, sides: Sequence[Deviations]) -> None:
        self._norms = self._norms + self._kind.SUMS.of(*rows_of(sides[0]))
        self._product.add(sides)

    def close(self, shifted: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Norms:
        scatter: Scatter = self._product.close(shifted, columns)
        (side,), norms, self._norms = shifted, self._norms, self._empty
        matrix, step = square_within(scatter, norms.unit), step_within(side, norms.unit)
        return self._kind(*scatter, norms.about_mean(side.weight, matrix, step))


def rows_of(block: Deviations) -> tuple[np.ndarray, np.ndarray, int]:
    """Return a block's rows times ``2**-unit``, their weights (rows, 1), and the unit."""
    rows = block.rows / block.roots[:, None]
    unit = unit_above(np.abs(rows).max(axis=0), block.exponent)
    return np.ldexp(rows, np.maximum(block.exponent - unit, -2000)), (block.roots * block.roots)[:, None], unit


def step_within(side: ShiftedColumns, unit: int) -> np.ndarray:
    """Return the mean less the pilot, times ``2**-unit``."""
    return np.ldexp(side.sums / side.weight, np.maximum(side.exponent - unit, -2000))


def unit_above(values: np.ndarray, exponent: np.ndarray) -> int:
    """Return a power of two that no value times ``2**exponent`` exceeds."""
    found = np.frexp(np.abs(values))[1].astype(np.int64) + exponent
    return int(found[(values != 0) & np.isfinite(values)].max(initial=NO_EXPONENT))


def square_within(scatter: Scatter, unit: int) -> np.ndarray:
    """Return the matrix times ``4**-unit``."""
    shift = np.maximum(scatter.columns.exponent - unit, -2000)
    matrix = packed.unpack(scatter.triangle, scatter.columns.width)
    return np.ldexp(np.ldexp(matrix, shift[:, None]), shift) if shift.any() else matrix
