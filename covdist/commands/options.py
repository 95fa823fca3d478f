"""Options that several commands share, and how commands print."""

from __future__ import annotations

import functools
import io
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, cast

import click
from click.core import ParameterSource

from covdist import plugins
from covdist.commands.progress import showing_files

if TYPE_CHECKING:
    from covdist.results.moments import Moments

    _Words = click.Choice[str]
else:
    _Words = click.Choice  # takes no type before click 8.2


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that open a log and choose arrays of it, and pass them on as ``opening`` and ``selection``."""
    return _selecting(command, _SELECTION)


def selecting_for_job(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add those of ``selecting`` that a job takes."""
    beyond = _option("--beyond", type=Choice(["variances"]), default="variances", hidden=True)
    return _selecting(command, {**_SELECTION, "beyond": beyond})


def _selecting(command: Callable[..., Any], offered: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    @functools.wraps(command)
    def wrapped(**given: Any) -> Any:
        from covdist.folding.selection import Selection

        opening = {name: given.pop(name) for name in _OPENING}
        with showing_files():
            selection = Selection(**{name: given.pop(name) for name in _SELECTION})
            return command(selection=selection, opening=opening, **given)

    for option in reversed([click.argument("log"), *offered.values(), *_OPENING.values()]):
        wrapped = option(wrapped)
    return wrapped


class WholeNumber(click.IntRange):
    """A number from a least one on, for which click's own message has "a valid integer range"."""

    name = "integer"


class Choice(_Words):
    """A word of several, of which the nearest to another word is said."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            from covdist.given import choices

            several = "one of " if len(self.choices) > 1 else ""
            self.fail(f"{value!r} is not {several}{choices(value, self.choices)}", param, ctx)
        return super().convert(value, param, ctx)


class Command(click.Command):
    """A command that refuses an option given twice, of which click silently takes the last."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for option, times in Counter(order).items():
            if isinstance(option, click.Option) and times > 1 and not (option.multiple or option.is_flag):
                raise click.UsageError(f"{option.opts[-1]} was given {times} times: give it once", ctx)
        return super().parse_args(ctx, args)


_BETWEEN_NAMES = re.compile(r",(?![^(]*\))")  # commas outside brackets


def _names(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...] | None:
    return tuple(name for text in given for name in _BETWEEN_NAMES.split(text)) or None


_option = functools.partial(click.option, show_default=True)


_SELECTION = {  # by the fields of Selection
    "layer": _option("--layer", default="*", help="A node's path, or a glob of them, such as 'block*/attn'."),
    "var": _option("--var", help="Variable to fold; all with more than one dim by default."),
    "against": _option("--against", help="Second variable of the same node: cross-covariance of the two."),
    "dim": _option(
        "--dim",
        multiple=True,
        callback=_names,
        help="Sample dim; each array's first by default. Several add up: --dim sample,h,w, or --dim for each.",
    ),
    "by": _option(
        "--by",
        multiple=True,
        callback=_names,
        help="Coordinate to group rows by, such as epoch, or bins of one, such as 'bins(step, 10)' or 'bins(step, "
        "width=100)'. Several make groups of rows that are alike in all of them.",
    ),
    "each": _option(
        "--each",
        multiple=True,
        callback=_names,
        help="Dim of which every position has a state of its own, such as h and w of patches: --each h,w.",
    ),
    "missing": _option(
        "--missing",
        type=Choice(plugins.names("missing")),
        default="raise",
        help="What NaN does: see docs/concepts/missing.md.",
    ),
    "inf": _option(
        "--inf",
        type=Choice(["raise", "missing"]),
        default="raise",
        help="Whether infinity is missing, as NaN is.",
    ),
    "precision": _option(
        "--precision",
        type=Choice(["high", "fast"]),
        default="high",
        help="Products in float64, or faster in float32.",
    ),
    "max_columns": _option(
        "--max-columns",
        type=WholeNumber(0),
        default=4096,
        help="Up to this many columns the full matrix as one state.",
    ),
    "beyond": _option(
        "--beyond",
        type=Choice(["variances", "tiles"]),
        default="variances",
        help="With more columns: variances only, or the full matrix in tiles that workers write to OUT.",
    ),
    "blocks": _option(
        "--blocks", type=int, help="Keep a state for each of so many runs of rows, for error bars by jackknife."
    ),
    "halflife": _option("--halflife", type=float, help="Rows count half for every so many steps before the last."),
    "state": _option("--state", multiple=True, help="What to keep of the rows, by name; several are folded together."),
}
_OPENING = {  # by the parameters of open_log
    "missing_chunks": _option(
        "--missing-chunks", type=Choice(["raise", "fill"]), default="raise", help="Chunks that the store lacks."
    ),
    "follow_links": _option(
        "--follow-links", is_flag=True, help="Read also through links in LOG, which may lead out of it."
    ),
    "concat": _option(
        "--concat/--no-concat", default=None, help="Whether files of a folder are one array; numbered ones by default."
    ),
}


by_option = _SELECTION["by"]


def opening(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument LOG and the options that open it, and pass these on as ``opening``."""

    @functools.wraps(command)
    def wrapped(**given: Any) -> Any:
        with showing_files():
            return command(opening={name: given.pop(name) for name in _OPENING}, **given)

    for option in reversed([click.argument("log"), *_OPENING.values()]):
        wrapped = option(wrapped)
    return wrapped


_CLUSTER = "scheduler", "scheduler_file", "workers", "threads", "memory_limit"


def clustering(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose a cluster, here or by its scheduler, and pass them on as ``cluster_options``."""
    return _clustering(command, [*_SCHEDULER, *_LOCAL])


def connecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a scheduler, which is needed, and pass them on as ``cluster_options``."""
    return _clustering(command, _SCHEDULER)


def _clustering(command: Callable[..., Any], offered: list[Callable[..., Any]]) -> Callable[..., Any]:
    @functools.wraps(command)
    def wrapped(tls_ca: str | None, tls_cert: str | None, tls_key: str | None, **given: Any) -> Any:
        options = {name: given.pop(name) for name in _CLUSTER if name in given}
        if options["scheduler"] is not None and options["scheduler_file"] is not None:
            raise click.UsageError("--scheduler and --scheduler-file both name a scheduler: give one of them")
        if options["scheduler"] is not None or options["scheduler_file"] is not None:
            _check_not_local(click.get_current_context())
        options["tls"] = _tls(tls_ca, tls_cert, tls_key, options["scheduler"] or options["scheduler_file"])
        return command(cluster_options=options, **given)

    for option in reversed(offered):
        wrapped = option(wrapped)
    return wrapped


def _check_not_local(ctx: click.Context) -> None:
    for option in ctx.command.params:
        local = option.name in ("workers", "threads", "memory_limit")
        if local and ctx.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{option.opts[-1]} is for workers on this machine, but a scheduler was named, which has its own: "
                f"leave {option.opts[-1]} or the scheduler out"
            )


def names_workers() -> bool:
    """Return whether the words of this command name workers, here or by their scheduler."""
    ctx = click.get_current_context()
    names = [option.name for option in ctx.command.params if option.name in _CLUSTER]
    return any(ctx.get_parameter_source(str(name)) is not ParameterSource.DEFAULT for name in names)


def _tls(ca: str | None, cert: str | None, key: str | None, scheduler: str | None) -> tuple[str, str, str] | None:
    if ca is None and cert is None and key is None:
        return None
    if ca is None or cert is None or key is None:
        raise click.UsageError("--tls-ca, --tls-cert and --tls-key go together: give all three or none")
    if scheduler is None:
        raise click.UsageError("certificates are for a scheduler that is named: add --scheduler or --scheduler-file")
    return ca, cert, key


def _memory(ctx: click.Context, option: click.Parameter, value: str) -> str:
    if value == "auto":
        return value
    from dask.utils import parse_bytes

    from covdist.engine.plan import PROCESS_BYTES, human_bytes

    try:
        size = int(parse_bytes(value.strip() or "nothing"))  # which is 1 to dask
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"{value!r} is not an amount of memory: write it like 4GiB or 500MiB") from error
    if size < PROCESS_BYTES:
        raise click.BadParameter(
            f"{value!r} is no memory for a worker, which needs more than the {human_bytes(PROCESS_BYTES)} that its "
            "process takes: write it like 4GiB or 500MiB"
        )
    return value


_SCHEDULER = [
    _option("--scheduler", help="Address of a dask scheduler, such as tcp://host:8786."),
    _option("--scheduler-file", help="File that `dask scheduler --scheduler-file` wrote."),
    _option("--tls-ca", help="Certificate of the authority of a scheduler with TLS."),
    _option("--tls-cert", help="Certificate to show to it."),
    _option("--tls-key", help="Key of that certificate."),
]
_LOCAL = [  # without a scheduler
    _option("--workers", type=WholeNumber(1), help="Workers on this machine without a scheduler; one a core."),
    _option("--threads", type=WholeNumber(1), default=1, help="Threads of each local worker."),
    _option("--memory-limit", callback=_memory, default="auto", help="Memory of each local worker, such as 4GiB."),
]

force_option = click.option(
    "--force",
    is_flag=True,
    help="Go on also where the plan needs more memory than a worker has, or the result is much larger than its log.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")


def print_results(results: Moments | dict[str, Moments], as_json: bool) -> None:
    from covdist.terminal.tables import result_records, result_table

    named = results if isinstance(results, dict) else {"": results}
    records = result_records(named)
    if as_json:
        print_json(records)
    else:
        click.echo(result_table(records))


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, default=float))


def console(quiet: bool = False) -> Any:
    from rich.console import Console

    width = shutil.get_terminal_size((160, 24)).columns
    return Console(markup=False, emoji=False, quiet=quiet, width=width, file=cast("IO[str]", _Echoed()))


class _Echoed(io.TextIOBase):
    """Standard output, in UTF-8 where the locale has nothing but ASCII."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        click.echo(text, nl=False)
        return len(text)

    def isatty(self) -> bool:
        return sys.stdout.isatty()
