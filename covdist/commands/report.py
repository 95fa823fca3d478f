"""``covdist report``: a page for a browser."""

from __future__ import annotations

from typing import Any

import click

from covdist.commands.options import Command, clustering, names_workers, opening
from covdist.errors import shown


@click.command(cls=Command)
@opening
@click.option("-o", "--output", required=True, help="HTML file to write; must not exist. Needs covdist[report].")
@click.option("--dim", multiple=True, help="Sample dim of a log's arrays; step and sample by default.")
@click.option("--gradient", default="gradient", show_default=True, help="Variable that holds gradients.")
@click.option("--activation", default="activation", show_default=True, help="Variable that holds activations.")
@clustering
def report(
    log: str, opening: dict[str, Any], output: str, dim: tuple[str, ...], cluster_options: dict[str, Any], **given: Any
) -> None:
    """Write a page of LOG, or of a result or a job, that says what is wrong and shows the layers.

    One file, which fetches nothing. A log is folded for it; of a job that runs, it shows what is done so far.
    """
    from covdist.page.report import report as written

    options = {**given, **opening, "dim": dim or None}
    if names_workers():
        from covdist.engine.cluster import cluster

        with cluster(**cluster_options) as client:
            written(log, output, scheduler=client, **options)
    else:
        written(log, output, **options)
    click.echo(f"a page in {shown(output, 300)}")
