"""``Projected``: the scatter of layers' columns projected on random directions, of layers too wide for their own.

With Gaussian directions ω of one layer and ψ of another the mean of (ωᵀ C ψ)² is ‖C‖² (Frobenius) of what lies between
them, so that the similarity of two layers can be estimated; ``covdist.numerics.matrices.projected`` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate, pairwise
from typing import ClassVar, NamedTuple

import numpy as np

from covdist.errors import DataError, MergeError
from covdist.numerics import packed
from covdist.numerics.accumulator import COLUMN_BYTES, COLUMN_FLOPS, Cost, Options, RowsAccumulator
from covdist.numerics.columns import NO_EXPONENT, Columns, combine
from covdist.numerics.matrices.projected import alignments
from covdist.numerics.products import add_gram, add_outer
from covdist.numerics.segments import Segments
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns
from covdist.state.base import UNITS, Field, Fields, column_fields, fold_whole
from covdist.state.variances import Variances

LEAST_ROWS = 64  # of layers so wide that more rows of deviations would outgrow the state


@dataclass(frozen=True)
class Projected:
    """The type of states of layers side by side, each projected on directions of its own, drawn by ``seed``."""

    layers: tuple[int, ...] = ()  # columns of each; by default all are one layer's
    directions: int = 256
    seed: int = 0
    name: ClassVar[str] = "projected"
    BY_OPTION: ClassVar[bool] = True
    sides: ClassVar[int] = 1
    ordered: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(map(int, self.layers)))
        count = self.directions
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 3:
            raise DataError(f"directions={count!r} is not a number of directions: pass a whole number, 3 or more")

    @property
    def FIELDS(self) -> Fields:
        """Those of the columns, the scatter of the projections, and the layers' units."""
        layers = max(1, len(self.layers))
        pairs, units = packed.size(layers * self.directions), ("projected_layer", layers)
        return {
            **column_fields(),
            "projections": Field("projections", (), extensive=1, leading=("direction_pair", pairs)),
            "projection_units": Field("units", (), np.int64, leading=units, **UNITS),
        }

    def empty(self, width: int) -> Projections:
        projection = Projection(self.layers or (width,), self.directions, self.seed)
        count = len(projection.widths)
        zeros = np.zeros(packed.size(count * self.directions))
        return Projections(Columns.empty(width), zeros, np.full(count, NO_EXPONENT), projection)

    def accumulator(self, width: int, options: Options = Options()) -> RowsAccumulator:
        self._check(width)
        empty = self.empty(width)
        segments = Segments([width], _ProjectedProducts(empty.projection), partial(self.empty, width))
        return fold_whole(segments, [width], LEAST_ROWS, options)

    def cost(self, width: int) -> Cost:
        self._check(width)
        projected = max(1, len(self.layers)) * self.directions
        state_bytes = 8 * packed.size(projected) + COLUMN_BYTES * width
        flops = projected**2 + (2 * self.directions + COLUMN_FLOPS) * width
        return Cost(state_bytes, flops, LEAST_ROWS, width, 8 * self.directions * width)

    def _check(self, width: int) -> None:
        if self.layers and sum(self.layers) != width:
            raise DataError(
                f"the state 'projected' is of layers of {', '.join(map(str, self.layers))} columns, {sum(self.layers)} "
                f"together, found {width}: pass the number of columns of each layer"
            )


class Projection(NamedTuple):
    """The directions, by what makes them."""

    widths: tuple[int, ...]
    amount: int
    seed: int

    def of(self, rows: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Return the projections, (rows, layers · amount), of rows whose columns count times ``2**shift``."""
        if shift.any():
            rows = np.ldexp(rows, shift)
        drawn = _drawn(self.widths, self.amount, self.seed)
        return np.hstack([rows[:, own] @ each for own, each in zip(self.columns(), drawn, strict=True)])

    def columns(self) -> list[slice]:
        """Return the place of each layer's columns."""
        return [slice(*ends) for ends in pairwise((0, *accumulate(self.widths)))]

    def units(self, exponent: np.ndarray, varied: np.ndarray) -> np.ndarray:
        """Return for each layer the largest exponent of the columns that vary."""
        own = np.where(varied, exponent, NO_EXPONENT)
        return np.array([own[columns].max(initial=NO_EXPONENT) for columns in self.columns()])

    def shift(self, exponent: np.ndarray, units: np.ndarray) -> np.ndarray:
        """Return the powers of two that take columns from their exponents to the units of their layers."""
        return np.clip(exponent - np.repeat(units, self.widths), -2000, 0)  # 2**-2000 is 0; a constant column is 0

    def moved(self, sums: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Return the packed products of projections with each layer's times ``2**shift``."""
        return packed.rescale(sums, np.repeat(np.maximum(shift, -2000), self.amount))


@lru_cache(maxsize=2)
def _drawn(widths: tuple[int, ...], amount: int, seed: int) -> list[np.ndarray]:
    """Return Gaussian directions, (columns, amount) for each layer; all threads of a process share them."""
    layers = enumerate(widths)
    return [np.random.Generator(np.random.SFC64([seed, i])).standard_normal((width, amount)) for i, width in layers]


class Projections(NamedTuple):
    """Sum over the rows of Ωᵀ(x - mean)(x - mean)ᵀΩ; a layer's rows and columns times 2**-(its unit)."""

    columns: Columns
    projections: np.ndarray  # a packed triangle of layers · directions
    units: np.ndarray  # int64 (layers,)
    projection: Projection

    def merge(self, other: Projections) -> Projections:
        columns, link = combine(self.columns, other.columns)
        if self.projection != other.projection:
            raise MergeError(f"cannot merge projections on other directions: {self.projection}, {other.projection}")
        if link is None:
            return (other if self.columns.weight == 0 else self)._replace(columns=columns)
        projection, exponent = self.projection, columns.exponent
        units = np.max([self.units, other.units, projection.units(exponent, link.delta != 0)], axis=0)
        halves = [  # of the units that weights are counted in
            (shift - each.columns.exponent + exponent)[:1]
            for each, shift in ((self, link.shift_a), (other, link.shift_b))
        ]
        merged = projection.moved(self.projections, self.units - units + halves[0])
        merged = merged + projection.moved(other.projections, other.units - units + halves[1])
        with np.errstate(invalid="ignore"):  # infinity under missing="propagate"
            add_outer(projection.of(link.delta[None], projection.shift(exponent, units))[0], merged, link.factor)
        return Projections(columns, merged, units, projection)

    def side(self, number: int) -> Variances:
        return Variances(self.columns)

    def projected_alignment(self) -> np.ndarray:
        """Return linear CKA of each layer with each as estimated, and its standard errors, (2, layers, layers)."""
        projected = packed.unpack(self.projections, len(self.units) * self.projection.amount)
        varied = self.columns.squares > 0
        constant = [not varied[own].any() for own in self.projection.columns()]
        return alignments(projected, np.array(constant))


class _ProjectedProducts:
    """Sums of products of projected deviations within a segment."""

    def __init__(self, projection: Projection):
        self._projection = projection
        self._clear()

    def _clear(self) -> None:
        self._sums = np.zeros(0)  # until there are rows: of a thousand groups most may never see one
        self._units = np.full(len(self._projection.widths), NO_EXPONENT)

    def add(self, sides: Sequence[Deviations]) -> None:
        projection, (side,) = self._projection, sides
        units = np.maximum(self._units, projection.units(side.exponent, side.squares > 0))
        if not len(self._sums):
            self._sums = np.zeros(packed.size(len(units) * projection.amount))
        elif (units > self._units).any():
            self._sums = projection.moved(self._sums, self._units - units)
        self._units = units
        add_gram(projection.of(side.rows, projection.shift(side.exponent, units)), self._sums)

    def close(self, shifted: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Projections:
        projection, (x,), sums, units = self._projection, shifted, self._sums, self._units
        add_outer(projection.of(x.sums[None], projection.shift(x.exponent, units))[0], sums, -1 / x.weight)
        self._clear()
        return Projections(columns[0], sums, units, projection)
