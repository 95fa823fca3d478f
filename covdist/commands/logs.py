"""``covdist inspect`` and ``covdist convert``: what is in a log, and a log as Zarr."""

from __future__ import annotations

from typing import Any

import click

from covdist.commands.options import Command, console, json_option, opening, print_json


@click.command(cls=Command)
@opening
@json_option
def inspect(log: str, opening: dict[str, Any], as_json: bool) -> None:
    """Say what is in LOG: arrays, shapes, chunks, compression, checksums, and what is missing; values are not read."""
    from covdist.logs.contents import contents
    from covdist.logs.opening import log_nodes
    from covdist.terminal.contents import contents_table

    found = contents(log_nodes(log, **opening))
    if as_json:
        print_json({"arrays": found})
    else:
        console().print(contents_table(found), highlight=False, soft_wrap=True)


@click.command(cls=Command)
@opening
@click.argument("out")
def convert(log: str, opening: dict[str, Any], out: str) -> None:
    """Write LOG, of any format, as Zarr with checksums to the folder OUT, which must not exist.

    An array that cannot be read is an error, since it would be lost.
    """
    from covdist.errors import LogError
    from covdist.logs.opening import log_nodes, unread
    from covdist.logs.tree import tree
    from covdist.record.convert import convert as write

    nodes = log_nodes(log, **opening)
    opened = tree(nodes)  # which finds what else cannot be read
    for path, error in unread(nodes).items():
        raise LogError(f"{path} cannot be read, and would be lost: {error}")
    write(opened, out)
    console().print(f"wrote {out}", highlight=False, soft_wrap=True)
