"""A number for each pair of columns, made of all rows of both: strips of columns, and a task for each two of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed

from covdist.errors import NonFiniteError
from covdist.folding.dependence.ranks import check_plain, complete_rows, in_strips
from covdist.folding.request import Request
from covdist.limits import limits
from covdist.numerics.accumulator import Options
from covdist.numerics.blas import single_thread
from covdist.numerics.nonfinite import all_finite, unmasked
from covdist.results.labels import Array, Attrs, labelled
from covdist.rows.fold import located
from covdist.rows.promised import checked

_PAIR_VALUES = 1 << 25  # of the pairs that one task makes: a minute of the slowest


class ColumnStrip(NamedTuple):
    """Some columns of an array with all of their rows."""

    values: Any  # (rows, columns); until it is computed a promise of it
    side: str
    first: int  # column
    width: int


@dataclass(frozen=True)
class PairMeasure:
    """What is made of a column alone, (rows,), and then of two of these; pairs are symmetric."""

    prepare: Callable[[np.ndarray], Any]
    pair: Callable[[Any, Any], float]


@dataclass(frozen=True)
class _Making:
    """Makes the numbers of two strips: (groups, columns, columns), or (groups, columns) column by column."""

    measure: PairMeasure
    options: Options
    groups: int
    paired: bool

    def __call__(self, x: Any, y: Any, codes: np.ndarray | None, keep: np.ndarray | None) -> np.ndarray:
        strips = [strip._replace(values=unmasked(strip.values)) for strip in (x, y) if strip is not None]
        for strip in strips:
            self._check(strip)
        with single_thread(), np.errstate(over="ignore", invalid="ignore"):
            groups = [[strip.values[rows] for strip in strips] for rows in self._rows(codes, keep)]
            return np.array([self._of_group(*values) for values in groups])

    def _check(self, strip: ColumnStrip) -> None:
        """Ask the policy, which knows one strip only, about values that are not finite."""
        if all_finite(strip.values):
            return
        try:
            self.options.missing([strip.values], self.options.inf)
        except NonFiniteError as error:
            error.column += strip.first
            raise located(error, strip.side, 0, "rows") from None

    def _rows(self, codes: np.ndarray | None, keep: np.ndarray | None) -> Iterator[Any]:
        for group in range(self.groups):
            if codes is None:
                yield slice(None) if keep is None else keep
            else:
                yield codes == group if keep is None else keep & (codes == group)

    def _of_group(self, x: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
        first = self._prepared(x)
        second = first if y is None else self._prepared(y)
        if self.paired:
            return np.array([self._pair(a, b) for a, b in zip(first, second, strict=True)])
        found = np.empty((len(first), len(second)))
        for i, j in np.ndindex(found.shape):
            found[i, j] = found[j, i] if y is None and j < i else self._pair(first[i], second[j])
        return found

    def _prepared(self, columns: np.ndarray) -> list[Any]:
        good = np.isfinite(columns).all(axis=0) & (len(columns) > 0)
        return [self.measure.prepare(each) if fine else None for fine, each in zip(good, columns.T, strict=True)]

    def _pair(self, a: Any, b: Any) -> float:
        return np.nan if a is None or b is None else self.measure.pair(a, b)


def of_pairs(request: Request, measure: PairMeasure, paired: bool, name: str, attrs: Attrs) -> xr.DataArray:
    """Label the numbers of all pairs of columns, of x with y where there is one, or column by column."""
    check_plain(request, name)
    layout, groups = request.layout(), request.groups
    making = _Making(measure, request.options, 1 if groups is None else groups.size, paired)
    vectors = [_whole(each) for each in (request.vectors.get("by"), complete_rows(request))]
    make = partial(_promised, making, vectors)
    sides = _sides(request, paired)
    found = _columnwise(make, *sides) if paired else _matrix(make, *sides)
    found = found if groups is not None else found[0]
    result = labelled(found, layout.axes[:1] if paired else layout.matrix_axes(), groups, name, attrs)
    return result if request.lazy else result.compute(scheduler="threads")


def _whole(vector: Array | None) -> Any:
    return None if vector is None else da.asarray(vector).reshape(-1).rechunk(-1).to_delayed(optimize_graph=False)[0]


def _sides(request: Request, paired: bool) -> list[list[ColumnStrip]]:
    found: list[list[ColumnStrip]] = []
    arrays = [_flat(array, request.rows, request.sample_ndim) for array in request.blocks.values()]
    width = max(1, math.isqrt(_PAIR_VALUES // max(1, request.rows)))
    for side, array in zip(request.blocks, arrays, strict=True):
        size = min(limits().sorted_bytes, max(1, request.rows) * array.dtype.itemsize * width)
        strips = in_strips(request, array, size, "take a sample of the rows")
        if paired and found:  # cut as those of x
            strips = strips.rechunk({1: tuple(strip.width for strip in found[0])})
        ends = np.cumsum(strips.chunks[1])
        pieces = zip(strips.to_delayed(optimize_graph=False)[0], ends, strips.chunks[1], strict=True)
        found.append([ColumnStrip(values, side, int(end) - columns, columns) for values, end, columns in pieces])
    return found


def _flat(array: Array, rows: int, depth: int) -> da.Array:
    columns = math.prod(array.shape[depth:])
    flat = checked(array).reshape(rows, columns)
    return flat if isinstance(flat, da.Array) else da.from_array(flat, chunks=-1, name=False)


def _promised(making: _Making, vectors: Sequence[Any], x: ColumnStrip, y: ColumnStrip | None) -> da.Array:
    widths = (x.width,) if making.paired else (x.width, (y or x).width)
    value = delayed(making, pure=True, traverse=True)(x, y, *vectors)
    return da.from_delayed(value, (making.groups, *widths), np.float64)


def _columnwise(make: Callable[..., da.Array], x: list[ColumnStrip], y: list[ColumnStrip]) -> da.Array:
    return da.concatenate([make(*pair) for pair in zip(x, y, strict=True)], axis=-1)


def _matrix(make: Callable[..., da.Array], x: list[ColumnStrip], y: list[ColumnStrip] | None = None) -> da.Array:
    if y is not None:
        return da.block([[make(a, b) for b in y] for a in x])
    upper = {(i, j): make(x[i], None if i == j else x[j]) for i in range(len(x)) for j in range(i, len(x))}
    pairs = range(len(x))
    return da.block([[upper[i, j] if i <= j else upper[j, i].swapaxes(-1, -2) for j in pairs] for i in pairs])
