"""Squares of mean gradients and of their noise, summed over the columns: what noise scales and cosines are made of."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from dask.delayed import Delayed

from covdist.errors import DataError
from covdist.numerics.columns import DIGITS
from covdist.results.deferred import apply, members
from covdist.results.labels import Array
from covdist.results.moments import Moments
from covdist.state.base import State
from covdist.state.grouped import Grouped


class Squares(NamedTuple):
    """Of each group or layer, (groups,), times ``4**-exponent``, as they may underflow; NaN where there are no rows."""

    exponent: np.ndarray
    some: np.ndarray  # whether the mean gradient is not 0
    signal: np.ndarray  # ‖g‖² of the mean gradient g
    noise: np.ndarray  # summed variances, divided by the rows
    excess: np.ndarray  # what noise adds to the signal on average; NaN of fewer than two rows

    def unbiased(self) -> np.ndarray:
        """Return ‖g‖² less what noise adds to it."""
        return difference(self.signal, self.excess)


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return ``a - b`` of sums of squares; 0 where rounding alone tells the two apart."""
    found = np.asarray(a - b)
    return np.where(np.abs(found) <= DIGITS * np.maximum(a, b), 0.0, found)


def squares_of(layers: Sequence[Moments], ddof: float) -> Any:
    """Return the ``Squares`` of the groups of one state, or of several states without groups, or the promise of them.

    DataError where a state without groups leaves nothing to divide by with ``ddof``.
    """
    groups = layers[0].layout.groups
    of_strip = partial(_of_strip, size=1 if groups is None else groups.size, ddof=ddof, refuse=groups is None)
    strips = zip(*(m.deferred.parts for m in layers), strict=True)
    return apply(_joined, *(apply(of_strip, *strip) for strip in strips))


def columns_of(states: Sequence[State | Grouped], size: int) -> list[Any]:
    """Return the single columns of the groups of one state, or of several states."""
    return [member.side(0) for state in states for member in members(state, size)]


def array_of(values: Any, number: int, shape: tuple[int, ...]) -> Array:
    """Return one of several arrays, or the promise of it."""
    one = apply(partial(_one, number=number, shape=shape), values)
    return da.from_delayed(one, shape, np.float64) if isinstance(one, Delayed) else one


def _one(values: Sequence[np.ndarray], number: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(values[number]).reshape(shape)


def _of_strip(*states: State | Grouped, size: int, ddof: float, refuse: bool) -> np.ndarray:
    return np.array([_of(columns, ddof, refuse) for columns in columns_of(states, size)])


def _of(columns: Any, ddof: float, refuse: bool) -> list[float]:
    try:
        columns.deviation(ddof)
        deviation = columns.deviation(0)
    except DataError:
        if refuse:
            raise
        return [0, 0, np.nan, np.nan, np.nan]
    mean, rows, counted = columns.mean(), columns.rows(), columns.columns
    exponent = int(np.frexp(np.maximum(np.abs(mean), deviation).max(initial=0))[1])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        signal, noise = (np.ldexp(each, -exponent) ** 2 for each in (mean, deviation))
        effective = np.divide(counted.weight**2, counted.weight2) * (rows / counted.rows)  # NaN of no weight
        excess = np.where((rows > 1) & (effective - 1 > DIGITS), noise / (effective - 1), np.nan)
    return [exponent, mean.any(), *(float(each.sum()) for each in (signal, noise, excess))]


def to_one_scale(exponents: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest of each group's exponents, and what takes those of each part to them, (parts, groups)."""
    every = np.array(exponents)
    top = every.max(axis=0)
    return top, every - top


def _joined(*parts: np.ndarray) -> Squares:
    top, shifts = to_one_scale([part[:, 0].astype(int) for part in parts])
    sums: Any = sum(np.ldexp(part[:, 2:].T, 2 * shift) for part, shift in zip(parts, shifts, strict=True))
    return Squares(top, np.any([part[:, 1] for part in parts], axis=0), *sums)
