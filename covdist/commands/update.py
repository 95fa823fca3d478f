"""``covdist run LOG --update RESULT``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from covdist.commands.options import print_results
from covdist.commands.results import telling_logs

if TYPE_CHECKING:
    from covdist.folding.request import Request
    from covdist.folding.selection import Selection
    from covdist.growth.made_from import MadeFrom
    from covdist.results.moments import Moments


def run_update(
    log: str, result: str, selection: Selection, opening: dict[str, Any], as_json: bool,
    fold: Callable[[dict[str, Request]], dict[str, Moments]],
) -> None:  # fmt: skip
    """Bring a result up to date and print it; options that are not given are those that it was made with."""
    from covdist.growth.update import updated

    asked = {**opening, **selection.asked()}
    with telling_logs(result):
        found = updated(log, result, fold, partial(_check, result, _given(), asked))
    print_results(found, as_json)


def _given() -> dict[str, str]:
    """Return the options on the command line, as they were written, by their names."""
    ctx = click.get_current_context()
    named = {str(option.name): option.opts[-1] for option in ctx.command.params}
    return {n: said for n, said in named.items() if ctx.get_parameter_source(n) is ParameterSource.COMMANDLINE}


def _check(result: str, given: Mapping[str, str], asked: Mapping[str, Any], made: MadeFrom) -> None:
    from covdist.errors import ResultError

    before = {**made.opening, **made.selection.asked()}
    for name in given.keys() & (asked.keys() | before.keys()):
        if before.get(name) != asked.get(name):
            was = f"with {given[name]} {before[name]}" if name in before else f"without {given[name]}"
            raise ResultError(
                f"{result} was made {was}, found {asked.get(name)}: leave {given[name]} out, or make a new result by -o"
            )
