"""``BothNorms``: a ``Both``, and beside it what the rows' squared norms add: four vectors and three numbers.

Debiased alignment takes Σ‖x‖⁴, Σ‖y‖⁴ and Σ‖x‖²‖y‖² about the means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from covdist.errors import DataError
from covdist.kernel.sums import column_sums, sum_in_order
from covdist.numerics.accumulator import Cost, Options, RowsAccumulator
from covdist.numerics.columns import Columns, combine
from covdist.numerics.matrices.two_sides import TwoSides, debiased
from covdist.numerics.products import rescaled
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns
from covdist.state.base import UNITS, Field, Fields, fold_whole, in_one_unit, segments
from covdist.state.both import Both, BothProducts, CrossAnswers
from covdist.state.fourth_order.scatter_norms import NormSums, rows_of, square_within, step_within, unit_above
from covdist.state.variances import LEAST_ROWS, Variances


class Scatters(NamedTuple):
    """The scatters that moving a centre takes, in the units of the sums that go with them."""

    x: np.ndarray
    y: np.ndarray
    between: np.ndarray

    @classmethod
    def of(cls, state: Both, unit: int, unit_y: int) -> Scatters:
        x, y = (np.maximum(c.exponent - u, -2000) for c, u in ((state.columns, unit), (state.columns_y, unit_y)))
        between = rescaled(state.rectangle, x, y)
        return cls(square_within(state.own(0), unit), square_within(state.own(1), unit_y), between)


class PairSums(NamedTuple):
    """Sums over deviations from some centres; the powers of x times ``2**-x.unit`` each, those of y ``2**-y.unit``."""

    x: NormSums
    y: NormSums
    cubes: np.ndarray  # Σ w ‖y‖² x, (columns of x,)
    cubes_y: np.ndarray  # Σ w ‖x‖² y
    fourth: float  # Σ w ‖x‖² ‖y‖²

    @classmethod
    def empty(cls, width: int, width_y: int) -> PairSums:
        return cls(NormSums.empty(width), NormSums.empty(width_y), np.zeros(width), np.zeros(width_y), 0.0)

    @classmethod
    def of(cls, block: Deviations, block_y: Deviations) -> PairSums:
        (x, weights, _), (y, _, _) = sides = rows_of(block), rows_of(block_y)
        squares, squares_y = ((each * each).sum(axis=1, keepdims=True) for each in (x, y))
        weighted = weights * squares_y
        cubes, cubes_y = column_sums(x, weighted), column_sums(y, weights * squares)
        own, own_y = (NormSums.of(*side) for side in sides)
        return cls(own, own_y, cubes, cubes_y, column_sums(squares, weighted).item())

    def within(self, unit: int, unit_y: int) -> PairSums:
        x, y = max(self.x.unit - unit, -2000), max(self.y.unit - unit_y, -2000)  # 2**-2000 is 0
        cubes, cubes_y = np.ldexp(np.ldexp(self.cubes, x), 2 * y), np.ldexp(np.ldexp(self.cubes_y, y), 2 * x)
        fourth = float(np.ldexp(np.ldexp(self.fourth, 2 * x), 2 * y))
        return PairSums(self.x.within(unit), self.y.within(unit_y), cubes, cubes_y, fourth)

    def __add__(self, other: Any) -> PairSums:
        units = max(self.x.unit, other.x.unit), max(self.y.unit, other.y.unit)
        a, b = self.within(*units), other.within(*units)
        return PairSums(a.x + b.x, a.y + b.y, a.cubes + b.cubes, a.cubes_y + b.cubes_y, a.fourth + b.fourth)

    def about(self, weight: float, scatters: Scatters, step: np.ndarray, step_y: np.ndarray) -> PairSums:
        """Return the sums about centres ``step`` before the means, about which these are; all in the same units."""
        x, y = self.x.about(weight, scatters.x, step), self.y.about(weight, scatters.y, step_y)
        more, more_y = _cubes(weight, scatters, step, step_y)
        fourth = self.fourth + _fourth(self, weight, scatters, step, step_y)
        return PairSums(x, y, self.cubes + more, self.cubes_y + more_y, fourth)

    def about_mean(self, weight: float, scatters: Scatters, step: np.ndarray, step_y: np.ndarray) -> PairSums:
        """Return the sums about the means, which lie ``step`` from the centres of these."""
        x, y = self.x.about_mean(weight, scatters.x, step), self.y.about_mean(weight, scatters.y, step_y)
        more, more_y = _cubes(weight, scatters, step, step_y)
        found = PairSums(x, y, self.cubes - more, self.cubes_y - more_y, self.fourth)
        return found._replace(fourth=self.fourth - _fourth(found, weight, scatters, step, step_y))


def _cubes(weight: float, scatters: Scatters, step: np.ndarray, step_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what steps away from the means add to Σ ‖y‖² x and to Σ ‖x‖² y."""
    norm, norm_y = (np.trace(own) + weight * sum_in_order(by * by) for own, by in _own(scatters, step, step_y))
    along = column_sums(np.ascontiguousarray(scatters.between.T), step_y[:, None])
    along_y = column_sums(scatters.between, step[:, None])
    return norm_y * step + 2 * along, norm * step_y + 2 * along_y


def _fourth(about_mean: PairSums, weight: float, scatters: Scatters, step: np.ndarray, step_y: np.ndarray) -> float:
    """Return what steps away from the means add to Σ ‖x‖² ‖y‖²."""
    (trace, square), (trace_y, square_y) = (
        (float(np.trace(own)), sum_in_order(by * by)) for own, by in _own(scatters, step, step_y)
    )
    along_y = column_sums(scatters.between, step[:, None])
    found = 2 * sum_in_order(step * about_mean.cubes)
    found += 2 * sum_in_order(step_y * (about_mean.cubes_y + 2 * along_y))
    return found + square * trace_y + square_y * (trace + weight * square)


def _own(scatters: Scatters, step: np.ndarray, step_y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(scatters.x, step), (scatters.y, step_y)]


class _BothNormsFields(NamedTuple):
    columns: Columns
    columns_y: Columns
    rectangle: np.ndarray  # these as those of ``Both``
    triangle: np.ndarray
    triangle_y: np.ndarray
    norms: PairSums  # about the means


class BothNorms(CrossAnswers, _BothNormsFields):
    """The state behind ``cka(debiased=True)``: the answers of ``Both``, and that."""

    __slots__ = ()
    name = "both norms"
    EXTENDS: ClassVar[Any] = Both
    sides = 2
    ordered = False
    FIELDS: ClassVar[Fields] = {
        **Both.FIELDS,
        "norm_cubes": Field("norms.x.cubes", (0,), extensive=1),
        "norm_cubes_y": Field("norms.y.cubes", (1,), extensive=1),
        "norm_mixed_cubes": Field("norms.cubes", (0,), extensive=1),
        "norm_mixed_cubes_y": Field("norms.cubes_y", (1,), extensive=1),
        "norm_fourth": Field("norms.x.fourth", extensive=1),
        "norm_fourth_y": Field("norms.y.fourth", extensive=1),
        "norm_mixed_fourth": Field("norms.fourth", extensive=1),
        "norm_exponent": Field("norms.x.unit", (), np.int64, **UNITS),
        "norm_exponent_y": Field("norms.y.unit", (), np.int64, **UNITS),
    }

    @classmethod
    def empty(cls, width: int, width_y: int) -> BothNorms:
        return cls(*Both.empty(width, width_y), PairSums.empty(width, width_y))

    @classmethod
    def accumulator(cls, width: int, width_y: int, options: Options = Options()) -> RowsAccumulator:
        return fold_whole(segments(cls, width, width_y, options=options), [width, width_y], LEAST_ROWS, options)

    @classmethod
    def product(cls, width: int, width_y: int, options: Options) -> _BothNormBlocks:
        return _BothNormBlocks(width, width_y, options.precision)

    @classmethod
    def cost(cls, width: int, width_y: int) -> Cost:
        """Return that of a ``Both``, and of its squares while states are merged."""
        cost, columns = Both.cost(width, width_y), width + width_y
        return cost._replace(
            state_bytes=cost.state_bytes + 16 * columns,
            row_flops=cost.row_flops + 9 * columns,
            merged_bytes=cost.merged_bytes + 16 * columns * columns,
        )

    def merge(self, other: BothNorms) -> BothNorms:
        self, other = in_one_unit(self, other)
        both = self.narrowed().merge(other.narrowed())
        _, link = combine(self.columns, other.columns)
        _, link_y = combine(self.columns_y, other.columns_y)
        if link is None or link_y is None:
            return BothNorms(*both, (other if self.columns.weight == 0 else self).norms)
        weight = self.columns.weight + other.columns.weight
        share, share_y = other.columns.weight / weight, self.columns.weight / weight
        steps = (link.delta, both.columns.exponent), (link_y.delta, both.columns_y.exponent)
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity that were let through
            first = self._about(*((-delta * share, exponent) for delta, exponent in steps))
            return BothNorms(*both, first + other._about(*((delta * share_y, exponent) for delta, exponent in steps)))

    def _about(self, x: tuple[np.ndarray, np.ndarray], y: tuple[np.ndarray, np.ndarray]) -> PairSums:
        """Return the sums about centres whose means lie ``step * 2**exponent`` from them, for (step, exponent)."""
        units = max(self.norms.x.unit, unit_above(*x)), max(self.norms.y.unit, unit_above(*y))
        steps = [np.ldexp(step, exponent - unit) for (step, exponent), unit in zip((x, y), units, strict=True)]
        return self.norms.within(*units).about(self.columns.weight, Scatters.of(self.narrowed(), *units), *steps)

    def narrowed(self) -> Both:
        """Return the state that this one extends."""
        return Both(*self[:-1])

    def side(self, number: int) -> Variances:
        return self.narrowed().side(number)

    def two_sides(self) -> TwoSides:
        return self.narrowed().two_sides()

    def debiased_alignment(self) -> float:
        """Return linear CKA by the estimates of the Hilbert-Schmidt independence criterion that have no bias."""
        columns, norms = self.columns, self.norms
        if np.ldexp(columns.weight2, columns.weight_unit) != columns.weight:
            raise DataError(
                "debiased CKA counts rows, which reliability weights have none of: pass whole numbers as frequency "
                "weights, or debiased=False"
            )
        squares = [
            float(np.trace(square_within(self.narrowed().own(number), unit)))
            for number, unit in enumerate((norms.x.unit, norms.y.unit))
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            fourths = np.array([norms.fourth, norms.x.fourth, norms.y.fourth])
            shares = fourths / np.array([squares[0] * squares[1], squares[0] ** 2, squares[1] ** 2])
        return debiased(self.two_sides(), float(np.ldexp(columns.weight, columns.weight_unit)), shares)


class _BothNormBlocks:
    """The products of ``Both``, and sums of norms about the segment's pilots."""

    def __init__(self, width: int, width_y: int, precision: str):
        self._products = BothProducts(width, width_y, precision)
        self._norms = self._empty = PairSums.empty(width, width_y)

    def add(self, sides: Sequence[Deviations]) -> None:
        self._norms = self._norms + PairSums.of(*sides)
        self._products.add(sides)

    def close(self, shifted: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> BothNorms:
        both, norms, self._norms = self._products.close(shifted, columns), self._norms, self._empty
        units = norms.x.unit, norms.y.unit
        steps = [step_within(side, unit) for side, unit in zip(shifted, units, strict=True)]
        return BothNorms(*both, norms.about_mean(shifted[0].weight, Scatters.of(both, *units), *steps))
