"""``covdist export`` and ``covdist import``: statistics in the files of other tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from covdist import plugins
from covdist.commands.options import Choice, Command, json_option, print_results
from covdist.commands.results import loaded
from covdist.commands.words import call_of, value_of
from covdist.errors import DataError, shown

if TYPE_CHECKING:
    from covdist.results.moments import Moments

_words = click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[--option VALUE ...]")


def _given(ctx: click.Context, option: click.Parameter, value: str | None) -> str:
    if (
        value is None and not ctx.resilient_parsing
    ):  # of one that is required click lists the choices on lines of their own
        raise click.UsageError(
            f"Missing option '--as': name a format, one of {', '.join(plugins.names('exports'))}", ctx
        )
    return str(value)


_as = click.option(
    "--as",
    "format",
    callback=_given,
    type=Choice(plugins.names("exports")),
    help="Format: see docs/using/files.md.",
)


@click.command(cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("result")
@_words
@_as
@click.option("-o", "--output", required=True, help="File or folder to write; must not exist.")
@click.option(
    "--layer", default="*", show_default=True, help="A layer's path, or a glob of them, such as 'block*/input'."
)
@click.option("--sel", multiple=True, help="The group to write where there are groups, such as epoch=3.")
def export(result: str, words: tuple[str, ...], format: str, output: str, layer: str, sel: tuple[str, ...]) -> None:
    """Write what RESULT holds to a file that another tool loads, such as `covdist export r.zarr --as fid -o r.npz`.

    Further options are those of the format: `--bias '*'` of kronfluence, `--m-x RESULT` of leace.
    """
    options = _options(format, words, ("write", "write_all"), 2)
    from covdist.results.moments import Moments
    from covdist.results.saving import export as export_states

    found = loaded(result)
    states = _chosen({"": found} if isinstance(found, Moments) else found, layer, result)
    if list(states) == [layer] and hasattr(plugins.find("exports", format), "write"):
        states = {"": states[layer]}  # a layer that is named becomes a file, those of a pattern files in a folder
    export_states({path: _selected(one, sel) for path, one in states.items()}, output, format, **options)


@click.command(name="import", cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("file")
@_words
@_as
@click.option("-o", "--output", required=True, help="Result to write; must not exist.")
@json_option
def import_(file: str, words: tuple[str, ...], format: str, output: str, as_json: bool) -> None:
    """Make a result of FILE, which another tool keeps, such as `covdist import r.npz --as fid --count 50000 -o r.zarr`.

    `covdist merge` adds it to results of further rows. Options are those of the format: `--count N` of fid and fadtk,
    `--mean FILE.npy` of mom2 and kronfluence, `--bias GLOB` of kronfluence, `--dim NAME` of all.
    """
    options = _options(format, words, ("read",), 1)
    from covdist.results.load import load
    from covdist.results.moments import Moments
    from covdist.results.saving import save
    from covdist.results.store import free_path

    free_path(output)
    found = load(file, format, **options)
    save({"": found} if isinstance(found, Moments) else found, output)
    print_results(found, as_json)


def _options(format: str, words: tuple[str, ...], names: tuple[str, ...], given: int) -> dict[str, Any]:
    """Return the options that words give a function of a format; none where it has no such function."""
    module = plugins.find("exports", format)
    function: Callable[..., Any] | None = next((getattr(module, name) for name in names if hasattr(module, name)), None)
    return {} if function is None else call_of(format, function, words, given)[1]


def _chosen(states: Mapping[str, Moments], layer: str, result: str) -> dict[str, Moments]:
    chosen = {path: one for path, one in states.items() if path == layer or fnmatchcase(path, layer)}
    if not chosen:
        from covdist.given import choices

        there = choices(layer, states, shown, 8) if states.keys() != {""} else "one state, which has no name"
        raise DataError(f"there is no layer {layer!r} in {result}: pass a glob, or one of {there}")
    return chosen


def _selected(m: Moments, sel: tuple[str, ...]) -> Moments:
    for each in sel:
        label, sign, value = each.partition("=")
        if not sign:
            raise click.UsageError(f"--sel {shown(each)} does not name a group: write it like epoch=3")
        try:
            m = m.sel(**{label: _label(m, label, value)})
        except KeyError as error:
            raise DataError(f"--sel {shown(each)}: {error.args[0]}") from error
    return m


def _label(m: Moments, name: str, word: str) -> Any:
    """Return the label of a group that goes by a word, such as 3, '3' or a date."""
    from covdist.results.labels import readable

    groups = m.layout.groups
    if groups is None or name not in (groups.levels or (groups.dim,)):
        return value_of(word)
    values = groups.values[name] if groups.levels else groups.values
    return dict(zip(map(str, readable(values)), values, strict=True)).get(word, value_of(word))
