"""Commands for jobs, which go on after the terminal is closed."""

from __future__ import annotations

import functools
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from covdist.commands.options import (
    Command,
    clustering,
    connecting,
    force_option,
    json_option,
    print_json,
    print_results,
    selecting_for_job,
)
from covdist.commands.progress import bar
from covdist.engine.progress import showing

command = functools.partial(click.command, cls=Command)

if TYPE_CHECKING:
    from covdist.folding.selection import Selection
    from covdist.jobs.directory.directory import ShardCounts
    from covdist.jobs.driver import Watch
    from covdist.jobs.job import Job
    from covdist.jobs.trees import JobPlan


def run_job(
    log: str, selection: Selection, opening: dict[str, Any], cluster_options: dict[str, Any], force: bool,
    as_json: bool, output: str | None, path: str,
) -> None:  # fmt: skip
    """Fold a log as a job that this process drives, and that can be resumed if it ends."""
    from covdist.jobs.job import job_directory
    from covdist.jobs.trees import JobPlan, question

    plan = JobPlan(question(log, selection, output=output, **opening))
    plan.begin(job_directory(path), force)
    _drive(path, plan, cluster_options, force, as_json, output)


def _drive(
    path: str, plan: JobPlan | None, cluster_options: dict[str, Any], force: bool, as_json: bool, output: str | None
) -> None:
    from covdist.engine.cluster import cluster
    from covdist.jobs.driving import drive, opened
    from covdist.jobs.job import Job

    job = Job(path)
    if job.status()["status"] != "done":
        job.directory.owners.check_free(time.time())
        plan = plan or opened(job.directory)  # both refuse before a cluster is started
        with _signals() as received, _bar() as watch, cluster(**cluster_options) as client:
            ended = drive(job.directory, client, plan, stop=lambda: bool(received), watch=watch, force=force)
        if received and ended != "done":
            click.echo(f"interrupted: `covdist resume {shlex.quote(path)}` goes on where it was", err=True)
            click.get_current_context().exit(128 + received[-1])
    _print_ended(job, as_json, output)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect the first Ctrl-C and SIGTERM, so that finished work is kept; the second of each has its usual effect."""
    received, before = list[int](), dict[int, Any]()

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, receive)
    try:
        yield received
    finally:
        for caught, handler in before.items():
            signal.signal(caught, handler)


def _print_ended(job: Job, as_json: bool, output: str | None = None) -> None:
    result = job.result()
    if output is not None:
        job.deliver(output)
    print_results(result, as_json)


@contextmanager
def _bar() -> Iterator[Watch]:
    if not sys.stderr.isatty():
        yield lambda status: None
        return
    with bar() as progress:
        task = progress.add_task("shards", total=None)

        def files(done: int, total: int) -> None:
            progress.update(task, description="opening files", completed=done, total=total)

        def watch(status: ShardCounts) -> None:
            progress.update(task, description=status["status"], completed=status["folded"], total=status["shards"])

        with showing(files):
            yield watch


@command()
@selecting_for_job
@connecting
@force_option
@json_option
@click.option("-o", "--output", help="Path for a copy of the result; must not exist.")
@click.option("--job", help="Folder for the job, on a disk that all workers share; OUTPUT.job by default.")
def submit(
    selection: Selection, log: str, opening: dict[str, Any], cluster_options: dict[str, Any], force: bool,
    as_json: bool, output: str | None, job: str | None,
) -> None:  # fmt: skip
    """Have the cluster of a scheduler fold LOG, and return at once with the job's folder."""
    if output is None and job is None:
        raise click.UsageError("Missing option '-o' / '--output': say where the result goes, or --job for a folder")
    if not _names_cluster(cluster_options):
        raise click.UsageError(
            "name a cluster with --scheduler or --scheduler-file; `covdist run --job` runs a job on this machine"
        )
    from covdist.engine.cluster import cluster
    from covdist.jobs.submitting import submit as submitted

    with cluster(**cluster_options) as client:
        begun = submitted(log, job=job, client=client, selection=selection, output=output, force=force, **opening)
    _print(begun.status(), begun.path, as_json)


@command()
@click.argument("job")
@clustering
@force_option
@json_option
def resume(job: str, cluster_options: dict[str, Any], force: bool, as_json: bool) -> None:
    """Continue JOB, here until it ends, or on the cluster of a scheduler."""
    from covdist.engine.cluster import cluster
    from covdist.jobs.asked import read_manifest
    from covdist.jobs.job import Job
    from covdist.jobs.submitting import resume as resumed

    if not _names_cluster(cluster_options):
        output = read_manifest(Job(job).directory)["asked"]["output"]
        _drive(job, None, cluster_options, force, as_json, output)
        return
    with cluster(**cluster_options) as client:
        continued = resumed(job, client, force=force)
    _print(continued.status(), continued.path, as_json)


@command()
@click.argument("folder")
@json_option
def jobs(folder: str, as_json: bool) -> None:
    """List the jobs in FOLDER, or the one whose folder or id it is."""
    from covdist.jobs.job import statuses_in
    from covdist.terminal.jobs import jobs_table

    statuses = statuses_in(folder)
    _print(statuses, jobs_table(statuses), as_json)


@command()
@click.argument("job")
@json_option
def status(job: str, as_json: bool) -> None:
    """Show how far JOB is, how fast it runs, and what failed."""
    from covdist.jobs.job import Job
    from covdist.terminal.jobs import job_table

    status = Job(job).status()
    _print(status, job_table(status), as_json)


@command()
@click.argument("job")
@json_option
def wait(job: str, as_json: bool) -> None:
    """Watch JOB until it is done, and print its result."""
    from covdist.jobs.job import Job

    with _bar() as watch:
        done = Job(job).wait(watch=watch)
    _print_ended(done, as_json)


@command()
@click.argument("job")
@json_option
def cancel(job: str, as_json: bool) -> None:
    """Ask the driver of JOB to stop; `resume` continues it later."""
    from covdist.jobs.job import Job

    driven = Job(job).cancel()
    _print({"asked": driven}, "asked to stop" if driven else "nobody drives it", as_json)


def _names_cluster(cluster_options: dict[str, Any]) -> bool:
    return cluster_options["scheduler"] is not None or cluster_options["scheduler_file"] is not None


def _print(content: object, text: str, as_json: bool) -> None:
    if as_json:
        print_json(content)
    else:
        click.echo(text)


COMMANDS = (submit, jobs, status, wait, cancel, resume)
