"""Gradient statistics per parameter, pooled over each layer and over the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.readings.moments import fold_rows
from covdist.readings.result import Moments
from covdist.readings.std import deviation
from covdist.readings.var import divisor, variance


def gradient_stats(
    g: Any,
    *,
    dim: Any = None,
    by: Any = None,
    weights: Any = None,
    missing: str = "raise",
    var: str = "gradient",
) -> xr.Dataset | xr.DataTree:
    """Mean, variance, signal-to-noise ratio, norms and zeros of gradients, per parameter and pooled.

    Parameters
    ----------
    g : DataArray, dask array or array_like, real; or DataTree
        Gradients of one layer, samples along ``dim`` and parameters along the rest; or a log of many layers,
        whose nodes hold them as the variable ``var``.
    dim : str, int or sequence of them
        Sample dims, usually ``"step"``; for arrays without names an axis, 0 by default.
    by, weights, missing
        As for :func:`covdist.moments`.
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
        same per node, and in the root the pooled ones along ``layer`` and over the whole ``network_``.

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
    if isinstance(g, xr.DataTree):
        return _tree(g, var, dim=dim, by=by, weights=weights, missing=missing)
    return read(fold_rows(g, dim=dim, by=by, weights=weights, missing=missing, kind="variances"))


def read(moments: Moments) -> xr.Dataset:
    """Read gradient statistics off a state."""
    per_parameter, pooled = moments.layout.axes[:1], ()
    arrays = {
        "mean": moments.mean(),
        "variance": moments.read(variance, per_parameter, 0),
        "std": moments.read(deviation, per_parameter, 0),
        "snr": moments.read(snr, per_parameter),
        "norm": moments.read(norm, per_parameter),
        "zero_fraction": moments.read(zero_fraction, per_parameter),
        "dead": moments.read(dead, per_parameter, dtype=bool),
        "layer_mean": moments.read(layer_mean, pooled),
        "layer_variance": moments.read(layer_variance, pooled),
        "layer_std": moments.read(layer_std, pooled),
        "layer_snr": moments.read(layer_snr, pooled),
        "layer_norm": moments.read(layer_norm, pooled),
        "layer_mean_norm": moments.read(layer_mean_norm, pooled),
        "layer_zero_fraction": moments.read(layer_zero_fraction, pooled),
        "count": moments.count,
    }
    return xr.Dataset(arrays, attrs={"ddof": 0, "parameters": moments.layout.axes[0].size})


def _mean(state: Any) -> np.ndarray:
    divisor(state.columns, 0)
    return state.columns.mean + state.columns.mean_low


def snr(state: Any) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(_mean(state)) / deviation(state, 0)


def norm(state: Any) -> np.ndarray:
    return np.hypot(_mean(state), deviation(state, 0))


def zero_fraction(state: Any) -> np.ndarray:
    return state.columns.census.zeros / max(state.columns.count, 1)


def dead(state: Any) -> np.ndarray:
    return state.columns.census.zeros == state.columns.count


def layer_mean(state: Any) -> float:
    return float(_mean(state).mean())


def layer_std(state: Any) -> float:
    means = _mean(state)
    within = root_sum_squares(deviation(state, 0))
    between = root_sum_squares(means - means.mean())
    return float(np.hypot(within, between) / np.sqrt(len(means)))


def layer_variance(state: Any) -> float:
    return layer_std(state) ** 2


def layer_norm(state: Any) -> float:
    return root_sum_squares(norm(state))


def layer_mean_norm(state: Any) -> float:
    return root_sum_squares(_mean(state))


def layer_snr(state: Any) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(layer_mean_norm(state), root_sum_squares(deviation(state, 0))))


def layer_zero_fraction(state: Any) -> float:
    return float(zero_fraction(state).mean())


def root_sum_squares(values: np.ndarray) -> float:
    """L2 norm that neither underflows nor overflows on the way."""
    top = float(np.abs(values).max(initial=0.0))
    if top == 0 or not np.isfinite(top):
        return top
    return top * float(np.sqrt(((values / top) ** 2).sum()))


def _tree(tree: xr.DataTree, var: str, **options: Any) -> xr.DataTree:
    stats: dict[str, xr.Dataset] = {}
    for node in tree.subtree:
        if var in node.data_vars:
            path = node.path.strip("/")
            named = node[var].rename(f"{path}/{var}")
            stats[path] = read(fold_rows(named, kind="variances", **options))
    if not stats:
        names = sorted({str(name) for node in tree.subtree for name in node.data_vars})
        raise DataError(f"no node of the log holds a variable {var!r}, found are {', '.join(names)}: pass var=...")
    root = stats.pop("", None)
    layers = {"": root, **stats} if root is not None else stats
    result = xr.DataTree.from_dict({f"/{path}": dataset for path, dataset in stats.items()})
    result.dataset = _pooled(layers) if root is None else xr.merge([root, _pooled(layers)])
    return result


def _pooled(layers: dict[str, xr.Dataset]) -> xr.Dataset:
    """Put the layers' pooled numbers side by side, and pool them over the network."""
    names = [name for name in next(iter(layers.values())) if str(name).startswith("layer_")]
    index = xr.Variable("layer", list(layers))
    table = {
        name: xr.concat([stats[name].drop_vars(stats[name].coords) for stats in layers.values()], dim="layer")
        for name in names
    }
    pooled = xr.Dataset(table, coords={"layer": index})
    sizes = xr.DataArray([stats.attrs["parameters"] for stats in layers.values()], dims="layer")
    share = sizes / sizes.sum()
    mean = (pooled["layer_mean"] * share).sum("layer")
    spread = (pooled["layer_variance"] + (pooled["layer_mean"] - mean) ** 2) * share
    noise = pooled["layer_norm"] ** 2 - pooled["layer_mean_norm"] ** 2
    return pooled.assign(
        network_mean=mean,
        network_variance=spread.sum("layer"),
        network_std=np.sqrt(spread.sum("layer")),
        network_norm=np.sqrt((pooled["layer_norm"] ** 2).sum("layer")),
        network_mean_norm=np.sqrt((pooled["layer_mean_norm"] ** 2).sum("layer")),
        network_snr=np.sqrt((pooled["layer_mean_norm"] ** 2).sum("layer") / noise.sum("layer")),
        network_zero_fraction=(pooled["layer_zero_fraction"] * share).sum("layer"),
    )
