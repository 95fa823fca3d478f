"""Drives a job to its end, in this process or in a task on the cluster that outlives the process that submitted it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial

from distributed import Client, fire_and_forget, worker_client

from covdist.engine.cluster import least_memory
from covdist.errors import CovdistError, JobError
from covdist.jobs.asked import read_manifest
from covdist.jobs.dashboard.reporter import Reporter
from covdist.jobs.dask_runner import DaskRunner
from covdist.jobs.directory.directory import Directory, ShardCounts, versions
from covdist.jobs.driver import Driver, Watch
from covdist.jobs.permitted import permitted
from covdist.jobs.trees import JobPlan, check_same
from covdist.storage.lease import Lease
from covdist.storage.owners import this_owner
from covdist.storage.process import here

LEASE = 30.0  # seconds that a driver may be silent before another may take over
_log = logging.getLogger(__name__)


@permitted()
def opened(directory: Directory) -> JobPlan:
    """Return the plan of a job that has begun, unless its input, or how covdist cuts it, has changed since."""
    manifest = read_manifest(directory)
    plan = JobPlan(manifest["asked"], len(manifest["plan"]))
    check_same(directory, manifest, plan.input_now())
    if plan.sizes != manifest["plan"]:
        raise JobError(
            f"the job in {directory.path} was begun by covdist {manifest['versions'].get('covdist')}, which cuts rows "
            f"otherwise than this {versions()['covdist']}, or its manifest.json was edited: resume it with that "
            "version, or begin a new job"
        )
    return plan


def check_plans(plan: JobPlan, client: Client) -> None:
    """Raise PlanError where the cluster's workers have too little memory."""
    limit = least_memory(client)
    for each in plan.plans.values():
        each.check(limit)


@permitted()
def drive(
    directory: Directory, client: Client, plan: JobPlan | None = None, *, stop: Callable[[], bool] = lambda: False,
    watch: Watch = lambda progress: None, given: Lease | None = None, force: bool = False,
) -> str:  # fmt: skip
    """Run a job that has begun until it ends or cannot go on, and return its status.

    ``stop`` is asked about once a second, ``watch`` is called as by ``Driver.run``, and ``given`` is the lease that the
    process which sent this driver acquired for it.
    """
    job = read_manifest(directory)["job"]
    if directory.result(job) is not None:
        return "done"
    lease = _taken(directory, given)
    _log.debug("%s: %s drives job %s", directory.path, lease.owner, job)
    try:
        plan = plan or opened(directory)
        if not force:
            check_plans(plan, client)
        work, stopped = plan.work(directory, job), lambda: stop() or directory.cancelled(lease)
        since = time.time() if given is None else given.until - LEASE
        with closing(DaskRunner(client, work, lease.nonce, stopped, since)) as runner:
            following = partial(plan.due, directory, job)
            driver = Driver(directory, lease, following(), runner, time.time, following=following)
            return _shown_in_dashboard(driver, Reporter(client, job, plan), watch)
    except BaseException as error:
        _give_up(directory, lease, error)
        raise


def _shown_in_dashboard(driver: Driver, reporter: Reporter, watch: Watch) -> str:
    """Run a driver to its end, and tell the cluster's dashboard how far it is."""

    def both(progress: ShardCounts) -> None:
        watch(progress)
        reporter.tell(driver)

    status = driver.run(both)
    reporter.tell_last(driver)
    return status


def _taken(directory: Directory, given: Lease | None) -> Lease:
    """Take over the given lease; if a driver had taken it over before, that one died and dask runs its task again."""
    owners, now, steal = directory.owners, time.time(), False
    current = owners.current()
    if given is not None and current is not None and current.nonce == given.nonce:
        steal = current != given
        lease = None if steal else owners.renew(replace(given, owner=this_owner(), process=here()), now, LEASE)
        if lease is not None:
            return lease
    return owners.acquire(now, LEASE, process=here(), steal=steal)


def _give_up(directory: Directory, lease: Lease, error: BaseException) -> None:
    """Record why the driver stops, and leave a job that can be resumed."""
    reason = str(error) if isinstance(error, CovdistError) else f"{type(error).__name__}: {error}"
    directory.note([{"time": time.time(), "event": "stopped", "term": lease.term, "reason": reason}])
    directory.set_progress({**directory.progress(), "term": lease.term, "status": "stopped", "reason": reason})
    directory.owners.release(lease)


def send(directory: Directory, client: Client, job: str, lease: Lease, force: bool) -> None:
    """Start a task on the cluster that drives a job, and do not wait for it."""
    key = f"drive-{job}-{lease.nonce}"
    fire_and_forget(client.submit(_drive_there, directory, lease, force, key=key, pure=False, priority=100))


def _drive_there(directory: Directory, lease: Lease, force: bool) -> str:
    # worker_client takes this thread out of the worker's pool, so that the worker folds too.
    with worker_client(timeout=LEASE) as client:
        return drive(directory, client, given=lease, force=force)
