"""``Both``: a cross state, and beside it each side's own scatter: what layers are compared by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np

from covdist.kernel.workspace import Workspace
from covdist.numerics import packed
from covdist.numerics.accumulator import Cost, Options
from covdist.numerics.columns import Columns, part
from covdist.numerics.filled_block import Block
from covdist.numerics.matrices.two_sides import TwoSides
from covdist.numerics.products import Rectangle, Triangle, product
from covdist.numerics.segments import Product
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns
from covdist.numerics.weights import Vector
from covdist.state.base import Accumulator, Field, Fields, fold_whole, segments
from covdist.state.cross import Cross
from covdist.state.scatter import Scatter
from covdist.state.side_by_side import SideBySide
from covdist.state.variances import LEAST_ROWS, Variances


class _BothFields(NamedTuple):
    columns: Columns
    columns_y: Columns
    rectangle: np.ndarray  # as that of ``Cross``
    triangle: np.ndarray  # as that of ``Scatter``, of x
    triangle_y: np.ndarray  # of y


class CrossAnswers:
    """Those that a state leaves to the one it extends."""

    __slots__ = ()

    def narrowed(self) -> Any:
        raise NotImplementedError

    def covariance(self, rows: slice, ddof: float) -> np.ndarray:
        return self.narrowed().covariance(rows, ddof)

    def correlation(self, rows: slice) -> np.ndarray:
        return self.narrowed().correlation(rows)

    def second_moment(self, rows: slice, divide: bool, append_one: bool) -> np.ndarray:
        return self.narrowed().second_moment(rows, divide, append_one)


class Both(CrossAnswers, _BothFields):
    """The answers of ``Cross``, and those that take the scatter of x with itself and of y with itself."""

    __slots__ = ()
    name = "both"
    EXTENDS: ClassVar[type] = Cross
    sides = 2
    ordered = False
    FIELDS: ClassVar[Fields] = {
        **Cross.FIELDS,
        "scatter_x": Field("triangle", (0, 2), extensive=1, triangle=True, least=0),
        "scatter_y": Field("triangle_y", (1, 3), extensive=1, triangle=True, least=0),
    }

    @classmethod
    def empty(cls, width: int, width_y: int) -> Both:
        return cls.of(Cross.empty(width, width_y), Scatter.empty(width), Scatter.empty(width_y))

    @classmethod
    def of(cls, cross: Cross, x: Scatter, y: Scatter) -> Both:
        return cls(*cross, x.triangle, y.triangle)

    @classmethod
    def split(cls, whole: Scatter, width: int) -> Both:
        """Return the state of the first ``width`` columns and of the others."""
        x, y = slice(width), slice(width, None)
        matrix = packed.unpack(whole.triangle, whole.columns.width)
        sides = part(whole.columns, x), part(whole.columns, y)
        return cls(*sides, matrix[x, y].copy(), packed.pack(matrix[x, x]), packed.pack(matrix[y, y]))

    @classmethod
    def accumulator(cls, width: int, width_y: int, options: Options = Options()) -> BothAccumulator:
        return BothAccumulator(width, width_y, options)

    @classmethod
    def product(cls, width: int, width_y: int, options: Options) -> BothProducts:
        return BothProducts(width, width_y, options.precision)

    @classmethod
    def cost(cls, width: int, width_y: int) -> Cost:
        """Return that of the scatter of all columns side by side, which is as large."""
        return Scatter.cost(width + width_y)

    def merge(self, other: Both) -> Both:
        return Both.of(
            self.narrowed().merge(other.narrowed()), self.own(0).merge(other.own(0)), self.own(1).merge(other.own(1))
        )

    def narrowed(self) -> Cross:
        """Return the state that this one extends."""
        return Cross(self.columns, self.columns_y, self.rectangle)

    def own(self, number: int) -> Scatter:
        """Return the scatter of x (0) or y (1) with itself."""
        return Scatter(self.columns_y, self.triangle_y) if number else Scatter(self.columns, self.triangle)

    def side(self, number: int) -> Variances:
        return self.own(number).side(0)

    def two_sides(self) -> TwoSides:
        x, y = (self.own(number).estimate(0, None) for number in (0, 1))
        return TwoSides(x, self.correlation(slice(0, self.columns.width)), y)


class BothAccumulator:
    """Folds blocks of one dtype as the columns of one matrix, which the kernel does in one pass."""

    least_rows = LEAST_ROWS

    def __init__(self, width: int, width_y: int, options: Options):
        self._widths, self._options = (width, width_y), options
        self.workspace = Workspace()  # the accumulators of groups share one
        self._joined: SideBySide | None = None
        self._apart: Accumulator | None = None

    def add(self, *blocks: Block, **weights: Vector) -> None:
        x, y = blocks
        if isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and x.dtype == y.dtype:
            self._joined = self._joined or self._of_one_dtype()
            self._joined.add(x, y, **weights)
        else:
            self._apart = self._apart or self._of_two()
            self._apart.add(x, y, **weights)

    def _of_one_dtype(self) -> SideBySide:
        inner = Scatter.accumulator(sum(self._widths), self._options)
        inner.workspace = self.workspace
        return SideBySide(inner, self._widths)

    def _of_two(self) -> Accumulator:
        fold = segments(Both, *self._widths, options=self._options)
        found = fold_whole(fold, self._widths, LEAST_ROWS, self._options)
        found.workspace = self.workspace
        return found

    def state(self) -> Both:
        found = Both.empty(*self._widths)
        if self._joined is not None:
            found = found.merge(Both.split(cast(Scatter, self._joined.state()), self._widths[0]))
        return found if self._apart is None else found.merge(cast(Both, self._apart.state()))


class BothProducts:
    """The products of x with y, of x with itself and of y with itself."""

    def __init__(self, width: int, width_y: int, precision: str):
        self._cross: Product = product(Rectangle(width, width_y), Cross, precision)
        self._own: list[Product] = [product(Triangle(each), Scatter, precision) for each in (width, width_y)]

    def add(self, sides: Sequence[Deviations]) -> None:
        self._cross.add(sides)
        for own, side in zip(self._own, sides, strict=True):
            own.add([side])

    def close(self, shifted: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Both:
        x, y = (product.close([each], [own]) for product, each, own in zip(self._own, shifted, columns, strict=True))
        return Both.of(self._cross.close(shifted, columns), x, y)
