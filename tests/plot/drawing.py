"""What is drawn, and what of a picture is looked at."""

from __future__ import annotations

import numpy as np
import xarray as xr

import covdist

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)) @ RNG.normal(size=(4, 6)) + RNG.normal(size=(120, 6)) + 1
EPOCH = np.arange(120) // 40


def rows(x=X, **coords):
    return xr.DataArray(x, dims=("sample", "unit"), coords={"epoch": ("sample", EPOCH), **coords})


def by_epoch(x=X, **options):
    return covdist.moments(rows(x), dim="sample", by="epoch", **options)


def log(sizes):
    gradient = RNG.normal(size=(120, 5))
    nodes = {
        name: xr.Dataset(
            {"gradient": (("step", "param"), size * gradient), "activation": (("step", "unit"), X)},
            {"epoch": ("step", EPOCH)},
        )
        for name, size in sizes.items()
    }
    return xr.DataTree.from_dict(nodes)


LOG = log({"fc1": 1e-6, "fc2": 1e-2, "head": 1.0})


def texts(labels):
    return [each.get_text() for each in labels]


def drawn(figure_or_axes):
    figure = getattr(figure_or_axes, "fig", None) or figure_or_axes.figure
    figure.canvas.draw()
    return figure_or_axes
