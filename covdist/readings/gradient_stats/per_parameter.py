"""Gradient statistics per parameter, pooled over each layer and over the network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.folding.fold import fold_rows
from covdist.readings.gradient_stats.pool import layer_values, mean, pooled, ratio, zero_fraction
from covdist.results.labels import ArrayLike, Dims, Rows, Weights
from covdist.results.moments import Moments
from covdist.state.base import ColumnState, ask
from covdist.state.variances import Variances


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
        the log's root is the layer ``root`` (``root_`` where there is one of that name).

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
    """Read gradient statistics off a state."""
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
    arrays |= layer_values(moments)
    return xr.Dataset(arrays, attrs={"ddof": 0, "parameters": moments.layout.axes[0].size})


def signal_to_noise(columns: ColumnState) -> np.ndarray:
    """Return |mean| / std of each parameter."""
    return ratio(np.abs(mean(columns)), columns.deviation(0))


def norm(columns: ColumnState) -> np.ndarray:
    """Return the root mean square of each parameter."""
    return np.hypot(mean(columns), columns.deviation(0))


def dead(columns: ColumnState) -> np.ndarray:
    """Return, for each parameter, whether it was always zero."""
    return columns.zeros() == columns.rows()


def _tree(tree: xr.DataTree, var: str, fold: Callable[[xr.DataArray], Moments]) -> xr.DataTree:
    layers: dict[str, Moments] = {}
    for node in tree.subtree:
        if var in node.data_vars:
            path = node.path.strip("/") or _root_name(tree)
            name = f"{node.path.strip('/')}/{var}".strip("/")
            layers[path] = fold(node[var].rename(name))
    if not layers:
        names = sorted({str(name) for node in tree.subtree for name in node.data_vars})
        raise DataError(f"no node of the log holds a variable {var!r}, found are {', '.join(names)}: pass var=...")
    nodes = {f"/{path}": read(moments) for path, moments in layers.items()}
    return xr.DataTree.from_dict({"/": pooled(layers), **nodes})


def _root_name(tree: xr.DataTree) -> str:
    name = "root"
    while name in tree.children:
        name += "_"
    return name
