"""The demo: train one network from two initialisations, record both, and let the logs say what differs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from dask.base import compute

import covdist
from covdist.demo.advice import LayerNumbers, Row, dead_units, judge, redundant_units, suggestions
from covdist.demo.table import layer_table
from covdist.demo.training import Initialise, Trained, he, layer_names, small_weights, train

if TYPE_CHECKING:
    from distributed import Client
    from rich.console import Console

RUNS: Mapping[str, tuple[str, Initialise]] = {
    "vanishing": ("weights too small", small_weights),
    "sound": ("He initialisation", he),
}


def run(directory: Path, console: Console, client: Client | None = None) -> dict[str, Any]:
    """Train and record two small networks, analyse both logs and print what they say.

    Parameters
    ----------
    directory : pathlib.Path
        Gets the logs ``vanishing.zarr`` and ``sound.zarr``.
    console : rich.console.Console
        Where the tables go.
    client : distributed.Client, optional
        Computes the statistics; without one, dask's threads do.

    Returns
    -------
    dict
        For each run: ``log``, ``train_accuracy``, ``test_accuracy``, ``steps``, ``suggestions`` and
        ``layers``, one dict of numbers per layer.
    """
    directory.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, (title, initialise) in RUNS.items():
        path = directory / f"{name}.zarr"
        with console.status(f"{name}: training and recording"):
            trained = record(initialise, path)
        with console.status(f"{name}: reading the log"):
            rows = analyse(covdist.open_log(path), client)
        _show(f"{name}: {title}", rows, trained, console)
        found[name] = _plain(path, rows, trained)
    return found


def record(initialise: Initialise, path: Path) -> Trained:
    """Train from ``initialise`` and write the gradients and activations to a new log at ``path``."""
    with closing(covdist.Recorder(path, chunk_bytes=1 << 20)) as recorder:
        return train(initialise, recorder)


def analyse(log: xr.DataTree, client: Client | None = None) -> list[Row]:
    """Read gradients and activations of all layers in one pass over the log.

    Parameters
    ----------
    log : xarray.DataTree
        One node per layer, named as ``layer_names`` names them, with ``gradient`` (step, param) and
        ``activation`` (sample, unit).
    client : distributed.Client, optional
        Computes the statistics; without one, dask's threads do.

    Returns
    -------
    list of Row
        From the input to the output.
    """
    names = layer_names(len(log.children))
    lazy = [_readings(log.children[name]) for name in names]
    computed = compute(lazy, scheduler=client)[0]
    return judge([_numbers(*pair) for pair in zip(names, computed, strict=True)])


def _readings(layer: xr.DataTree) -> dict[str, Any]:
    units = covdist.moments(layer["activation"], dim="sample")
    gradient = covdist.gradient_stats(layer["gradient"], dim="step")
    return {"gradient": gradient, "variance": units.var(), "correlation": units.corr()}


def _numbers(layer: str, readings: Mapping[str, Any]) -> LayerNumbers:
    gradient, variance = readings["gradient"], np.asarray(readings["variance"])
    return LayerNumbers(
        layer=layer,
        mean=float(gradient["layer_mean"]),
        variance=float(gradient["layer_variance"]),
        std=float(gradient["layer_std"]),
        snr=float(gradient["layer_snr"]),
        rms=float(gradient["layer_norm"]) / math.sqrt(gradient["mean"].size),
        units=variance.size,
        dead=dead_units(variance),
        redundant=redundant_units(np.asarray(readings["correlation"])),
    )


def _show(title: str, rows: list[Row], trained: Trained, console: Console) -> None:
    console.print(layer_table(title, rows))
    console.print(f"accuracy: {trained.train_accuracy:.1%} in training, {trained.test_accuracy:.1%} held out")
    for sentence in suggestions(rows):
        console.print(f"-> {sentence}")
    console.print()


def _plain(path: Path, rows: list[Row], trained: Trained) -> dict[str, Any]:
    return {
        "log": str(path),
        "train_accuracy": trained.train_accuracy,
        "test_accuracy": trained.test_accuracy,
        "steps": trained.steps,
        "suggestions": suggestions(rows),
        "layers": [row.plain() for row in rows],
    }
