"""Commands for jobs: what goes on when the terminal is closed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from covdist.commands.options import (
    clustering,
    console,
    force_option,
    json_option,
    print_json,
    print_results,
    selecting,
)
from covdist.commands.signals import StopRequest

if TYPE_CHECKING:
    from covdist.folding.selection import Selection
    from covdist.jobs.job import Job

Watch = Callable[[Mapping[str, Any]], None]


def run_job(
    log: str,
    selection: Selection,
    missing_chunks: str,
    cluster_options: dict[str, Any],
    force: bool,
    as_json: bool,
    output: str | None,
    path: str,
) -> None:
    """Fold a log with this process as the driver, so that another can go on where it ends."""
    from covdist.jobs.job import job_directory
    from covdist.jobs.trees import JobPlan, question

    trees = JobPlan(question(log, selection, missing_chunks, output))
    trees.begin(job_directory(path))
    _drive(path, cluster_options, force, as_json, output)


def _drive(path: str, cluster_options: dict[str, Any], force: bool, as_json: bool, output: str | None) -> None:
    from covdist.engine.cluster import cluster
    from covdist.jobs.driving import drive, opened
    from covdist.jobs.job import Job

    job = Job(path)
    if job.status()["status"] != "done":
        job.directory.owners.check_free(time.time())
        opened(job.directory)  # both refuse before a cluster is started
        with StopRequest() as stop, _bar() as watch, cluster(**cluster_options) as client:
            drive(job.directory, client, stop=stop.asked, watch=watch, force=force)
        if stop.number:
            click.echo(f"interrupted: `covdist resume {path}` goes on where it was", err=True)
            click.get_current_context().exit(128 + stop.number)
    _print_ended(job, as_json, output)


def _print_ended(job: Job, as_json: bool, output: str | None = None) -> None:
    from covdist.results.moments import Moments

    found = job.result()
    if output is not None:
        job.deliver(output)
    print_results({"": found} if isinstance(found, Moments) else found, as_json)


@contextmanager
def _bar() -> Iterator[Watch]:
    if not sys.stderr.isatty():
        yield lambda status: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("shards", total=None)

        def watch(status: Mapping[str, Any]) -> None:
            progress.update(task, description=str(status["status"]), completed=status["folded"], total=status["shards"])

        yield watch


@click.command()
@selecting
@clustering
@force_option
@json_option
@click.option("-o", "--output", help="Where a copy of the result goes in the end; must not exist.")
@click.option("--job", required=True, help="Folder for the job, on a disk that all workers share.")
def submit(
    selection: Selection,
    log: str,
    missing_chunks: str,
    cluster_options: dict[str, Any],
    force: bool,
    as_json: bool,
    output: str | None,
    job: str,
) -> None:
    """Have a cluster fold LOG, and return at once with the job's id."""
    _named(cluster_options, "`covdist run --job` runs a job on this machine")
    from covdist.engine.cluster import cluster
    from covdist.jobs.submitting import submit as submitted

    with cluster(**cluster_options) as client:
        found = submitted(
            log, job=job, client=client, selection=selection, missing_chunks=missing_chunks, output=output, force=force
        )
    _print_id(found, as_json)


@click.command()
@click.argument("job")
@clustering
@force_option
@json_option
def resume(job: str, cluster_options: dict[str, Any], force: bool, as_json: bool) -> None:
    """Let JOB go on: here until it ends, or on the cluster of a scheduler."""
    from covdist.engine.cluster import cluster
    from covdist.jobs.job import Job
    from covdist.jobs.submitting import resume as resumed

    if cluster_options["scheduler"] is None and cluster_options["scheduler_file"] is None:
        output = Job(job).directory.manifest()["asked"]["output"]
        _drive(job, cluster_options, force, as_json, output)
        return
    with cluster(**cluster_options) as client:
        found = resumed(job, client, force=force)
    _print_id(found, as_json)


@click.command()
@click.argument("folder")
@json_option
def jobs(folder: str, as_json: bool) -> None:
    """List the jobs in FOLDER."""
    from covdist.jobs.job import jobs_in
    from covdist.report.jobs import jobs_table

    found = [job.status() for job in jobs_in(folder)]
    if as_json:
        print_json(found)
    else:
        console().print(jobs_table(found))


@click.command()
@click.argument("job")
@json_option
def status(job: str, as_json: bool) -> None:
    """Say how far JOB is, how fast, and what failed."""
    from covdist.jobs.job import Job
    from covdist.report.jobs import job_table

    found = Job(job).status()
    if as_json:
        print_json(found)
    else:
        console().print(job_table(found))


@click.command()
@click.argument("job")
@json_option
def wait(job: str, as_json: bool) -> None:
    """Watch JOB until it is done, and print its result."""
    from covdist.jobs.job import Job

    with _bar() as watch:
        found = Job(job).wait(watch=watch)
    _print_ended(found, as_json)


@click.command()
@click.argument("job")
@json_option
def cancel(job: str, as_json: bool) -> None:
    """Ask whoever drives JOB to stop; what is done stays, and `resume` goes on from there."""
    from covdist.jobs.job import Job

    asked = Job(job).cancel()
    if as_json:
        print_json({"asked": asked})
    else:
        click.echo("asked to stop" if asked else "nobody drives it")


def _named(cluster_options: dict[str, Any], otherwise: str) -> None:
    if cluster_options["scheduler"] is None and cluster_options["scheduler_file"] is None:
        raise click.UsageError(f"name a cluster with --scheduler or --scheduler-file; {otherwise}")


def _print_id(job: Job, as_json: bool) -> None:
    if as_json:
        print_json(job.status())
    else:
        click.echo(job.id)


COMMANDS = (submit, jobs, status, wait, cancel, resume)
