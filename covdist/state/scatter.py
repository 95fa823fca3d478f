"""``Scatter``: the columns' moments and their full centred scatter matrix, as one packed triangle."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from covdist.kernel.library import SQUARE
from covdist.numerics import packed
from covdist.numerics.accumulator import COLUMN_BYTES, COLUMN_FLOPS, Cost, Options, RowsAccumulator
from covdist.numerics.columns import NO_EXPONENT, Columns, combine, divisor, quantised_exponent, variance
from covdist.numerics.correlation import correlation_of, covariance_of, own_correlations, set_diagonal
from covdist.numerics.eigen import Spectrum, smallest_of, spectrum_of, unknown
from covdist.numerics.matrices.covariance import Covariance
from covdist.numerics.matrices.eigenvalues import Eigenvalues
from covdist.numerics.matrices.second_moment import MeanColumns, second_moment
from covdist.numerics.matrices.shrinkage import intensity, shrunk
from covdist.numerics.ordinary import fold_side_by_side
from covdist.numerics.products import Triangle, add_outer, product
from covdist.numerics.segments import Product
from covdist.state.base import Field, Fields, column_fields, fold_whole, segments
from covdist.state.variances import LEAST_ROWS, Variances


class _ScatterFields(NamedTuple):
    columns: Columns
    triangle: np.ndarray  # float64, rectangular full packed


class Scatter(_ScatterFields):
    """Sum over the rows of (x - mean)(x - mean)ᵀ, entry (i, j) times 2**-(exponent[i] + exponent[j])."""

    __slots__ = ()
    name = "full"
    sides = 1
    ordered = False
    CONTAINS = Variances  # bit for bit, of the same rows
    STACKABLE = True
    FIELDS: ClassVar[Fields] = {
        **column_fields(),
        "scatter": Field("triangle", (0, 1), extensive=1, triangle=True, least=0),
    }

    @classmethod
    def empty(cls, width: int) -> Scatter:
        return cls(Columns.empty(width), np.zeros(packed.size(width)))

    @classmethod
    def accumulator(cls, width: int, options: Options = Options()) -> RowsAccumulator:
        return fold_whole(segments(cls, width, options=options), [width], LEAST_ROWS, options)

    @classmethod
    def product(cls, width: int, options: Options) -> Product:
        return product(Triangle(width), Scatter, options.precision)

    @classmethod
    def cost(cls, width: int) -> Cost:
        state_bytes = 8 * packed.size(width) + COLUMN_BYTES * width
        return Cost(state_bytes, width * width + COLUMN_FLOPS * width, LEAST_ROWS, width)

    @classmethod
    def of_stack(cls, block: np.ndarray, precision: str) -> tuple[Scatter, np.ndarray] | None:
        """As that of ``Variances``."""
        if (found := fold_side_by_side(block, SQUARE, precision == "fast")) is None:
            return None
        return cls(found.columns, found.triangles), found.ordinary

    def merge(self, other: Scatter) -> Scatter:
        columns, link = combine(self.columns, other.columns)
        if link is None:
            return Scatter(columns, (other if self.columns.weight == 0 else self).triangle)
        merged = packed.rescale(self.triangle, link.shift_a) + packed.rescale(other.triangle, link.shift_b)
        add_outer(link.delta, merged, link.factor)
        return Scatter(columns, merged)

    def side(self, number: int) -> Variances:
        return Variances(self.columns)

    def covariance(self, rows: slice, ddof: float) -> np.ndarray:
        columns, divided_by = self.columns, divisor(self.columns, ddof)
        exponent, width = columns.exponent, columns.width
        matrix = packed.rows(self.triangle, width, rows.start, rows.stop)
        matrix = covariance_of(matrix, divided_by, exponent[rows], exponent)
        # The diagonal of these rows; by numpy.fill_diagonal it takes twice as long.
        matrix.reshape(-1)[rows.start :: width + 1] = variance(columns, divided_by)[rows]
        return matrix

    def correlation(self, rows: slice) -> np.ndarray:
        roots = np.sqrt(self.columns.squares)
        own = roots[..., rows]
        matrix = correlation_of(packed.rows(self.triangle, roots.shape[-1], rows.start, rows.stop), own, roots)
        set_diagonal(matrix[..., rows], own_correlations(own))
        return matrix

    def second_moment(self, rows: slice, divide: bool, append_one: bool) -> np.ndarray:
        width, side = self.columns.width, MeanColumns.of(self.columns, append_one)
        scatter = packed.rows(self.triangle, width, rows.start, min(rows.stop, width))
        return second_moment(scatter, self.columns, side.part(rows), side, divide)

    def smallest_eigenvalue(self, ddof: float, min_periods: int) -> float:
        return smallest_of(self.covariance(slice(0, self.columns.width), ddof))

    def spectrum(self, k: int, vectors: bool = True) -> Spectrum:
        """Return the k leading eigenpairs of the population covariance, or their values alone."""
        columns = self.columns
        if columns.weight == 0:
            return unknown(columns.width, k, columns.rows)
        matrix, unit = self.in_one_unit()
        return spectrum_of(matrix, k, rows=columns.rows, exponent=unit, vectors=vectors)

    def eigenvalues(self) -> Eigenvalues:
        """Return those of the population covariance."""
        divisor(self.columns, 0)
        return Eigenvalues.of(*self.in_one_unit())

    def uncentred_eigenvalues(self) -> Eigenvalues:
        """Return those of the mean of x xᵀ."""
        side = MeanColumns.of(self.columns, False)
        unit, scatter = int(side.unit.max()), packed.unpack(self.triangle, self.columns.width)
        return Eigenvalues.of(second_moment(scatter, self.columns, side, side, True, unit), unit)

    def about_zero(self, append_one: bool) -> Covariance:
        """Return the mean of x xᵀ, maybe with a last column of ones, its root mean squares apart."""
        side, scatter = MeanColumns.of(self.columns, append_one), packed.unpack(self.triangle, self.columns.width)
        matrix = second_moment(scatter, self.columns, side, side, True, side.unit)
        roots = np.sqrt(np.diagonal(matrix))
        return Covariance(np.ldexp(roots, side.unit), correlation_of(matrix, roots, roots), self._rank() + 1)

    def estimate(self, ddof: float, method: str | None, fourth: tuple[float, int] = (np.nan, 0)) -> Covariance:
        """Return the covariance, or one that is shrunk by a method, as what can be inverted.

        ``fourth`` is the sum of the norms' fourth powers times ``2**(-4 * unit)``, and the unit.
        """
        columns = self.columns
        divisor(columns, ddof)  # refuses where there is none
        if method is None:
            everything = slice(0, columns.width)
            return Covariance(self.side(0).deviation(ddof), self.correlation(everything), self._rank())
        matrix, unit = self.in_one_unit()
        mean_fourth = float(np.ldexp(fourth[0] / columns.weight, 4 * max(fourth[1] - unit, -500)))
        share = intensity(method, matrix, columns.weight**2 / columns.weight2, mean_fourth)
        return self.shrunk_to(shrunk(matrix, share), unit, ddof, share)

    def shrunk_to(self, matrix: np.ndarray, unit: int, ddof: float, share: float) -> Covariance:
        """Return what can be inverted of a population covariance times ``4**-unit`` that was shrunk."""
        columns, roots = self.columns, np.sqrt(np.diagonal(matrix))
        deviations = np.ldexp(roots * np.sqrt(columns.weight / divisor(columns, ddof)), unit)
        return Covariance(deviations, correlation_of(matrix, roots, roots), columns.width, share)

    def _rank(self) -> int:
        return self.columns.rows - 1

    def in_one_unit(self) -> tuple[np.ndarray, int]:
        """Return the population covariance times ``4**-unit``, and the unit; fourth powers of deviations fit in it."""
        columns = self.columns
        matrix = packed.unpack(self.triangle, columns.width)
        matrix /= columns.weight
        sizes = columns.exponent + quantised_exponent(np.sqrt(columns.squares / columns.weight))
        largest = int(sizes.max(initial=NO_EXPONENT))
        unit = largest if largest > NO_EXPONENT // 2 else 0
        shift = columns.exponent - unit
        if shift.any():
            matrix = np.ldexp(np.ldexp(matrix, shift[:, None]), shift)
        return matrix, unit


class Fitted(Scatter):
    """A scatter that was estimated; a sum of it with another is a plain one."""

    record: dict[str, Any]  # how it was estimated

    def _rank(self) -> int:
        return self.columns.width  # a fit gives what is missing a spread of its own
