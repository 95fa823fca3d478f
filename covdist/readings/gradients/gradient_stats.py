"""Gradient statistics per parameter, pooled over each layer and over the network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import Delayed

from covdist.errors import DataError
from covdist.folding.fold import fold_rows
from covdist.numerics.columns import two_sum
from covdist.readings.layers.nodes import nodes_of
from covdist.results.deferred import apply, members
from covdist.results.labels import Array, ArrayLike, Dims, Rows, Weights, labelled
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.state.base import ColumnState, State, ask
from covdist.state.grouped import Grouped
from covdist.state.variances import Variances

V = TypeVar("V", float, np.ndarray)
_NEAR_TOP, _DOWN = 2.0**400, 512  # sums of squares of larger numbers could leave float64's range
_GRADIENT = "units of the gradient"
_ABOUT = {
    "mean": ("mean of the gradient", _GRADIENT),
    "variance": ("variance of the gradient", "squared " + _GRADIENT),
    "std": ("standard deviation of the gradient", _GRADIENT),
    "snr": ("signal-to-noise ratio of the gradient", "1"),
    "norm": ("root mean square norm of the gradient", _GRADIENT),
    "mean_norm": ("norm of the mean gradient", _GRADIENT),
    "zero_fraction": ("share of zeros in the gradient", "1"),
    "dead": ("whether the gradient is always zero", "1"),
    "count": ("rows folded", "rows"),
}
_POOLED = ("mean", "variance", "std", "snr", "norm", "mean_norm", "zero_fraction")


@own_names
def gradient_stats(
    g: ArrayLike | xr.DataTree,
    *,
    dim: Dims = None,
    by: Rows = None,
    weights: Weights = None,
    missing: str = "raise",
    inf: str = "raise",
    var: str = "gradient",
) -> xr.Dataset | xr.DataTree:
    """Mean, variance, signal-to-noise ratio, norms and zeros of gradients, per parameter and pooled.

    Parameters
    ----------
    g : DataArray, dask array or array_like, real; or DataTree
        Gradients of one layer, samples along ``dim`` and parameters along the rest; or a log of many layers,
        whose nodes hold them as the variable ``var``.
    dim, by, weights, missing, inf
        As for :func:`covdist.moments`; ``dim`` is usually ``"step"``.
    var : str
        Variable to read from the nodes of a DataTree.

    Returns
    -------
    Dataset or DataTree
        Per parameter ``mean``, ``variance`` (1/N, ``ddof=0``), ``std``, ``snr`` = |mean|/std, ``norm`` = root mean
        square over the samples, ``zero_fraction``, ``dead`` (always zero). Pooled over the layer's values
        ``layer_mean``, ``layer_variance``, ``layer_std``, ``layer_zero_fraction``; of the gradient vector
        ``layer_norm`` (root mean square over the samples of its L2 norm), ``layer_mean_norm`` (L2 norm of the
        mean gradient) and ``layer_snr`` = ``layer_mean_norm`` / root of the summed variances. For a DataTree the
        same per node, and in the root the pooled ones along ``layer`` and over the whole ``network_``; a variable of
        the log's root is the layer ``root`` (``root_`` where there is one of that name). A lazy tree is computed in one
        pass by its ``compute()``; ``dask.compute`` leaves trees as they are, but takes ``tree.to_dict()``.

    Raises
    ------
    DataError
        If dims or dtypes do not fit, or a DataTree holds no such variable.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> s = covdist.gradient_stats(np.array([[1.0, 0.0], [3.0, 0.0]]))
    >>> s["mean"].values, s["variance"].values, s["snr"].values[0]
    (array([2., 0.]), array([1., 0.]), np.float64(2.0))
    >>> float(s["layer_mean"]), float(s["layer_zero_fraction"])
    (1.0, 0.5)
    """
    fold = partial(fold_rows, dim=dim, by=by, weights=weights, missing=missing, inf=inf, state=Variances)
    return _tree(g, var, fold) if isinstance(g, xr.DataTree) else read(fold(g))


def read(moments: Moments) -> xr.Dataset:
    arrays = {
        "mean": moments.mean(),
        "variance": moments.read_columns(ask, "variance", 0),
        "std": moments.read_columns(ask, "deviation", 0),
        "snr": moments.read_columns(signal_to_noise),
        "norm": moments.read_columns(norm),
        "zero_fraction": moments.read_columns(zero_fraction),
        "dead": moments.read_columns(dead, dtype=bool),
        "count": moments.count,
    }
    groups, layer = moments.layout.groups, summaries(moments)
    shape = () if groups is None else (len(groups.values),)
    arrays |= {f"layer_{name}": labelled(_array(name, shape, layer), [], groups) for name in _POOLED}
    variables = {name: each.variable for name, each in arrays.items()}  # arrays would be aligned: twice the time
    for name, variable in variables.items():
        variable.attrs = _about(name)
    attrs = {"ddof": 0, "parameters": moments.layout.axes[0].size}
    return xr.Dataset(variables, arrays["mean"].coords, attrs)


def _tree(tree: xr.DataTree, var: str, fold: Callable[[xr.DataArray], Moments]) -> xr.DataTree:
    layers = {
        layer: fold(node[var].rename(f"{node.path}/{var}".strip("/")))
        for layer, node in nodes_of(tree, var=var).items()
    }
    found = {f"/{path}": read(moments) for path, moments in layers.items()}
    return xr.DataTree.from_dict({"/": pooled(layers), **found})


def signal_to_noise(columns: ColumnState) -> np.ndarray:
    return ratio(np.abs(mean(columns)), columns.deviation(0))


def norm(columns: ColumnState) -> np.ndarray:
    return np.hypot(mean(columns), columns.deviation(0))


def dead(columns: ColumnState) -> np.ndarray:
    return columns.zeros() == np.maximum(columns.rows(), 1)


def mean(columns: ColumnState) -> np.ndarray:
    """Return the means; DataError where there are no rows."""
    columns.deviation(0)
    return columns.mean()


def zero_fraction(columns: ColumnState) -> np.ndarray:
    return columns.zeros() / np.maximum(columns.rows(), 1)


def ratio(signal: V, noise: V) -> V:
    """Infinite without noise, NaN where there is no signal either."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(signal, noise)


def root_sum_squares(values: np.ndarray) -> np.ndarray:
    """L2 norm along the last axis that neither underflows nor overflows on the way."""
    top = np.abs(values).max(axis=-1, initial=0.0)
    unit = np.where((top > 0) & np.isfinite(top), top, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        root = unit * np.sqrt(((values / unit[..., None]) ** 2).sum(axis=-1))
    return np.where(unit == top, root, top)


class LayerSummary(NamedTuple):
    """A layer in a few numbers, from which the network's follow; roots, because squares could underflow.

    Of several layers of one size, arrays of these numbers. All but the first and the last count times ``2**-exponent``,
    0 unless their sums could leave float64's range.
    """

    size: float  # parameters
    mean: np.ndarray
    mean_low: np.ndarray  # what the float64 of the mean leaves out
    std: np.ndarray
    norm: np.ndarray
    mean_norm: np.ndarray
    noise: np.ndarray  # root of the summed variances
    zero_fraction: np.ndarray
    exponent: np.ndarray

    @classmethod
    def of(cls, columns: ColumnState) -> LayerSummary:
        means, deviations, lows = mean(columns), columns.deviation(0), columns.mean_low()
        size, top = means.shape[-1], np.maximum(np.abs(means), deviations).max(axis=-1, initial=0)
        exponent = np.where(top > _NEAR_TOP, _DOWN, 0)
        means, deviations, lows = (np.ldexp(each, -exponent[..., None]) for each in (means, deviations, lows))
        noise = root_sum_squares(deviations)
        centre, centre_low, apart = _centred(np.ones(size), means, lows)
        return cls(
            size=size,
            mean=centre,
            mean_low=centre_low,
            std=np.hypot(noise, root_sum_squares(apart)) / np.sqrt(size),
            norm=root_sum_squares(np.hypot(means, deviations)),
            mean_norm=root_sum_squares(means),
            noise=noise,
            zero_fraction=zero_fraction(columns).mean(axis=-1),
            exponent=exponent,
        )

    @classmethod
    def joined(cls, layers: list[LayerSummary]) -> LayerSummary:
        if len(layers) == 1:
            return layers[0]
        sizes, *lengths, zeros, exponents = map(np.array, zip(*layers, strict=True))
        exponent = exponents.max()
        means, lows, stds, norms, mean_norms, noises = np.ldexp(lengths, exponents - exponent)
        share = sizes / sizes.sum()
        centre, centre_low, apart = _centred(sizes, means, lows)
        return cls(
            size=float(sizes.sum()),
            mean=centre,
            mean_low=centre_low,
            std=root_sum_squares(np.hypot(stds, apart) * np.sqrt(share)),
            norm=root_sum_squares(norms),
            mean_norm=root_sum_squares(mean_norms),
            noise=root_sum_squares(noises),
            zero_fraction=share @ zeros,
            exponent=exponent,
        )

    @property
    def variance(self) -> np.ndarray:
        return self.std * self.std

    @property
    def rms(self) -> np.ndarray:
        """That of a parameter; of the largest values the norm itself may be infinite."""
        return self.norm / np.sqrt(self.size)

    @property
    def snr(self) -> np.ndarray:
        return ratio(self.mean_norm, self.noise)

    def value(self, name: str) -> np.ndarray:
        """Return one of the pooled numbers in the units of the data."""
        powers = {"snr": 0, "zero_fraction": 0, "variance": 2}
        with np.errstate(over="ignore"):  # what is beyond float64's range is infinite
            return np.ldexp(getattr(self, name), powers.get(name, 1) * self.exponent)


def _centred(sizes: np.ndarray, means: np.ndarray, lows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both parts of the mean of means, and how far each lies from it; equal means lie at it exactly."""
    with np.errstate(invalid="ignore"):  # of infinite means under missing="propagate"
        near = (sizes * (means / sizes.sum())).sum(axis=-1)
        from_near = (means - near[..., None]) + lows
        rest = (sizes * from_near).sum(axis=-1) / sizes.sum()
        return *two_sum(near, rest), from_near - rest[..., None]


def pooled(layers: dict[str, Moments]) -> xr.Dataset:
    """Return the layers' numbers along ``layer``, and the network's."""
    groups = [moments.layout.groups for moments in layers.values()]
    if any((a is None) != (groups[0] is None) or (a and not a.same(groups[0])) for a in groups):  # type: ignore[arg-type]
        raise DataError("the layers have different groups: fold them one by one, or over a coordinate they share")
    names = np.array(list(layers))
    of_groups = {} if groups[0] is None else {groups[0].dim: len(groups[0].values)}
    dims, shape = ["layer", *of_groups], (len(names), *of_groups.values())
    pools = [summaries(moments) for moments in layers.values()]
    network = apply(_joined, *pools)
    arrays: dict[str, tuple[list[str], Array, dict[str, str]]] = {}
    for name in _POOLED:
        arrays[f"layer_{name}"] = dims, _array(name, shape, *pools), _about(f"layer_{name}")
        arrays[f"network_{name}"] = dims[1:], _array(name, shape[1:], network), _about(f"network_{name}")
    found = xr.Dataset(arrays, {"layer": names})
    return found if groups[0] is None else found.assign_coords(groups[0].coords())


def _about(name: str) -> dict[str, str]:
    """Return what a parameter's, a layer's or the network's number is, and in which units."""
    whole, _, of_whole = name.partition("_")
    long_name, units = _ABOUT[of_whole if whole in ("layer", "network") else name]
    return {"long_name": f"{long_name} of the {whole}" if of_whole in _ABOUT else long_name, "units": units}


def summaries(moments: Moments) -> Any:
    """Return a ``LayerSummary`` of each group, or the promise of them; those of parts of the columns joined."""
    groups = moments.layout.groups
    size = 1 if groups is None else len(groups.values)
    return apply(_joined, *(apply(partial(_pools, size=size), part) for part in moments.deferred.parts))


def _pools(state: State | Grouped, size: int) -> list[LayerSummary]:
    if not isinstance(state, Grouped):
        return [LayerSummary.of(state.side(0))]
    return [summary(member.side(0)) for member in members(state, size)]


def summary(columns: ColumnState) -> LayerSummary:
    """Return the summary of columns, NaN where they have no rows."""
    try:
        return LayerSummary.of(columns)
    except DataError:
        return LayerSummary._make([len(columns.mean()), *np.full(7, np.nan), 0])


def _joined(*parts: list[LayerSummary]) -> list[LayerSummary]:
    return [LayerSummary.joined(list(beside)) for beside in zip(*parts, strict=True)]


def _array(name: str, shape: tuple[int, ...], *layers: object) -> Array:
    values = apply(partial(_values, name=name, shape=shape), *layers)
    return da.from_delayed(values, shape, np.float64) if isinstance(values, Delayed) else values


def _values(*layers: list[LayerSummary], name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.array([[pool.value(name) for pool in pools] for pools in layers]).reshape(shape)
