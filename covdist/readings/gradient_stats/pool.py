"""Gradient statistics of a whole layer, and of all layers together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import Delayed, delayed

from covdist.errors import DataError
from covdist.results.deferred import apply, members
from covdist.results.labels import Array, labelled
from covdist.results.moments import Moments
from covdist.state.base import ColumnState, State
from covdist.state.grouped import Grouped

V = TypeVar("V", float, np.ndarray)


class LayerSummary(NamedTuple):
    """A layer in a few numbers, from which the network's follow; roots, because squares could underflow."""

    size: float  # parameters
    mean: float
    std: float
    norm: float
    mean_norm: float
    noise: float  # root of the summed variances
    zero_fraction: float

    @classmethod
    def of(cls, columns: ColumnState) -> LayerSummary:
        means, deviations = mean(columns), columns.deviation(0)
        noise, between = root_sum_squares(deviations), root_sum_squares(means - means.mean())
        return cls(
            size=len(means),
            mean=float(means.mean()),
            std=float(np.hypot(noise, between) / np.sqrt(len(means))),
            norm=root_sum_squares(np.hypot(means, deviations)),
            mean_norm=root_sum_squares(means),
            noise=noise,
            zero_fraction=float(zero_fraction(columns).mean()),
        )

    @classmethod
    def joined(cls, layers: list[LayerSummary]) -> LayerSummary:
        sizes, means, stds, norms, mean_norms, noises, zeros = map(np.array, zip(*layers, strict=True))
        share = sizes / sizes.sum()
        centre = float(share @ means)
        return cls(
            size=float(sizes.sum()),
            mean=centre,
            std=root_sum_squares(np.hypot(stds, means - centre) * np.sqrt(share)),
            norm=root_sum_squares(norms),
            mean_norm=root_sum_squares(mean_norms),
            noise=root_sum_squares(noises),
            zero_fraction=float(share @ zeros),
        )


def mean(columns: ColumnState) -> np.ndarray:
    """Return the means; DataError where there are no rows."""
    columns.variance(0)
    return columns.mean()


def zero_fraction(columns: ColumnState) -> np.ndarray:
    """Return the share of zeros among each parameter's values."""
    return columns.zeros() / np.maximum(columns.rows(), 1)


def ratio(signal: V, noise: V) -> V:
    """Infinite without noise, NaN where there is no signal either."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(signal, noise)


def root_sum_squares(values: np.ndarray) -> float:
    """L2 norm that neither underflows nor overflows on the way."""
    top = float(np.abs(values).max(initial=0.0))
    if top == 0 or not np.isfinite(top):
        return top
    return top * float(np.sqrt(((values / top) ** 2).sum()))


POOLED: dict[str, Callable[[LayerSummary], float]] = {
    "mean": lambda pool: pool.mean,
    "variance": lambda pool: pool.std * pool.std,  # not **: a float raises where this is infinite
    "std": lambda pool: pool.std,
    "snr": lambda pool: ratio(pool.mean_norm, pool.noise),
    "norm": lambda pool: pool.norm,
    "mean_norm": lambda pool: pool.mean_norm,
    "zero_fraction": lambda pool: pool.zero_fraction,
}


def layer_values(moments: Moments) -> dict[str, xr.DataArray]:
    """Return the numbers of one layer."""
    groups = moments.layout.groups
    shape = () if groups is None else (len(groups.values),)
    pools = _pools_of(moments)
    arrays = {name: _array(partial(_network, name=name, shape=shape), pools, shape) for name in POOLED}
    return {f"layer_{name}": labelled(array, [], groups) for name, array in arrays.items()}


def pooled(layers: dict[str, Moments]) -> xr.Dataset:
    """Return the layers' numbers along ``layer``, and the network's."""
    groups = [moments.layout.groups for moments in layers.values()]
    if any((a is None) != (groups[0] is None) or (a and not a.same(groups[0])) for a in groups):  # type: ignore[arg-type]
        raise DataError("the layers have different groups: fold them one by one, or over a coordinate they share")
    names = np.array(list(layers))
    coords = {"layer": names} if groups[0] is None else {"layer": names, groups[0].dim: groups[0].values}
    dims, shape = list(coords), tuple(map(len, coords.values()))
    pools = [apply(_joined_pools, *_pools_of(moments)) for moments in layers.values()]
    arrays: dict[str, tuple[list[str], Array]] = {}
    for name in POOLED:
        table = _array(partial(_table, name=name, shape=shape), pools, shape)
        network = _array(partial(_network, name=name, shape=shape[1:]), pools, shape[1:])
        arrays |= {f"layer_{name}": (dims, table), f"network_{name}": (dims[1:], network)}
    return xr.Dataset(arrays, coords)


def _pools(state: State | Grouped, size: int) -> list[LayerSummary]:
    return [LayerSummary.of(member.side(0)) for member in members(state, size)]


def _table(*pools: list[LayerSummary], name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.array([[POOLED[name](pool) for pool in layer] for layer in pools]).reshape(shape)


def _network(*pools: list[LayerSummary], name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.array([POOLED[name](pool) for pool in _joined_pools(*pools)]).reshape(shape)


def _pools_of(moments: Moments) -> list[object]:
    """Return the groups' pools for each part of the columns."""
    groups = moments.layout.groups
    size = 1 if groups is None else len(groups.values)
    return [apply(partial(_pools, size=size), part) for part in moments.deferred.parts]


def _joined_pools(*parts: list[LayerSummary]) -> list[LayerSummary]:
    return [LayerSummary.joined(list(beside)) for beside in zip(*parts, strict=True)]


def _array(function: Callable[..., np.ndarray], pools: Sequence[object], shape: tuple[int, ...]) -> Array:
    if not any(isinstance(pool, Delayed) for pool in pools):
        return function(*pools)
    return da.from_delayed(delayed(function, pure=True)(*pools), shape, np.float64)
