"""Drives a job to its end: in this process, or from a task on the cluster that outlives whoever submitted it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from distributed import Client, fire_and_forget, worker_client

from covdist.engine.cluster import least_memory
from covdist.errors import CovdistError, JobError
from covdist.folding.strategy import plan_of
from covdist.jobs.dask_runner import DaskRunner
from covdist.jobs.directory.directory import Directory, versions
from covdist.jobs.directory.owners import this_owner
from covdist.jobs.directory.process import here
from covdist.jobs.driver import Driver
from covdist.jobs.machine.lease import Lease
from covdist.jobs.trees import JobPlan, check_same

LEASE = 30.0  # seconds that a driver may be silent before another may take over
_TELL = 0.3
Watch = Callable[[Mapping[str, Any]], None]


def opened(directory: Directory) -> JobPlan:
    """Return the trees of a job that has begun.

    Raises
    ------
    JobError
        If its input, or how covdist cuts it, has changed since.
    """
    manifest = directory.manifest()
    trees = JobPlan(manifest["asked"])
    check_same(directory, manifest, trees.found())
    if trees.shapes != directory.shapes():
        raise JobError(
            f"the job in {directory.path} was begun by covdist {manifest['versions'].get('covdist')}, which cuts rows "
            f"otherwise than this {versions()['covdist']}: resume it with that version, or begin a new job"
        )
    return trees


def check_plans(trees: JobPlan, client: Client) -> None:
    """Raise PlanError where the cluster's workers have too little memory."""
    limit = least_memory(client)
    for request in trees.requests.values():
        plan_of(request).check(limit)


def drive(
    directory: Directory,
    client: Client,
    *,
    stop: Callable[[], bool] = lambda: False,
    watch: Watch = lambda progress: None,
    given: Lease | None = None,
    force: bool = False,
) -> str:
    """Bring a job that has begun to its end, as far as it gets, and return its status.

    Parameters
    ----------
    directory : Directory
    client : Client
    stop : callable
        Asked now and then whether to give up; what is on disk is then kept.
    watch : callable
        Told the progress now and then.
    given : Lease, optional
        Acquired for this driver by whoever sent it.
    force : bool
        Try also where a worker has too little memory by the plan.

    Raises
    ------
    JobError
        If somebody else drives it, or its input has changed.
    PlanError
        If a worker has too little memory by the plan.
    ClusterError
        If the scheduler is gone, or workers have too little memory to get anywhere.
    """
    job = directory.manifest()["job"]
    if directory.result(job) is not None:
        return "done"
    lease = _taken(directory, given)
    try:
        trees = opened(directory)
        if not force:
            check_plans(trees, client)
        work, asked = trees.work(directory, job), lambda: stop() or directory.owners.cancelled(lease)
        since = time.time() if given is None else given.until - LEASE
        with closing(DaskRunner(client, work, lease.nonce, asked, since)) as runner:
            following = partial(trees.due, directory, job)
            return _stepped(Driver(directory, lease, following(), runner, time.time, following=following), watch)
    except BaseException as error:
        _give_up(directory, lease, error)
        raise


def _stepped(driver: Driver, watch: Watch) -> str:
    told = 0.0
    while driver.step():
        if time.monotonic() - told > _TELL:
            told = time.monotonic()
            watch(driver.progress())
    return driver.machine.status


def _taken(directory: Directory, given: Lease | None) -> Lease:
    """Take over the lease given; should a driver have had it before, it died, and dask runs its task again."""
    owners, now = directory.owners, time.time()
    current = owners.current()
    if given is None or current is None or current.nonce != given.nonce:
        return owners.acquire(now, LEASE, process=here())
    if current != given:
        return owners.acquire(now, LEASE, process=here(), steal=True)
    mine = replace(given, owner=this_owner(), process=here())
    return owners.renew(mine, now, LEASE) or owners.acquire(now, LEASE, process=here())


def _give_up(directory: Directory, lease: Lease, error: BaseException) -> None:
    """Leave a job to resume, and say why."""
    reason = str(error) if isinstance(error, CovdistError) else f"{type(error).__name__}: {error}"
    directory.note([{"time": time.time(), "event": "stopped", "term": lease.term, "reason": reason}])
    directory.set_progress({**directory.progress(), "term": lease.term, "status": "stopped", "reason": reason})
    directory.owners.release(lease)


def send(directory: Directory, client: Client, job: str, lease: Lease, force: bool) -> None:
    """Have a job driven by a task on the cluster, and leave it there."""
    key = f"drive-{job}-{lease.nonce}"
    fire_and_forget(client.submit(_drive_there, directory, lease, force, key=key, pure=False, priority=100))


def _drive_there(directory: Directory, lease: Lease, force: bool) -> str:
    # The thread leaves the worker's pool, so that the worker folds too.
    with worker_client(timeout=LEASE) as client:
        return drive(directory, client, given=lease, force=force)
