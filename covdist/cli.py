"""The command line: words to the same calls a notebook makes."""

from __future__ import annotations

import atexit
import functools
import gc
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from covdist import __version__
from covdist.commands.compare import compare
from covdist.commands.exchange import export, import_
from covdist.commands.health import health
from covdist.commands.jobs import COMMANDS, run_job
from covdist.commands.logs import convert, inspect
from covdist.commands.options import (
    Command,
    clustering,
    console,
    force_option,
    json_option,
    names_workers,
    print_json,
    print_results,
    selecting,
)
from covdist.commands.read import read
from covdist.commands.report import report
from covdist.commands.results import loaded
from covdist.commands.signals import ending_cleanly
from covdist.commands.update import run_update
from covdist.errors import CovdistError, shown

if TYPE_CHECKING:
    from distributed import Client

    from covdist.engine.plan import Plan
    from covdist.folding.batches import Batch
    from covdist.folding.request import Request
    from covdist.folding.selection import Selection
    from covdist.results.moments import Moments


Finish = Callable[["dict[str, Moments]", "Callable[[dict[str, Moments]], dict[str, Moments]]"], "dict[str, Moments]"]
_COLLECTED = 100_000  # objects after which Python looks for cycles; 700 by default


class _Commands(click.Group):
    """Turns covdist's errors into one sentence and an exit code."""

    command_class = Command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _seldom_collected(), ending_cleanly():
                return super().invoke(ctx)
        except click.UsageError as error:
            click.echo(f"covdist: {error.format_message()}", err=True)
            ctx.exit(error.exit_code)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # the last of who reads no further, of which click makes an exit code
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(130)
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            said = f"unexpected {type(error).__name__}: {shown(str(error), 800)}"
            hint = f"{said}; `covdist --debug ...` shows where it happened"
            click.echo(f"covdist: {error if isinstance(error, CovdistError) else hint}", err=True)
            ctx.exit(1)


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Let Python look for cycles less often: of 5,000 layers it does so for a fifth of a run's time, and finds none."""
    before = gc.get_threshold()
    gc.set_threshold(_COLLECTED, *before[1:])
    atexit.register(gc.freeze)  # at the end of the process Python would look through all that is left: 0.5 s of 6
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _kernels() -> list[str]:
    from covdist.kernel.library import available, name
    from covdist.numerics.blas import library_names

    return [f"kernel: {name()} (here are {', '.join(available())})", f"BLAS: {library_names()}"]


@click.group(
    name="covdist",
    cls=_Commands,
    invoke_without_command=True,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.option("-v", "--verbose", is_flag=True, help="Say on standard error what is planned, merged and tried again.")
@click.option("--version", is_flag=True, help="Show the version; with --verbose what folds here, too.")
@click.pass_context
def main(context: click.Context, debug: bool, verbose: bool, version: bool) -> None:
    """Covariances, variances and gradient statistics of neural-network logs."""
    if version:
        click.echo(f"covdist, version {__version__}")
        if verbose:
            click.echo("\n".join(_kernels()))
        context.exit()
    if context.invoked_subcommand is None:
        context.fail("Missing command.")
    if verbose:
        logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
        logging.getLogger("covdist").setLevel(logging.DEBUG)


@main.command()
@selecting
@force_option
@json_option
def plan(selection: Selection, log: str, opening: dict[str, Any], force: bool, as_json: bool) -> None:
    """Say what a run over LOG would read, compute and hold; runs nothing."""
    from covdist.folding.result_size import check_size
    from covdist.folding.selection import possible_requests
    from covdist.folding.strategy import plans_of
    from covdist.logs.opening import log_nodes
    from covdist.readings.plan import with_spectra
    from covdist.terminal.tables import plan_record, plan_table, refused_list

    chosen, refused = possible_requests(log_nodes(log, **opening), selection)
    plans = plans_of(chosen, with_spectra)
    if as_json:
        records = {path: plan_record(plan) for path, plan in plans.items()}
        print_json(records | {path: {"error": str(error)} for path, error in refused.items()})
    else:
        click.echo(plan_table({path or chosen[path].source: plan for path, plan in plans.items()}))
        click.echo(refused_list(refused), nl=bool(refused))
    if not force:
        check_size(chosen, plans)


@main.command()
@selecting
@clustering
@force_option
@json_option
@click.option("-o", "--output", help="Result to write; must not exist.")
@click.option("--job", help="Folder for what is done so far, and the result: the same command goes on from there.")
@click.option("--update", help="Result of LOG to bring up to date: only rows that are new since are folded.")
def run(
    selection: Selection, log: str, opening: dict[str, Any], cluster_options: dict[str, Any], force: bool,
    as_json: bool, output: str | None, job: str | None, update: str | None,
) -> None:  # fmt: skip
    """Fold LOG on a cluster and write the moments to a result that `show` and covdist.load read."""
    if update is not None:
        if output is not None or job is not None:
            raise click.UsageError("--update writes the result that it names anew: leave out -o and --job")
        run_update(log, update, selection, opening, as_json, functools.partial(_folded, log, cluster_options, force))
        return
    if output is None and job is None:
        raise click.UsageError("Missing option '-o' / '--output': say where the result goes, or --job to make a job")
    from covdist.results.saving import save
    from covdist.results.store import check_room, free_path

    if output is not None:
        free_path(output)
    if job is not None or output is None:
        run_job(log, selection, opening, cluster_options, force, as_json, output, str(job))
        return
    from covdist.folding.batches import batches, few, folded_here
    from covdist.folding.result_size import check_size
    from covdist.folding.selection import requests
    from covdist.folding.strategy import plans_of
    from covdist.growth.made_from import MadeFrom
    from covdist.logs.opening import log_nodes
    from covdist.logs.paths import is_url

    nodes = log_nodes(log, **opening)
    chosen = requests(nodes, selection)
    plans = plans_of(chosen)
    if not force:
        check_size(chosen, plans)
    check_room(output, sum(plan.bytes_written for plan in plans.values()))
    named = chosen if len(chosen) > 1 else {"": next(iter(chosen.values()))}
    about = MadeFrom.of(nodes, selection, opening).as_json()
    small = batches(named, list(plans.values()))
    if not (names_workers() or is_url(log)) and few(named, small):
        found = folded_here(small)  # before a result is begun, for which zarr starts threads
        saved = save({}, output, lambda _: found, list(named), about)
    else:
        write: Finish = lambda lazy, computed: save(lazy, output, computed, list(named), about)  # noqa: E731
        saved = _run_on_workers(named, plans, cluster_options, force, write)
    print_results(dict(zip(chosen, saved.values(), strict=True)), as_json)


def _folded(log: str, cluster_options: dict[str, Any], force: bool, chosen: dict[str, Request]) -> dict[str, Moments]:
    """Return the moments of requests, folded by this process where workers take longer to start."""
    from covdist.folding.strategy import plans_of
    from covdist.growth.update import folded, light
    from covdist.logs.paths import is_url

    plans = plans_of(chosen)
    if not (names_workers() or is_url(log)) and light(list(plans.values())):
        return folded(chosen)
    return _run_on_workers(chosen, plans, cluster_options, force, lambda lazy, computed: computed(lazy))


def _run_on_workers(
    named: dict[str, Request], plans: dict[str, Plan], cluster_options: dict[str, Any], force: bool, finish: Finish
) -> dict[str, Moments]:
    from covdist.engine.cluster import cluster, least_memory  # takes a while to import: wrong words are answered before
    from covdist.folding.batches import batches
    from covdist.folding.fold import fold_request
    from covdist.folding.strategy import for_workers, plans_of

    with cluster(**cluster_options) as client:
        if not force:
            limit = least_memory(client)
            together = zip(named.items(), plans.values(), strict=True)
            named = {path: for_workers(request, plan) for (path, request), plan in together}
            plans = plans_of(named)
            for plan in plans.values():
                plan.check(limit)
        need = max(plan.peak_bytes for plan in plans.values())
        small = batches(named, list(plans.values()))
        batched = {path for batch in small for path in batch.requests}
        lazy = {path: fold_request(request) for path, request in named.items() if path not in batched}
        return finish(lazy, functools.partial(_computed, client, need, small))


def _computed(client: Client, need: int, small: list[Batch], lazy: dict[str, Moments]) -> dict[str, Moments]:
    from distributed import progress

    from covdist.engine.memory_watch import waited_for
    from covdist.folding.batches import moments_of

    futures = client.compute([*lazy.values(), *(batch.task() for batch in small)])
    if sys.stderr.isatty():
        with redirect_stdout(sys.stderr):  # standard output may be a file of results
            progress(futures, notebook=False)
        click.echo(err=True)
    values = waited_for(client, futures, need)
    return dict(zip(lazy, values, strict=False)) | moments_of(small, values[len(lazy) :])


@main.command()
@click.argument("result")
@click.option("--plot", help="Folder for plots of it, as PNG files; must not exist. Needs covdist[plot].")
@json_option
def show(result: str, plot: str | None, as_json: bool) -> None:
    """Print what RESULT holds."""
    from covdist.results.moments import Moments

    found = loaded(result)
    if plot is not None:
        from covdist.terminal.pictures import write_pictures

        names = write_pictures({"": found} if isinstance(found, Moments) else found, plot)
        click.echo(f"{len(names):,} plots in {shown(plot)}", err=as_json)
    print_results(found, as_json)


@main.command()
@click.argument("results", nargs=-1, required=True)
@click.option("-o", "--output", required=True, help="Result to write; must not exist.")
@json_option
def merge(results: tuple[str, ...], output: str, as_json: bool) -> None:
    """Add up RESULTS of different rows of the same columns."""
    from covdist.errors import MergeError
    from covdist.results.moments import Moments
    from covdist.results.saving import save
    from covdist.results.store import free_path

    free_path(output)
    total: dict[str, Moments] = {}
    for path in results:
        found = loaded(path)
        named = {"": found} if isinstance(found, Moments) else found
        if total and named.keys() != total.keys():
            raise MergeError(
                f"{path} holds {', '.join(named) or 'one state'} but {results[0]} holds "
                f"{', '.join(total) or 'one state'}: results of the same arrays are needed"
            )
        total = {key: total[key].merge(one) if total else one for key, one in named.items()}
    save(total, output)
    print_results(total, as_json)


@main.command()
@clustering
@json_option
@click.option(
    "-o", "--output", default="covdist-demo", show_default=True, help="Folder for the two logs; must not exist."
)
def demo(cluster_options: dict[str, Any], as_json: bool, output: str) -> None:
    """Record two real small training runs, analyse them and say what the statistics show."""
    from covdist.results.store import free_path

    directory = free_path(output)
    from covdist.demo import run as run_demo
    from covdist.engine.cluster import cluster

    with cluster(**cluster_options) as client:
        found = run_demo(directory, console(quiet=as_json), client)
    if as_json:
        print_json(found)


for command in [*COMMANDS, compare, convert, export, health, import_, inspect, read, report]:
    main.add_command(command)
