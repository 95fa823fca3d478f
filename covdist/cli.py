"""The command line: words to the same calls a notebook makes."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from covdist.errors import CovdistError

if TYPE_CHECKING:
    from distributed import Client

    from covdist.readings.result import Moments
    from covdist.readings.whole_log import Selection


class _Commands(click.Group):
    """Turns covdist's errors into one sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            click.echo(f"covdist: {error.format_message()}", err=True)
            ctx.exit(error.exit_code)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(130)
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"covdist: {_sentence(error)}", err=True)
            ctx.exit(1)


def _sentence(error: Exception) -> str:
    if isinstance(error, CovdistError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}; `covdist --debug ...` shows where it happened"


@click.group(name="covdist", cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="covdist")
def main(debug: bool) -> None:
    """Covariances, variances and gradient statistics of neural-network logs."""


def _selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose arrays of a log, and pass them on as one ``selection``."""

    @functools.wraps(command)
    def wrapped(
        layer: str,
        var: str,
        against: str,
        dim: str,
        by: str,
        missing: str,
        precision: str,
        max_columns: int,
        **rest: Any,
    ) -> Any:
        from covdist.readings.whole_log import Selection

        chosen = Selection(layer, var, against, dim, by, missing, precision, max_columns)
        return command(selection=chosen, **rest)

    for option in reversed(_SELECTION):
        wrapped = option(wrapped)
    return wrapped


_option = functools.partial(click.option, show_default=True)
_SELECTION = [
    click.argument("log"),
    _option("--layer", default="*", help="Glob of node paths, such as 'block*/attn'."),
    _option("--var", help="Variable to fold; all with more than one dim by default."),
    _option("--against", help="Second variable of the same node: cross-covariance of the two."),
    _option("--dim", help="Sample dim; each array's first by default."),
    _option("--by", help="Coordinate to group rows by, such as epoch."),
    _option(
        "--missing",
        type=click.Choice(["raise", "propagate", "drop"]),
        default="raise",
        help="Rows with NaN or infinity.",
    ),
    _option(
        "--precision",
        type=click.Choice(["high", "fast"]),
        default="high",
        help="Products in float64, or faster in float32.",
    ),
    _option(
        "--max-columns",
        type=click.IntRange(0),
        default=4096,
        help="Up to this many columns the full matrix, beyond it variances only.",
    ),
    _option(
        "--missing-chunks",
        type=click.Choice(["raise", "fill"]),
        default="raise",
        help="Chunks that the store lacks.",
    ),
]


def _clustering(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose a cluster, and pass them on as ``cluster_options``."""

    @functools.wraps(command)
    def wrapped(
        scheduler: str | None,
        scheduler_file: str | None,
        workers: int | None,
        threads: int,
        memory_limit: str,
        **rest: Any,
    ) -> Any:
        if scheduler is not None and scheduler_file is not None:
            raise click.UsageError("--scheduler and --scheduler-file both name a scheduler: give one of them")
        options = {
            "scheduler": scheduler, "scheduler_file": scheduler_file, "workers": workers, "threads": threads,
            "memory_limit": memory_limit,
        }  # fmt: skip
        return command(cluster_options=options, **rest)

    for option in reversed(_CLUSTER):
        wrapped = option(wrapped)
    return wrapped


def _memory(ctx: click.Context, option: click.Parameter, value: str) -> str:
    from dask.utils import parse_bytes

    try:
        if value != "auto":
            parse_bytes(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no amount of memory: write it like 4GiB or 500MiB") from error
    return value


_CLUSTER = [
    _option("--scheduler", help="Address of a dask scheduler; a cluster of this machine's cores by default."),
    _option("--scheduler-file", help="File that `dask scheduler --scheduler-file` wrote."),
    _option("--workers", type=click.IntRange(1), help="Workers of the local cluster; one a core by default."),
    _option("--threads", type=click.IntRange(1), default=1, help="Threads of each local worker."),
    _option("--memory-limit", callback=_memory, default="auto", help="Memory of each local worker, such as 4GiB."),
]

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")


@main.command()
@_selecting
@_json
def plan(selection: Selection, log: str, missing_chunks: str, as_json: bool) -> None:
    """Say what a run over LOG would read, compute and hold; runs nothing."""
    from covdist.logs import open_log
    from covdist.readings.whole_log import plans
    from covdist.report.tables import plan_record, plan_table

    found = plans(open_log(log, missing_chunks=missing_chunks), selection)
    if as_json:
        _print_json({path: plan_record(one) for path, one in found.items()})
    else:
        _console().print(plan_table(found))


@main.command()
@_selecting
@_clustering
@_json
@click.option("-o", "--output", required=True, help="Result to write; must not exist.")
def run(
    selection: Selection,
    log: str,
    missing_chunks: str,
    cluster_options: dict[str, Any],
    as_json: bool,
    output: str,
) -> None:
    """Fold LOG on a cluster and write the moments to a result that `show` and covdist.load read."""
    from covdist.logs import open_log
    from covdist.readings.store import free_path, save
    from covdist.readings.whole_log import foldings

    free_path(output)
    chosen = foldings(open_log(log, missing_chunks=missing_chunks), selection)
    from covdist.engine.cluster import cluster  # takes a while to import: wrong words are answered before

    with cluster(**cluster_options) as client:
        limit = _memory_limit(client)
        for folding in chosen.values():
            folding.plan().check(limit)
        lazy = {path: folding.moments() for path, folding in chosen.items()}
        results = _computed(client, lazy)
    save(results if len(results) > 1 else next(iter(results.values())), output)
    _print_results(results, as_json)


def _memory_limit(client: Client) -> int | None:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return min((worker["memory_limit"] for worker in workers if worker["memory_limit"]), default=None)


def _computed(client: Client, lazy: dict[str, Moments]) -> dict[str, Moments]:
    from distributed import KilledWorker, as_completed, progress

    from covdist.errors import ClusterError

    futures = client.compute(list(lazy.values()))
    if sys.stderr.isatty():
        with redirect_stdout(sys.stderr):  # standard output may be a file of results
            progress(futures, notebook=False)
        click.echo(err=True)
    try:
        results = dict(as_completed(futures, with_results=True))  # ends at the first failure
    except KilledWorker as error:
        raise ClusterError(
            f"{error.allowed_failures + 1} workers died while they ran {error.task}, most often for lack of memory: "
            "give each more with --memory-limit, or see the workers' own logs"
        ) from error
    return {path: results[future] for path, future in zip(lazy, futures, strict=True)}


@main.command()
@click.argument("result")
@_json
def show(result: str, as_json: bool) -> None:
    """Print what RESULT holds."""
    from covdist.readings.result import Moments
    from covdist.readings.store import load

    found = load(result)
    _print_results({"": found} if isinstance(found, Moments) else found, as_json)


@main.command()
@click.argument("results", nargs=-1, required=True)
@click.option("-o", "--output", required=True, help="Result to write; must not exist.")
@_json
def merge(results: tuple[str, ...], output: str, as_json: bool) -> None:
    """Add up RESULTS of different rows of the same columns."""
    from covdist.errors import MergeError
    from covdist.readings.result import Moments
    from covdist.readings.store import free_path, load, save

    free_path(output)
    total: dict[str, Moments] = {}
    for path in results:
        found = load(path)
        named = {"": found} if isinstance(found, Moments) else found
        if total and named.keys() != total.keys():
            raise MergeError(
                f"{path} holds {', '.join(named) or 'one state'} but {results[0]} holds "
                f"{', '.join(total) or 'one state'}: results of the same arrays are needed"
            )
        total = {key: total[key].merge(one) if total else one for key, one in named.items()}
    save(total.get("", total), output)
    _print_results(total, as_json)


@main.command()
@_clustering
@_json
@click.option(
    "-o",
    "--output",
    default="covdist-demo",
    show_default=True,
    help="Folder for the two logs; must not exist.",
)
def demo(cluster_options: dict[str, Any], as_json: bool, output: str) -> None:
    """Record two real small training runs, analyse them and say what the statistics show."""
    from covdist.readings.store import free_path

    directory = free_path(output)
    from covdist.demo import run as run_demo
    from covdist.engine.cluster import cluster

    with cluster(**cluster_options) as client:
        found = run_demo(directory, _console(quiet=as_json), client)
    if as_json:
        _print_json(found)


def _print_results(results: dict[str, Moments], as_json: bool) -> None:
    from covdist.report.tables import result_record, result_table

    records = {path: result_record(one) for path, one in results.items()}
    if as_json:
        _print_json(records)
    else:
        _console().print(result_table(records))


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, default=float))


def _console(quiet: bool = False) -> Any:
    from rich.console import Console

    return Console(quiet=quiet, width=None if sys.stdout.isatty() else 160)
