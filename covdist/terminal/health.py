"""What ``covdist.health`` finds, as a table for a terminal of 80 columns, as sentences, and as plain dicts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
import xarray as xr
from rich import box
from rich.table import Table
from rich.text import Text

from covdist.errors import shown
from covdist.readings.gradients.health.verdicts import GOOD, ratio_text

_UNITS = {"dead": "dead\nunits", "saturated": "satu-\nrated", "redundant": "redun-\ndant"}


def health_table(found: xr.Dataset, title: str | None = None) -> Table:
    """Lay out the layers, from the input to the output, each with its groups."""
    grid = Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD)
    grid.padding, grid.show_edge = (0, 1, 0, 0), False  # else the widest figures outgrow 80 columns
    groups = _groups(found)
    grid.add_column("\nlayer", overflow="fold")
    if groups:
        grid.add_column(f"\n{shown(groups)}", overflow="fold")
    units = [name for name in _UNITS if found[f"{name}_share"].notnull().any()]
    for name in ("gradient\nrms", "\nSNR", "vs last\nlayer"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("\nverdict", no_wrap=True)
    for name in units:
        grid.add_column(_UNITS[name], justify="right", no_wrap=True)
    for layer, label, one in _cells(found):
        verdict = str(one["verdict"].item())
        figures = [_figure(one[name].item()) for name in ("rms", "snr")] + [ratio_text(one["relative"].item(), ".1e")]
        colour = "green" if verdict in GOOD else "bold red"
        shares = [_share(one[f"{name}_share"].item()) for name in units]
        names = (shown(str(each)) for each in (layer, *label))
        grid.add_row(*names, *figures, Text(verdict, style=colour), *shares)
    return grid


def health_sentences(found: xr.Dataset) -> list[str]:
    """Return what to change; of groups that come to the same once, with the first and last of them."""
    groups = _groups(found)
    if not groups:
        return str(found["advice"].item()).split("\n")
    said = zip(found[groups].values, found["advice"].values, strict=True)
    sentences = []
    for text, alike in groupby(said, key=lambda each: str(each[1])):
        labels = [shown(str(label)) for label, _ in alike]
        span = labels[0] if len(labels) == 1 else f"{labels[0]} to {labels[-1]}"
        sentences += [f"{shown(groups)} {span}: {sentence}" for sentence in text.split("\n")]
    return sentences


def health_records(found: xr.Dataset) -> list[dict[str, Any]]:
    """Return one dict of plain numbers and words for each layer, and group; None in place of NaN."""
    groups = _groups(found)
    network = ("per_layer", "per_layer_error", "advice")
    records = list[dict[str, Any]]()
    for layer, label, one in _cells(found):
        values = {str(name): _plain(one[name].item()) for name in one.data_vars if name not in network}
        named = {groups: label[0]} if label else {}
        records.append({"layer": layer, **named, **values})
    return records


def _groups(found: xr.Dataset) -> str:
    return str(found["advice"].dims[0]) if found["advice"].dims else ""


def _cells(found: xr.Dataset) -> Iterator[tuple[str, list[Any], xr.Dataset]]:
    """Yield each layer, and group, with its label if there is one, and its numbers."""
    groups = _groups(found)
    for layer in found["layer"].values:
        of_layer = found.sel(layer=layer)
        for number in range(found.sizes[groups] if groups else 1):
            one = of_layer.isel({groups: number}) if groups else of_layer
            yield str(layer), [_plain(found[groups].values[number])] if groups else [], one


def _figure(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.1e}"


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.0%}"


def _plain(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and np.isnan(plain) else plain
