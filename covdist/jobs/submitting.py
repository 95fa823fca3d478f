"""``submit``: work that goes on when whoever asked for it has left."""

from __future__ import annotations

import os
import time
from typing import Any

from distributed import Client, get_client

from covdist.engine.versions import check_versions
from covdist.errors import ClusterError, DataError
from covdist.folding.selection import Selection
from covdist.jobs.driving import LEASE, check_plans, opened, send
from covdist.jobs.job import Job, job_directory
from covdist.jobs.trees import JobPlan, question
from covdist.results.store import free_path


def submit(
    log: str | os.PathLike[str],
    *,
    job: str | os.PathLike[str],
    client: Client | None = None,
    selection: Selection | None = None,
    missing_chunks: str = "raise",
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    **options: Any,
) -> Job:
    """Have a log folded by a cluster that needs this process no longer, and return at once.

    Parameters
    ----------
    log : str or Path
        As for :func:`covdist.open_log`; scheduler and workers must find it at the same path.
    job : str or Path
        Folder for the job's files, on a disk that all workers share. The same question about the same log is the
        same job: it goes on where it was, and never runs twice at a time.
    client : Client, optional
        Of a dask cluster; the current one by default.
    selection : Selection, optional
        Which arrays, and how; or say it by ``options`` such as ``layer="fc*"``, ``by="epoch"``.
    missing_chunks : {"raise", "fill"}
    output : str or Path, optional
        Where a copy of the result goes in the end.
    force : bool
        Try also where a worker has less memory than the plan says it needs.

    Returns
    -------
    Job

    Raises
    ------
    JobError
        If the folder holds another job, or the log has changed since this one began.
    ClusterError
        If there is no client, or the versions on the cluster differ from those here.
    PlanError
        If a worker has too little memory.

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
    if selection is not None and options:
        raise DataError(f"selection and {', '.join(options)} both say what to fold: give one of them")
    if output is not None:
        free_path(os.fspath(output))
    client = client or _current()
    trees = JobPlan(question(log, selection or Selection(**options), missing_chunks, output))
    check_versions(client)
    if not force:
        check_plans(trees, client)
    directory = job_directory(job)
    trees.begin(directory)
    return _sent(Job(job), client, force)


def resume(path: str | os.PathLike[str], client: Client | None = None, *, force: bool = False) -> Job:
    """Let a job go on, on the same cluster or another; what is on disk is not computed again.

    Raises
    ------
    JobError
        If somebody drives it, or its input has changed.
    """
    job, client = Job(path), client or _current()
    check_versions(client)
    trees = opened(job.directory)
    if not force:
        check_plans(trees, client)
    if job.status()["status"] in ("running", "waiting"):
        job.directory.owners.check_free(time.time())
    return _sent(job, client, force)


def _sent(job: Job, client: Client, force: bool) -> Job:
    if job.status()["status"] not in ("done", "running", "waiting"):
        lease = job.directory.owners.acquire(time.time(), LEASE)  # the driver takes it over
        send(job.directory, client, job.id, lease, force)
    return job


def _current() -> Client:
    try:
        return get_client()
    except ValueError as error:
        raise ClusterError(
            "there is no dask client: make one with distributed.Client(address), or pass client="
        ) from error
