"""``covdist health``: what is wrong with the layers of a log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from covdist.commands.options import (
    Command,
    by_option,
    clustering,
    console,
    json_option,
    names_workers,
    opening,
    print_json,
)
from covdist.errors import shown

if TYPE_CHECKING:
    import xarray as xr

_LONGEST = 2_000  # letters of a sentence
_LEAST_WIDTH = 60  # of the table: in a narrower terminal its lines go on below, and names and figures stay whole
_THRESHOLDS = {  # parameters of covdist.health, which has the defaults
    "vanishing": "Gradients below this share of the last layer's vanish; 0.01 by default.",
    "exploding": "Gradients above so many times the last layer's explode; 100 by default.",
    "redundant": "Units whose correlation with an earlier one is beyond this repeat it; 0.99 by default.",
    "saturated": "Units whose mean slope is below this share of the steepest are saturated; 0.05 by default.",
    "share": "Layers with more than this share of such units, or of dead ones, are flagged; 0.1 by default.",
}


def _thresholds(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, text in reversed(_THRESHOLDS.items()):
        command = click.option(f"--{name}", type=float, help=text)(command)
    return command


def _bounds(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    found = {}
    for text in given:
        layer, _, pair = text.rpartition("=")
        try:
            low, high = map(float, pair.split(","))
        except ValueError:
            raise click.BadParameter(f"{text!r} is not a range: write it like 'fc*=-1,1'") from None
        found[layer or "*"] = low, high
    return found


@click.command(cls=Command)
@opening
@by_option
@click.option("--dim", multiple=True, help="Sample dim of gradients and activations; step and sample by default.")
@click.option("--layers", multiple=True, help="Layer to look at, from the input to the output; all by default.")
@click.option("--gradient", default="gradient", show_default=True, help="Variable that holds gradients.")
@click.option("--activation", default="activation", show_default=True, help="Variable that holds activations.")
@click.option("--bounds", multiple=True, callback=_bounds, help="Range of an activation function, such as 'fc*=-1,1'.")
@_thresholds
@clustering
@json_option
def health(log: str, opening: dict[str, Any], cluster_options: dict[str, Any], as_json: bool, **given: Any) -> None:
    """Say what is wrong with each layer of LOG: vanishing gradients, dead units and the like.

    Gradients and activations are read once. A finding is no failure: the exit code is 0.
    """
    import covdist
    from covdist.folding.grouping import named
    from covdist.terminal.health import health_records, health_sentences, health_table

    options = {name: value for name, value in given.items() if value not in (None, ())}
    options["by"] = tuple(map(named, given["by"] or ()))
    lazy = covdist.health(covdist.open_log(log, **opening), **options)
    found = _computed(lazy, cluster_options)
    if as_json:
        print_json({"layers": health_records(found), "advice": health_sentences(found)})
        return
    page = console()
    width, page.width = page.width, max(page.width, _LEAST_WIDTH)
    page.print(health_table(found))
    page.width = width
    for sentence in health_sentences(found):
        page.print(f"-> {shown(sentence, _LONGEST)}")


def _computed(found: xr.Dataset, cluster_options: dict[str, Any]) -> xr.Dataset:
    """Compute by the threads of this process, or by workers where the words name some."""
    if not names_workers():
        return found.compute(scheduler="threads")
    from covdist.engine.cluster import cluster

    with cluster(**cluster_options) as client:
        return found.compute(scheduler=client)
