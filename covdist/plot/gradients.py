"""Sizes of gradients from the input to the output, or over training, and where they vanish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from covdist.errors import DataError, shown
from covdist.plot._canvas import (
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    computed,
    drawn,
    legend,
    log_scale,
    name_places,
    names_along,
    note,
)
from covdist.plot._matrix import factor
from covdist.readings.gradients.gradient_stats import gradient_stats, pooled
from covdist.readings.gradients.gradient_stats import read as stats_of
from covdist.results.labelled_state import LabelledState

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from covdist.plot._canvas import Picture

_LAYER, _PARAMETER = "layer", "parameter"
_SIZES = {"rms": ("root mean square", BLUE, "-"), "std": ("noise: standard deviation", GREEN, ":"),
          "mean": ("signal: mean over the samples", PINK, "--")}  # fmt: skip


def gradients(x: Any, *, vanishing: float = 1 / 100, ax: Axes | None = None, **options: Any) -> Picture:
    """Sizes of gradients: of layers from the input to the output with the band where they vanish, or of one over time.

    Parameters
    ----------
    x : DataTree, Dataset, Moments, or mapping {layer: Moments}
        A log; what :func:`covdist.gradient_stats` gives of one, or :func:`covdist.health`; moments of gradients, of
        several layers as :func:`covdist.load` returns them, in their order.
    vanishing : float
        Below this share of the last layer's gradient is the band; 1/100 by default, as in :func:`covdist.health`.
    ax : matplotlib Axes, optional
        To draw on; by default new ones. Groups of several layers need a figure of their own.
    **options
        Of :func:`covdist.gradient_stats` of a log, such as ``dim="step"`` and ``by="epoch"``.

    Returns
    -------
    Axes or FacetGrid
        On a logarithmic scale the root mean square a parameter, and its two parts: the mean over samples, which is what
        trains, and the standard deviation about it. Several layers go from left to right, with a panel for each group,
        of at most 12; one layer with groups has these from left to right, and one without has its parameters in the
        order of their size. What is 0 has no place on the scale.
        Beyond 512 places means of neighbours are drawn, and the title says of how many.

    Raises
    ------
    DataError
        If ``x`` holds no gradients, or matplotlib is missing.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> rng = np.random.default_rng(0)
    >>> sizes = {"fc1": 1e-6, "fc2": 1e-3, "head": 1.0}
    >>> states = {name: covdist.moments(size * rng.normal(size=(50, 8))) for name, size in sizes.items()}
    >>> ax = covdist.plot.gradients(states)
    >>> [text.get_text() for text in ax.get_xticklabels()], ax.get_yscale()
    (['fc1', 'fc2', 'head'], 'log')
    >>> [text.get_text() for text in ax.get_legend().get_texts()][-1]
    'vanishing: below 0.01 of the last layer'
    """
    if not (isinstance(vanishing, int | float) and 0 < vanishing < 1):
        raise DataError(f"vanishing={vanishing!r} is not a share: pass a number between 0 and 1, such as 0.01")
    sizes = computed(_sizes(x, options))
    if _LAYER in sizes.dims:
        groups = [dim for dim in sizes["rms"].dims if dim != _LAYER]

        def draw(one: xr.Dataset, panel: Axes) -> None:
            _draw(panel, one, _LAYER, vanishing)

        return drawn(sizes, draw, ax, groups=groups, title="Gradients from the input to the output")
    (dim,) = sizes["rms"].dims
    title = "Gradients of the parameters, largest first" if dim == _PARAMETER else f"Gradients by {dim}"
    if (each := factor(sizes.sizes[dim])) > 1:
        title += f", means of {each:,}"
        bare = sizes.drop_vars(sizes.coords.keys())
        sizes = (
            bare.coarsen({dim: each}, boundary="pad")
            .mean()
            .assign_coords({dim: each * np.arange(-(-sizes.sizes[dim] // each))})
        )
    return drawn(sizes, lambda one, panel: _draw(panel, one, str(dim), None), ax, title=title)


# ---- what is drawn


def _sizes(x: Any, options: Mapping[str, Any]) -> xr.Dataset:
    """Return rms, std and mean a parameter: along layers, and groups; of one layer along groups or parameters."""
    if isinstance(x, xr.DataTree):
        x = gradient_stats(x, **options) if "layer_norm" not in x.dataset else x
    elif options:
        raise DataError(f"{', '.join(options)} is of covdist.gradient_stats(log): leave it out where states are given")
    if isinstance(x, xr.DataTree):
        parameters = [x[f"/{name}"].attrs["parameters"] for name in x.to_dataset()["layer"].values]
        return _of_layers(x.to_dataset(), xr.DataArray(parameters, dims=[_LAYER]))
    if isinstance(x, Mapping) and x and all(isinstance(each, LabelledState) for each in x.values()):
        states: Any = {shown(name or "root"): each for name, each in x.items()}
        counts = [each.layout.axes[0].size for each in states.values()]
        return _of_layers(pooled(states), xr.DataArray(counts, dims=[_LAYER]))
    if isinstance(x, xr.Dataset) and {"rms", "std", "parameters", _LAYER} <= {*x.variables}:
        return sizes_of_health(x)
    if isinstance(x, LabelledState):
        return _of_one(stats_of(x))  # type: ignore[arg-type]
    if isinstance(x, xr.Dataset) and {"norm", "std", "layer_norm"} <= {*x.variables}:
        return _of_one(x)
    raise DataError(
        f"gradients draws statistics of gradients, found a {type(x).__name__}: pass a log, moments of gradients, or "
        "what covdist.gradient_stats(g, dim=...) gives"
    )


def _of_layers(stats: xr.Dataset, parameters: xr.DataArray) -> xr.Dataset:
    root = np.sqrt(parameters.astype(float))
    rms, mean = stats["layer_norm"] / root, stats["layer_mean_norm"] / root
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = stats["layer_mean_norm"] / stats["layer_snr"] / root
    return xr.Dataset({"rms": rms, "std": noise, "mean": mean})


def sizes_of_health(found: xr.Dataset) -> xr.Dataset:
    """Return rms, noise and mean of what :func:`covdist.health` gives."""
    rms, snr = found["rms"], found["snr"]
    noise = rms / np.hypot(1, snr)  # rms² is noise² and mean²
    mean = (noise * snr.where(np.isfinite(snr), 0)).where(noise > 0, rms)  # without noise the ratio is infinite
    return xr.Dataset({"rms": rms, "std": noise, "mean": mean})


def _of_one(stats: xr.Dataset) -> xr.Dataset:
    groups = stats["layer_norm"].dims
    if groups:
        return _of_layers(stats, xr.DataArray(stats.attrs["parameters"]))
    sizes = {"rms": stats["norm"], "std": stats["std"], "mean": abs(stats["mean"])}
    order = np.argsort(-np.ravel(stats["norm"].to_numpy()), kind="stable")
    return xr.Dataset({name: (_PARAMETER, np.ravel(each.to_numpy())[order]) for name, each in sizes.items()})


# ---- drawing


def _draw(ax: Axes, one: xr.Dataset, dim: str, vanishing: float | None) -> None:
    places, names = np.arange(one.sizes[dim]), list[str]()
    handles: list[Any] = []
    positive = [each.to_numpy()[_shown(each.to_numpy())] for each in one.data_vars.values()]
    ax.set_xlabel(shown(dim), parse_math=False)
    ax.set_ylabel("gradient, a parameter")
    if not any(map(len, positive)):
        note(ax, "no gradient other than 0")
        return
    log_scale(ax, np.concatenate(positive))
    few = len(places) <= 64
    for name, (label, colour, line) in _SIZES.items():
        values = np.where(_shown(one[name].to_numpy()), one[name].to_numpy(), np.nan)
        handles += ax.plot(places, values, color=colour, linestyle=line, marker="o" if few else "", markersize=4)
        names.append(label)
    if vanishing is not None and 0 < (edge := vanishing * float(one["rms"][-1])) < np.inf:
        low, high = ax.get_ylim()
        bottom = min(low, max(edge / 10, np.finfo(float).smallest_subnormal))
        handles.append(ax.axhspan(bottom, edge, color=ORANGE, alpha=0.2, lw=0))
        names.append(f"vanishing: below {vanishing:.3g} of the last layer")
        ax.set_ylim(bottom, high)
    _name(ax, one, dim)
    legend(ax, handles, names, fontsize="small")


def _name(ax: Axes, one: xr.Dataset, dim: str) -> None:
    if dim != _PARAMETER:
        name_places(ax, names_along(one, dim), "x", some=dim != _LAYER)


def _shown(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values) & (values > 0)
