"""``Job``: reads a job directory, and can stop the job's driver."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from shlex import quote
from typing import Any, Literal, Self, TypeVar

from covdist.engine.notebook import facts_html
from covdist.errors import CovdistError, JobError, shown
from covdist.folding.request import policy
from covdist.given import path_of
from covdist.jobs.asked import read_manifest
from covdist.jobs.directory.directory import Directory, Progress, ShardCounts
from covdist.jobs.known import known_path
from covdist.jobs.permitted import permitted
from covdist.jobs.results import deliver, fetched
from covdist.numerics.em import Fit
from covdist.results.load import load_of_job
from covdist.results.moments import Moments
from covdist.storage.lease import Lease
from covdist.storage.place import place_at
from covdist.storage.secrets import clean_text

_log = logging.getLogger(__name__)
S = TypeVar("S")
T = TypeVar("T")
ENDED = ("done", "failed", "cancelled", "stopped")
_SHOWN: tuple[Literal["path", "log", "reason", "per_second", "seconds_left", "owner"], ...] = (
    "path", "log", "reason", "per_second", "seconds_left", "owner",
)  # fmt: skip
_POLL_SECONDS = 0.3
_LOST_SECONDS = 60.0  # within which dask may rerun a dead driver on another worker


class JobStatus(ShardCounts):
    """How far a job is.

    ``status`` is "waiting" (for a driver), "running", "done", "failed", "cancelled", "stopped" (its cluster is gone)
    or "lost" (its driver died). ``seconds_left`` is an estimate, and ``failures`` lists errors after which a task was
    tried again. Under ``missing="maxent"`` shards, rate and time are those of one ``iteration`` out of at most
    ``iterations``; iteration 0 is the first pass.
    """

    job: str
    path: str
    log: str
    reason: str
    per_second: float | None
    seconds_left: float | None
    owner: str | None
    iteration: int
    iterations: int
    failures: list[dict[str, Any]]


class Job:
    """A job in its directory, whoever drives it; reads files only and needs no cluster.

    Parameters
    ----------
    path : str or Path
        The job directory, or the id of a job that was begun by this user.

    Raises
    ------
    JobError
        If there is no job.

    Examples
    --------
    The examples of the methods go on with this job.

    >>> import tempfile, numpy as np, covdist
    >>> from distributed import Client
    >>> folder = tempfile.mkdtemp()
    >>> np.save(f"{folder}/x.npy", np.eye(3))
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     _ = covdist.submit(f"{folder}/x.npy", job=f"{folder}/job", client=client).wait()
    >>> job = covdist.Job(f"{folder}/job")
    >>> job  # doctest: +ELLIPSIS
    <covdist.Job ... in ...job: done, 1 of 1 shards>
    """

    @permitted()
    def __init__(self, path: str | os.PathLike[str]):
        self._directory = job_directory(known_path(path))
        self._manifest = read_manifest(self._directory)

    @property
    def id(self) -> str:
        """Identifies the job: equal for equal questions about equal inputs.

        Examples
        --------
        >>> len(job.id)
        16
        """
        return self._manifest["job"]

    @property
    def path(self) -> str:
        """The job directory.

        Examples
        --------
        >>> job.path == f"{folder}/job"
        True
        """
        return self._directory.path

    @property
    def directory(self) -> Directory:
        """Manifest, states, history and result on disk.

        Examples
        --------
        >>> [event["event"] for event in job.directory.events()][:2]
        ['started', 'saved']
        """
        return self._directory

    @permitted()
    def status(self) -> JobStatus:
        """Return how far the job is.

        Returns
        -------
        JobStatus
            A dictionary: ``status``, ``shards``, ``folded``, ``per_second``, ``seconds_left``, ``failures`` ...

        Examples
        --------
        >>> status = job.status()
        >>> status["status"], status["folded"], status["shards"]
        ('done', 1, 1)
        """
        lease, progress = self._directory.owners.current(), self._directory.progress()
        status, question = self._status(lease, progress), self._manifest["asked"]
        shards, done = sum(shards for shards, *_ in self._manifest["plan"]), status == "done"
        return {
            "job": self.id, "path": self.path, "log": question["log"], "status": status,
            "reason": progress.get("reason", "") if _current(lease, progress) else "", "shards": shards,
            "folded": shards if done else min(progress.get("folded", 0), shards),
            "per_second": progress.get("per_second"),
            "seconds_left": 0.0 if done else progress.get("seconds_left"),
            "owner": None if lease is None else lease.owner, "iteration": progress.get("round", 0),
            "iterations": Fit().max_iterations if policy(question["selection"].get("missing", "raise")).strategy else 0,
            "failures": [event for event in self._directory.events() if event.get("event") in ("failed", "damaged")],
        }  # fmt: skip

    def _status(self, lease: Lease | None, progress: Progress) -> str:
        if self._directory.result(self.id) is not None:
            return "done"
        if lease is None:
            return "stopped"
        if lease.released:
            ended = _current(lease, progress) and progress.get("status") in ENDED[1:]
            return progress["status"] if ended else "stopped"
        if self._directory.owners.lost(lease, time.time()):
            return "lost"
        return "running" if _current(lease, progress) else "waiting"

    def wait(self, timeout: float | None = None, watch: Callable[[JobStatus], None] = lambda status: None) -> Self:
        """Wait until the job is done, and return it.

        Parameters
        ----------
        timeout : float, optional
            Seconds.
        watch : callable
            Called with each status.

        Raises
        ------
        JobError
            If it failed, was cancelled, or has had no driver for a minute; the message says what to do.
        TimeoutError
            If it takes longer than ``timeout``.

        Examples
        --------
        >>> job.wait(timeout=60).status()["seconds_left"]
        0.0
        """
        began = alive = time.monotonic()
        while True:
            status, now = self.status(), time.monotonic()
            watch(status)
            if status["status"] == "done":
                return self
            alive = alive if status["status"] == "lost" else now
            if status["status"] in ENDED or now - alive > _LOST_SECONDS:
                raise JobError(_why_not(status))
            if timeout is not None and now - began > timeout:
                raise TimeoutError(f"the job in {self.path} is not done after {timeout:g} seconds: {_short(status)}")
            time.sleep(_POLL_SECONDS)

    def result(self) -> Moments | dict[str, Moments]:
        """Return the result of a finished job, as :func:`covdist.load` does.

        Raises
        ------
        JobError
            If the job is not done.

        Examples
        --------
        >>> int(job.result().count)
        3
        """
        status = self.status()
        if status["status"] != "done":
            raise JobError(_why_not(status))
        with fetched(self.path) as folder:
            return load_of_job(folder, self.path)

    @permitted()
    def cancel(self) -> bool:
        """Ask the driver to stop, and return whether there is one; the job can be resumed.

        Examples
        --------
        >>> job.cancel()  # it is done already
        False
        """
        return self.status()["status"] != "done" and self._directory.ask_to_cancel()

    def deliver(self, output: str | os.PathLike[str]) -> None:
        """Copy the result of a finished job to a local path, unless that exists.

        Parameters
        ----------
        output : str or Path

        Examples
        --------
        >>> job.deliver(f"{folder}/result.zarr")
        >>> int(covdist.load(f"{folder}/result.zarr").count)
        3
        """
        with fetched(self.path) as folder:
            deliver(folder, output)

    def __repr__(self) -> str:
        status = self._status_now()
        said = status if isinstance(status, str) else _short(status)
        return f"<covdist.Job {self.id} in {shown(self.path, 300)}: {said}>"

    def _repr_html_(self) -> str:
        status = self._status_now()
        if isinstance(status, str):
            return facts_html(f"covdist.Job {self.id}: {status}", [("path", self.path)])
        facts = [(name.replace("_", " "), status[name]) for name in _SHOWN if status[name] not in (None, "")]
        facts += [("tried again", f"{len(status['failures']):,} tasks")] if status["failures"] else []
        bar = f'<progress max="{status["shards"]}" value="{status["folded"]}"></progress>'
        return facts_html(f"covdist.Job {self.id}: {_short(status)}", facts, bar)

    def _status_now(self) -> JobStatus | str:
        """Return the status, or why there is none: a folder may be gone, or out of reach, when an object is shown."""
        try:
            return self.status()
        except (CovdistError, OSError) as error:
            return f"no status ({shown(str(error), 200)})"


@permitted()
def jobs_in(folder: str | os.PathLike[str]) -> list[Job]:
    """Return the jobs whose directories are in a folder, local or remote; of a job's own folder or id, that job."""
    root = _absolute(known_path(folder))
    place = place_at(root)
    if place.get("manifest.json") is not None:
        return [Job(root)]
    if not place.exists() or not ("://" in root or os.path.isdir(root)):
        raise JobError(f"{root} is not a folder: pass the one that holds the jobs' own folders")

    @permitted()
    def job(name: str) -> Job | None:
        return None if place.get(f"{name}/manifest.json") is None else Job(f"{root}/{name}")

    return [each for each in _told(job, place.names("")) if each is not None]


def statuses_in(folder: str | os.PathLike[str]) -> list[JobStatus]:
    """Return the status of each job that ``jobs_in`` finds."""
    jobs = jobs_in(folder)
    if [job.path for job in jobs] == [_absolute(known_path(folder))]:
        return [jobs[0].status()]
    return _told(Job.status, jobs)


def _told(tell: Callable[[S], T], each: Iterable[S]) -> list[T]:
    """Return what is told of each, and name in a warning those of which nothing can be told."""
    found = list[T]()
    for one in each:
        try:
            found.append(tell(one))
        except JobError as error:
            _log.warning("%s", error)  # many programs write files of a manifest's name
    return found


def job_directory(path: str | os.PathLike[str]) -> Directory:
    """Return a job directory by its absolute path or URL; storage options come from fsspec's configuration."""
    return Directory(_absolute(path))


def _absolute(path: str | os.PathLike[str]) -> str:
    text = path_of(path, "job").removeprefix("file://")
    if clean_text(text) != text:
        raise JobError(
            f"{clean_text(text)} holds credentials: put them into fsspec's configuration, or the environment"
        )
    return text.rstrip("/") if "://" in text else os.path.abspath(text)


def _current(lease: Lease | None, progress: Progress) -> bool:
    """Return whether the progress was written by the lease's owner."""
    return lease is not None and progress.get("term") == lease.term


def _short(status: JobStatus) -> str:
    which = f" of iteration {status['iteration']} of at most {status['iterations']}" if status["iterations"] else ""
    return f"{status['status']}, {status['folded']:,} of {status['shards']:,} shards{which}"


def _why_not(status: JobStatus) -> str:
    path, why = status["path"], f" ({status['reason']})" if status["reason"] else ""
    if status["status"] in ("running", "waiting"):
        return f"the job in {path} is {status['status']}: wait for it with `covdist wait {quote(path)}`"
    how = {"lost": "lost its driver", "failed": "failed"}.get(status["status"], f"was {status['status']}")
    return f"the job in {path} {how}{why}: `covdist resume {quote(path)}` goes on where it was"
