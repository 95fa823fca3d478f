"""``submit``: folds a log on a cluster while the process that asked for it may end."""

from __future__ import annotations

import os
import time
from dataclasses import fields
from typing import Any

from distributed import Client, get_client

from covdist.engine.cluster import check_versions
from covdist.errors import ClusterError, DataError, JobError
from covdist.folding.selection import Selection
from covdist.given import flag, path_of
from covdist.jobs.asked import read_manifest
from covdist.jobs.driving import LEASE, check_plans, opened, send
from covdist.jobs.job import Job, job_directory
from covdist.jobs.permitted import permitted
from covdist.jobs.trees import JobPlan, question
from covdist.results.store import free_path


def submit(
    log: str | os.PathLike[str],
    *,
    job: str | os.PathLike[str] | None = None,
    client: Client | None = None,
    selection: Selection | None = None,
    missing_chunks: str = "raise",
    follow_links: bool = False,
    concat: bool | None = None,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    **options: Any,
) -> Job:
    """Fold a log on a cluster that no longer needs this process, and return at once.

    Parameters
    ----------
    log : str or Path
        As for :func:`covdist.open_log`; scheduler and workers must see it at the same path.
    job : str or Path, optional
        Directory for the job's files, on a disk that all workers share, or a URL; ``output`` with ``.job`` behind it by
        default. An equal call goes on with the job
        that is there; it never runs twice at a time.
    client : Client, optional
        Of a dask cluster, by default the current one.
    selection : Selection, optional
        Which arrays to fold, and how.
    missing_chunks : {"raise", "fill"}
    follow_links : bool
    concat : bool, optional
        As for :func:`covdist.open_log`.
    output : str or Path, optional
        Local path for a copy of the result.
    force : bool
        Run even where the plan needs more memory than a worker has, or the result is much larger than the log.
    **options
        Instead of ``selection``: its fields, such as ``layer="fc*"`` or ``by="epoch"``.

    Returns
    -------
    Job

    Raises
    ------
    JobError
        If the directory holds another job, or the log has changed since this one began.
    ClusterError
        If there is no client, or versions on the cluster differ from those here.
    PlanError
        If a worker has too little memory, or the result would be much larger than the log.

    Examples
    --------
    >>> import tempfile, numpy as np, covdist
    >>> from distributed import Client
    >>> folder = tempfile.mkdtemp()
    >>> np.save(f"{folder}/x.npy", np.eye(3))
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     job = covdist.submit(f"{folder}/x.npy", job=f"{folder}/job", client=client)
    ...     moments = job.wait(60).result()
    >>> int(moments.count)
    3
    """
    if not isinstance(selection, Selection | None):
        raise DataError(
            f"selection is a {type(selection).__name__}, expected a Selection: leave it out, and pass its "
            "fields by name"
        )
    if selection is not None and options:
        raise DataError(f"selection and {', '.join(options)} both say what to fold: give one of them")
    if job is None:
        if output is None:
            raise DataError("job and output are both missing: pass job, a directory for the job's files, or output")
        job = f"{path_of(output, 'output').rstrip('/')}.job"
    if output is not None:
        free_path(output)
    chosen = _selection(options) if selection is None else selection
    client, force = _checked(client), flag("force", force)
    plan = JobPlan(question(log, chosen, missing_chunks, output, follow_links, concat))
    check_versions(client)
    if not force:
        check_plans(plan, client)
    plan.begin(job_directory(job), force)
    begun = Job(job)
    if output is not None:
        _see_to(begun, plan.question["output"])
    return _sent(begun, client, force)


def _see_to(job: Job, output: str) -> None:
    """Deliver the result of a job that is done; refuse an output of which one that goes on does not know."""
    if job.status()["status"] == "done":
        job.deliver(output)
    elif (known := read_manifest(job.directory)["asked"]["output"]) != output:
        to = "its own folder alone" if known is None else known
        raise JobError(
            f"the job in {job.path} began before, and writes its result to {to}: submit it as it was, and pass "
            f"{output} to job.deliver when it is done"
        )


def _selection(options: dict[str, Any]) -> Selection:
    known = [field.name for field in fields(Selection)]
    if unknown := [option for option in options if option not in known]:
        raise DataError(
            f"submit has no option {', '.join(unknown)}: a job takes {', '.join(known)}; with others, such as weights, "
            "fold the arrays of covdist.open_log by covdist.moments"
        )
    return Selection(**options)


@permitted()
def resume(path: str | os.PathLike[str], client: Client | None = None, *, force: bool = False) -> Job:
    """Continue a job on this or another cluster, from the states on disk, unless a driver owns it."""
    job, client = Job(path), _checked(client)
    check_versions(client)
    plan = opened(job.directory)
    if not force:
        check_plans(plan, client)
    if job.status()["status"] in ("running", "waiting"):
        job.directory.owners.check_free(time.time())
    return _sent(job, client, force)


def _sent(job: Job, client: Client, force: bool) -> Job:
    if job.status()["status"] not in ("done", "running", "waiting"):
        lease = job.directory.owners.acquire(time.time(), LEASE)  # the driver takes it over
        send(job.directory, client, job.id, lease, force)
    return job


def _checked(client: Client | None) -> Client:
    """Return the client that was passed, or the current one."""
    if not isinstance(client, Client | None):
        raise ClusterError(
            f"client is a {type(client).__name__}, expected a distributed.Client: make one with "
            "distributed.Client(address)"
        )
    if client is not None:
        return client
    try:
        return get_client()
    except ValueError as error:
        raise ClusterError(
            "there is no dask client: make one with distributed.Client(address), or pass client="
        ) from error
