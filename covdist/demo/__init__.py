"""The demo: train one network from two initialisations, record both, and let the logs say what differs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr
from dask.base import compute
from rich import box
from rich.table import Table
from rich.text import Text

import covdist
from covdist.demo.advice import LayerNumbers, Row, dead_units, judge, redundant_units, suggestions
from covdist.demo.training import Initialise, he, layer_names, small_weights, train

if TYPE_CHECKING:
    from distributed import Client
    from rich.console import Console

RUNS: Mapping[str, tuple[str, Initialise]] = {
    "vanishing": ("weights too small", small_weights),
    "sound": ("He initialisation", he),
}


def run(directory: Path, console: Console, client: Client | None = None) -> dict[str, Any]:
    """Train and record two small networks, analyse both logs and print what they say.

    ``directory`` gets the logs ``vanishing.zarr`` and ``sound.zarr``; without ``client``, dask's threads compute. What
    was found is returned by the name of the run, with one dict of numbers per layer.
    """
    directory.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, (title, initialise) in RUNS.items():
        path = directory / f"{name}.zarr"
        with console.status(f"{name}: training and recording"), covdist.Recorder(path, chunk_bytes=1 << 20) as recorder:
            trained = train(initialise, recorder)
        with console.status(f"{name}: reading the log"):
            rows = analyse(covdist.open_log(path), client)
        advice = suggestions(rows)
        console.print(layer_table(f"{name}: {title}", rows))
        console.print(f"accuracy: {trained.train_accuracy:.1%} in training, {trained.test_accuracy:.1%} held out")
        for sentence in advice:
            console.print(f"-> {sentence}")
        console.print()
        found[name] = {
            "log": str(path),
            "train_accuracy": trained.train_accuracy,
            "test_accuracy": trained.test_accuracy,
            "steps": trained.steps,
            "suggestions": advice,
            "layers": [row.plain() for row in rows],
        }
    return found


def analyse(log: xr.DataTree, client: Client | None = None) -> list[Row]:
    """Read gradients (step, param) and activations (sample, unit) of all layers in one pass over the log."""
    lazy = {}
    for name in layer_names(len(log.children)):
        units = covdist.moments(log[name]["activation"], dim="sample")
        lazy[name] = covdist.gradient_stats(log[name]["gradient"], dim="step"), units.var(), units.corr()
    return judge([_numbers(name, *readings) for name, readings in compute(lazy, scheduler=client)[0].items()])


def _numbers(layer: str, gradient: xr.Dataset, variance: xr.DataArray, correlation: xr.DataArray) -> LayerNumbers:
    return LayerNumbers(
        layer=layer,
        mean=float(gradient["layer_mean"]),
        variance=float(gradient["layer_variance"]),
        std=float(gradient["layer_std"]),
        snr=float(gradient["layer_snr"]),
        rms=float(gradient["layer_norm"]) / math.sqrt(gradient["mean"].size),
        units=variance.size,
        dead=dead_units(variance.to_numpy()),
        redundant=redundant_units(correlation.to_numpy()),
    )


def layer_table(title: str, rows: Sequence[Row]) -> Table:
    """Lay out the layers of one run, from the input to the output, for a terminal of 80 columns."""
    grid = Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD)
    grid.padding, grid.show_edge = (0, 1, 0, 0), False  # else the widest figures outgrow 80 columns
    grid.add_column("layer", no_wrap=True)
    for name in ("gradient\nmean", "\nvariance", "\nSNR", "vs last\nlayer"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("\nverdict", no_wrap=True)
    for name in ("dead\nunits", "redundant\nunits"):
        grid.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        numbers = row.numbers
        grid.add_row(
            numbers.layer,
            *(f"{number:.1e}" for number in (numbers.mean, numbers.variance, numbers.snr, row.relative)),
            Text(row.verdict, style="green" if row.verdict == "ok" else "bold red"),
            f"{numbers.dead}/{numbers.units}",
            f"{numbers.redundant}/{numbers.units}",
        )
    return grid
