"""``Fourier``: the covariance of random Fourier features of x and of y, beside the moments of their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from covdist.errors import DataError, MergeError
from covdist.kernel.workspace import Workspace
from covdist.numerics import packed
from covdist.numerics.accumulator import COLUMN_BYTES, COLUMN_FLOPS, Cost, Counted, Options, RowsAccumulator
from covdist.numerics.columns import PER_COLUMN, Columns
from covdist.numerics.dependence.kernels import fourier_features, in_bandwidths, independence
from covdist.numerics.segments import Blocks, Segments
from covdist.numerics.weights import Vector
from covdist.state.base import SCALARS, Field, Fields, column_fields
from covdist.state.dependence.exact import check_exact
from covdist.state.scatter import Scatter
from covdist.state.variances import LEAST_ROWS, Variances, side_by_side, tiles


@dataclass(frozen=True)
class Fourier:
    """The type of states that keep what ``covdist.hsic`` reads, for kernels of given bandwidths."""

    bandwidth: tuple[float, float] = (1.0, 1.0)  # of x and of y, in their units
    features: int = 256  # of each side: half cosines, half sines
    seed: int = 0
    name: ClassVar[str] = "fourier"
    BY_OPTION: ClassVar[bool] = True
    sides: ClassVar[int] = 2
    ordered: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "bandwidth", given_bandwidths(self.bandwidth))
        object.__setattr__(self, "features", even(self.features))

    @property
    def FIELDS(self) -> Fields:
        """Those of the columns of x and y, and of the features of both, side by side."""
        width, fields = 2 * self.features, dict(column_fields(2))
        for name, scalar in SCALARS.items():
            fields[name] = fields[name]._replace(also=(*fields[name].also, f"features.columns.{scalar.path}"))
        for name in PER_COLUMN:
            like = fields[name]
            path, leading = f"features.columns.{name}", ("feature", width)
            fields[f"feature_{name}"] = like._replace(path=path, axes=(), leading=leading)
        pairs = ("feature_pair", packed.size(width))
        return {**fields, "feature_scatter": Field("features.triangle", (), extensive=1, leading=pairs)}

    def empty(self, width: int, width_y: int) -> FourierSums:
        return FourierSums(Columns.empty(width), Columns.empty(width_y), Scatter.empty(2 * self.features), self)

    def accumulator(self, width: int, width_y: int, options: Options = Options()) -> RowsAccumulator:
        fold = _Featured(self, (width, width_y), options)
        return RowsAccumulator([width, width_y], LEAST_ROWS, [(slice(None), fold)], _finish, options)

    def cost(self, width: int, width_y: int) -> Cost:
        columns, own = width + width_y, Scatter.cost(2 * self.features)
        return own._replace(
            state_bytes=own.state_bytes + COLUMN_BYTES * columns,
            row_flops=own.row_flops + (self.features + COLUMN_FLOPS) * columns,
            tile_columns=own.tile_columns + columns,
        )


def even(features: Any) -> int:
    """Return a number of features; DataError where it is none."""
    if isinstance(features, bool) or not isinstance(features, int | np.integer) or features < 2 or features % 2:
        raise DataError(
            f"features={features!r} is not an even number of them: pass such as 256, half cosines, half sines"
        )
    return int(features)


def given_bandwidths(bandwidth: Any) -> tuple[float, float]:
    """Return the bandwidths of x and of y; DataError where they are none."""
    try:
        widths = np.broadcast_to(np.asarray(bandwidth, np.float64), 2)
    except (TypeError, ValueError):
        widths = np.zeros(2)
    if not (np.isfinite(widths) & (widths > 0)).all():
        raise DataError(
            f"bandwidth={bandwidth!r} is not a distance: pass a number greater than 0, or one for x and one for y"
        )
    return float(widths[0]), float(widths[1])


class FourierSums(NamedTuple):
    """The moments of single columns of x and y, and the scatter of the features of x and, behind them, of y."""

    columns: Columns
    columns_y: Columns
    features: Scatter
    kind: Fourier

    def merge(self, other: FourierSums) -> FourierSums:
        if self.kind != other.kind:
            raise MergeError(f"cannot merge features of other kernels: {self.kind} and {other.kind}")
        columns, columns_y = self.columns.merge(other.columns), self.columns_y.merge(other.columns_y)
        return FourierSums(columns, columns_y, self.features.merge(other.features), self.kind)

    def side(self, number: int) -> Variances:
        return Variances(self.columns_y if number else self.columns)

    def independence(self, answer: str) -> np.ndarray:
        return independence(self.features, answer)


class _Featured:
    """Takes clean blocks of rows from the accumulator."""

    def __init__(self, kind: Fourier, widths: Sequence[int], options: Options):
        width = 2 * kind.features
        self._kind, self._columns = kind, [tiles(each) for each in widths]
        self._features = Segments([width], Scatter.product(width, options), partial(Scatter.empty, width))

    def add(self, blocks: Blocks, weights: Vector, extreme: Sequence[bool], workspace: Workspace) -> None:
        for folds, block, is_extreme in zip(self._columns, blocks, extreme, strict=True):
            for columns, fold in folds:
                fold.add([block[:, columns]], weights, [is_extreme], workspace)
        features = []
        for number, (block, bandwidth) in enumerate(zip(blocks, self._kind.bandwidth, strict=True)):
            check_exact(block, "fourier", "ask covdist.hsic(x, y), which does so")
            rows = in_bandwidths(block, np.zeros((2, block.shape[1])), bandwidth)  # the same for all states that add up
            features.append(fourier_features(rows, self._kind.features, self._kind.seed + number))
        self._features.add([np.hstack(features)], weights, [False], workspace)

    def state(self) -> FourierSums:
        x, y = (side_by_side([fold.state() for _, fold in folds]).columns for folds in self._columns)
        return FourierSums(x, y, self._features.state(), self._kind)


def _finish(counted: Counted, states: list[FourierSums]) -> FourierSums:
    (state,) = states
    columns, columns_y = counted.into(state.columns), counted.into(state.columns_y, 1)
    shift = state.features.columns.weight_unit - columns.weight_unit
    own = state.features.columns.within(columns.weight_unit)._replace(
        rows=columns.rows, skipped=columns.skipped, weight=columns.weight, weight2=columns.weight2
    )
    triangle = np.ldexp(state.features.triangle, shift) if shift else state.features.triangle
    return FourierSums(columns, columns_y, Scatter(own, triangle), state.kind)
