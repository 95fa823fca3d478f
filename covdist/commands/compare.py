"""``covdist compare``: what has changed between two results."""

from __future__ import annotations

import click

from covdist.commands.options import Command, json_option, print_json
from covdist.commands.results import loaded


@click.command(cls=Command)
@click.argument("a")
@click.argument("b")
@click.option("--by", help="Coordinate whose groups both results have: a row for each group, such as each epoch.")
@json_option
def compare(a: str, b: str, by: str | None, as_json: bool) -> None:
    """Say what has changed from result A to result B, of each layer and variable that both hold.

    Two runs, two epochs, a model before and after fine-tuning. Or training against validation: a shift or a change
    there that two halves of the training data do not have is over-fitting in the representation.

    The mean shift is in standard deviations, a root mean square over columns; Frechet is the squared distance (FID);
    Δcov is relative to the covariance of A, Δcorr a root mean square; rank is the effective one, of A and of B.
    """
    from covdist.results.moments import Moments
    from covdist.terminal.comparison import comparison, comparison_table

    first, second = ({"": each} if isinstance(each, Moments) else each for each in (loaded(a), loaded(b)))
    record = comparison(first, second, by)
    if as_json:
        print_json(record)
    else:
        click.echo(comparison_table(record))
