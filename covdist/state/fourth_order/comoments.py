"""``Comoments``: a full state with norms, and beside it the sums of products of squares and of cubes with columns.

The intensity of shrinking to a constant correlation takes Σ(xᵢ - mean)³(xⱼ - mean); its merge takes that of squares.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from covdist.numerics.accumulator import Cost
from covdist.numerics.matrices.covariance import Covariance
from covdist.numerics.matrices.shrinkage import to_constant_correlation
from covdist.numerics.products import add_product
from covdist.state.base import UNITS, Field, Fields
from covdist.state.fourth_order.scatter_norms import Norms, NormSums
from covdist.state.scatter import Scatter


class ComomentSums(NamedTuple):
    """Sums over deviations y from some centre, the k-th powers times ``2**(-k * unit)``; as ``NormSums``, and more."""

    norms: NormSums
    thirds: np.ndarray  # Σ w yᵢ² yⱼ, (columns, columns)
    fourths: np.ndarray  # Σ w yᵢ³ yⱼ

    @property
    def unit(self) -> int:
        return self.norms.unit

    @property
    def fourth(self) -> float:
        return self.norms.fourth

    @classmethod
    def empty(cls, width: int) -> ComomentSums:
        return cls(NormSums.empty(width), np.zeros((width, width)), np.zeros((width, width)))

    @classmethod
    def of(cls, rows: np.ndarray, weights: np.ndarray, unit: int) -> ComomentSums:
        found = cls.empty(rows.shape[1])
        squares, weighted = rows * rows, np.ascontiguousarray(weights * rows)
        add_product(squares, weighted, found.thirds)
        add_product(squares * rows, weighted, found.fourths)
        return found._replace(norms=NormSums.of(rows, weights, unit))

    def within(self, unit: int) -> ComomentSums:
        shift = max(self.unit - unit, -2000)  # 2**-2000 is 0
        thirds, fourths = np.ldexp(self.thirds, 3 * shift), np.ldexp(self.fourths, 4 * shift)
        return ComomentSums(self.norms.within(unit), thirds, fourths)

    def __add__(self, other: Any) -> ComomentSums:
        unit = max(self.unit, other.unit)
        a, b = self.within(unit), other.within(unit)
        return ComomentSums(a.norms + b.norms, a.thirds + b.thirds, a.fourths + b.fourths)

    def about(self, weight: float, scatter: np.ndarray, step: np.ndarray) -> ComomentSums:
        """As that of ``NormSums``."""
        thirds = self.thirds + _thirds(weight, scatter, step)
        fourths = self.fourths + _fourths(weight, scatter, self.thirds, step)
        return ComomentSums(self.norms.about(weight, scatter, step), thirds, fourths)

    def about_mean(self, weight: float, scatter: np.ndarray, step: np.ndarray) -> ComomentSums:
        """As that of ``NormSums``."""
        thirds = self.thirds - _thirds(weight, scatter, step)
        fourths = self.fourths - _fourths(weight, scatter, thirds, step)
        return ComomentSums(self.norms.about_mean(weight, scatter, step), thirds, fourths)


def _thirds(weight: float, scatter: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return what a step away from the mean adds to Σ yᵢ² yⱼ."""
    a = step[:, None]
    return (np.diagonal(scatter)[:, None] + weight * a * a) * step + 2 * a * scatter


def _fourths(weight: float, scatter: np.ndarray, thirds: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return what a step away from the mean adds to Σ yᵢ³ yⱼ; ``thirds`` are those about the mean."""
    a, own = step[:, None], (np.diagonal(thirds) + (3 * np.diagonal(scatter) + weight * step * step) * step)[:, None]
    return own * step + 3 * a * (thirds + a * scatter)


class Comoments(Norms):
    """The state behind ``shrink("constant-correlation")``: the answers of ``Norms``, and that."""

    __slots__ = ()
    name = "comoments"
    EXTENDS = Norms
    SUMS = ComomentSums
    FIELDS: ClassVar[Fields] = {
        **Scatter.FIELDS,
        "norm_cubes": Field("norms.norms.cubes", (0,), extensive=1),
        "norm_fourth": Field("norms.norms.fourth", extensive=1),
        "norm_exponent": Field("norms.norms.unit", (), np.int64, **UNITS),
        "third_products": Field("norms.thirds", (0, 1), extensive=1),
        "fourth_products": Field("norms.fourths", (0, 1), extensive=1),
    }

    @classmethod
    def cost(cls, width: int) -> Cost:
        """Return that of norms, of two squares, and of three more while states are merged."""
        cost = Norms.cost(width)
        return cost._replace(
            state_bytes=cost.state_bytes + 16 * width * width,
            row_flops=cost.row_flops + 4 * width * width,
            merged_bytes=cost.merged_bytes + 24 * width * width,
        )

    def estimate_by_comoments(self, ddof: float, method: str) -> Covariance:
        """Return the covariance shrunk to the constant correlation of its columns."""
        scatter, columns, sums = self.scatter(), self.columns, self.norms
        scatter.estimate(ddof, None)  # refuses where there are no rows to divide by
        matrix, unit = scatter.in_one_unit()
        sums = sums.within(unit) if sums.unit <= unit else sums
        matrix = np.ldexp(matrix, 2 * (unit - sums.unit))
        rows = columns.weight**2 / columns.weight2
        found = to_constant_correlation(matrix, rows, sums.fourth / columns.weight, sums.fourths / columns.weight)
        return scatter.shrunk_to(found[0], sums.unit, ddof, found[1])
