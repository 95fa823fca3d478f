"""Drawings of all layers together: gradients over depth and steps, and how like each other layers are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from covdist.errors import CovdistError
from covdist.page.arrays import places_of
from covdist.page.canvas import Drawing, figures, names_along
from covdist.page.contents import Contents
from covdist.page.heat_maps import heat_map
from covdist.page.lines import lines
from covdist.plot.gradients import sizes_of_health
from covdist.readings.gradients.gradient_stats import pooled
from covdist.results.moments import Moments

_MOST_LAYERS = 400
_OVER_STEPS = {
    "layer_mean_norm": ("Mean of the gradient", "norm of the mean gradient"),
    "layer_variance": ("Variance of the gradient", "variance of all values of the layer"),
    "layer_snr": ("Signal-to-noise ratio of the gradient", "norm of the mean over that of the noise"),
}


def network_drawings(contents: Contents, health: xr.Dataset | None) -> Iterator[Drawing]:
    """Yield what there are numbers for."""
    if health is not None and health["rms"].notnull().any():
        yield _depth(health)
    gradient = contents.variables[0]
    of_gradients = {
        path.rpartition("/")[0] or path: m for path, m in contents.states.items() if path.rpartition("/")[2] == gradient
    }
    yield from _over_steps(of_gradients)
    if isinstance(contents.similarity, xr.DataArray):
        yield _alike(contents.similarity)


def _depth(health: xr.Dataset) -> Drawing:
    found = sizes_of_health(health)
    vanishing = float(health.attrs["vanishing"])
    edge = vanishing * float(health["rms"][-1])
    return lines(
        "Gradients from the input to the output",
        "Root mean square a parameter, its noise over the samples, and its mean, which is what trains.",
        {
            "root mean square": found["rms"].to_numpy(),
            "mean": found["mean"].to_numpy(),
            "noise": found["std"].to_numpy(),
        },
        names_along(health, "layer"),
        ("layer", "gradient, a parameter"),
        band=(f"vanishing: below {figures(vanishing)} of the last layer", edge) if 0 < edge < np.inf else None,
    )


def _over_steps(of_gradients: dict[str, Moments]) -> Iterator[Drawing]:
    grouped = {name: m for name, m in of_gradients.items() if m.layout.groups is not None}
    if not grouped:
        return
    try:
        found = pooled(grouped).compute()
    except CovdistError:  # layers with other groups each are drawn by themselves
        return
    (dim,) = (each for each in found["layer_snr"].dims if each != "layer")
    if found.sizes[dim] < 2:
        return
    names = {"x": places_of(found, dim), "y": names_along(found, "layer")}
    for variable, (title, about) in _OVER_STEPS.items():
        values = found[variable].transpose("layer", dim).to_numpy()
        positive = np.isfinite(values) & (values > 0)
        if not positive.any():
            continue
        logs = np.log10(np.where(positive, values, np.nan))
        limits = float(np.nanmin(logs)), float(np.nanmax(logs))
        yield heat_map(
            f"{title} over steps and depth",
            f"{about[:1].upper()}{about[1:]}, on a logarithmic scale; grey is 0 or no value.",
            logs[:_MOST_LAYERS],
            limits if limits[0] < limits[1] else (limits[0] - 1, limits[1] + 1),
            names,
            (str(dim).removesuffix("_bins"), "layer"),
            title,
            log=True,
            header=("layer", "first", "last"),
            rows=[(name, f"{row[0]:.2e}", f"{row[-1]:.2e}") for name, row in zip(names["y"], values, strict=True)],
        )


def _alike(found: xr.DataArray) -> Drawing:
    values = found.to_numpy()
    if found.ndim > 2:
        values = np.nanmean(values.reshape(-1, *found.shape[-2:]), axis=0)
    names = names_along(found, found.dims[-2])
    method = str(found.attrs.get("method", "cka")).upper()
    estimate = f", estimated by {found.attrs['directions']:,} directions" if "directions" in found.attrs else ""
    rows = []
    for number, name in enumerate(names):
        others = np.where(np.arange(len(names)) == number, np.nan, values[number])
        if np.isfinite(others).any():
            best = int(np.nanargmax(others))
            rows.append((name, names[best], f"{others[best]:.3f}"))
    return heat_map(
        f"Similarity of layers ({method})",
        f"1 where two layers hold the same up to rotation and scale, 0 where they have nothing in common{estimate}.",
        values,
        (0.0, 1.0),
        {"x": names, "y": names},
        ("layer", "layer"),
        method,
        square=True,
        header=("layer", "most like", method),
        rows=rows,
    )
