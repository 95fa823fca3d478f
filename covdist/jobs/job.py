"""``Job``: what a job directory says, and a way to stop whoever drives the job."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import fsspec  # type: ignore[import-untyped]

from covdist.errors import JobError
from covdist.folding.request import policy
from covdist.jobs.directory.directory import Directory
from covdist.jobs.directory.secrets import clean
from covdist.jobs.results import deliver, fetched
from covdist.numerics.em import Fit
from covdist.results.load import load
from covdist.results.moments import Moments

ENDED = ("done", "failed", "cancelled", "stopped")
_PAUSE = 0.3
_LOST = 60.0  # seconds in which dask may find a dead driver another worker


class Job:
    """A job by its directory, whoever drives it. Reads files, and needs no cluster.

    Parameters
    ----------
    path : str or Path
        The job directory.

    Raises
    ------
    JobError
        If there is no job.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self._directory = job_directory(path)
        self._manifest = self._directory.manifest()

    @property
    def id(self) -> str:
        """The same for the same question about the same input."""
        return str(self._manifest["job"])

    @property
    def path(self) -> str:
        """The job directory."""
        return self._directory.path

    @property
    def directory(self) -> Directory:
        """Manifest, states, events and result as they are on disk."""
        return self._directory

    def status(self) -> dict[str, Any]:
        """Return how far the job is.

        Returns
        -------
        dict
            ``status`` is "waiting" (for a driver), "running", "done", "failed", "cancelled", "stopped" (its cluster
            was gone) or "lost" (its driver died); beside it ``job``, ``path``, ``log``, ``shards``, ``folded``,
            ``per_second``, ``seconds_left``, ``owner``, ``reason`` and ``failures``, what went wrong and was tried
            again. Under ``missing="maxent"`` shards, rate and time are those of one ``iteration`` of at most
            ``iterations``; 0 is the first pass.
        """
        lease, progress = self._directory.owners.current(), self._directory.progress()
        mine = lease is not None and progress.get("term") == lease.term
        shards = sum(shape.shards for shape in self._directory.shapes())
        status = {
            "job": self.id, "path": self.path, "log": self._manifest["asked"]["log"], "status": "waiting",
            "reason": progress.get("reason", "") if mine else "", "shards": shards,
            "folded": progress.get("folded", 0), "per_second": progress.get("per_second"),
            "seconds_left": progress.get("seconds_left"), "owner": None if lease is None else lease.owner,
            "iteration": progress.get("round", 0), "iterations": self._iterations,
            "failures": [event for event in self._directory.events() if event.get("event") in ("failed", "damaged")],
        }  # fmt: skip
        if self._directory.result(self.id) is not None:
            status.update(status="done", folded=shards, seconds_left=0.0)
        elif lease is None:
            status["status"] = "stopped"
        elif lease.released:
            status["status"] = progress["status"] if mine and progress.get("status") in ENDED[1:] else "stopped"
        elif self._directory.owners.lost(lease, time.time()):
            status["status"] = "lost"
        elif mine:
            status["status"] = "running"
        return status

    @property
    def _iterations(self) -> int:
        fitted = policy(self._manifest["asked"]["selection"]["missing"]).strategy is not None
        return Fit().max_iterations if fitted else 0

    def wait(
        self, timeout: float | None = None, watch: Callable[[Mapping[str, Any]], None] = lambda status: None
    ) -> Job:
        """Wait until the job is done.

        Parameters
        ----------
        timeout : float, optional
            Seconds.
        watch : callable
            Told each status.

        Raises
        ------
        JobError
            If it failed, was cancelled, or lost its driver for a minute; the message says what to do.
        TimeoutError
            If it goes on for longer than ``timeout``.
        """
        began = alive = time.monotonic()
        while True:
            status, now = self.status(), time.monotonic()
            watch(status)
            if status["status"] == "done":
                return self
            alive = alive if status["status"] == "lost" else now
            if status["status"] in ENDED or now - alive > _LOST:
                raise JobError(_why_not(status))
            if timeout is not None and now - began > timeout:
                raise TimeoutError(f"the job in {self.path} is not done after {timeout:g} seconds: {_short(status)}")
            time.sleep(_PAUSE)

    def result(self) -> Moments | dict[str, Moments]:
        """Return what a finished job made, as :func:`covdist.load` does.

        Raises
        ------
        JobError
            If it is not done.
        """
        status = self.status()
        if status["status"] != "done":
            raise JobError(_why_not(status))
        with fetched(self.path) as place:
            return load(place)

    def cancel(self) -> bool:
        """Ask the driver to stop, and say whether there is one; what is on disk stays, and the job can be resumed."""
        return self.status()["status"] != "done" and self._directory.owners.ask_to_cancel()

    def deliver(self, output: str | os.PathLike[str]) -> None:
        """Copy the result of a finished job to ``output``, unless it has been."""
        with fetched(self.path) as place:
            deliver(place, output)

    def __repr__(self) -> str:
        return f"<covdist.Job {self.id} in {self.path}: {_short(self.status())}>"

    def _repr_html_(self) -> str:
        status = self.status()
        rows = "".join(
            f"<tr><td>{name}</td><td>{escape(str(status[name]))}</td></tr>"
            for name in ("log", "path", "owner", "reason", "seconds_left")
            if status[name] not in (None, "")
        )
        bar = f'<progress max="{status["shards"]}" value="{status["folded"]}"></progress>'
        return f"<div><b>covdist.Job {self.id}</b>: {escape(_short(status))} {bar}<table>{rows}</table></div>"


def jobs_in(folder: str | os.PathLike[str]) -> list[Job]:
    """Return the jobs whose folders are in a folder, local or remote, by name."""
    system, root = fsspec.core.url_to_fs(os.fspath(folder))
    system.invalidate_cache()
    if not system.isdir(root):
        raise JobError(f"{os.fspath(folder)} is no folder: pass the one that holds the jobs' own folders")
    names = sorted(name.rstrip("/") for name in system.ls(root, detail=False))
    return [
        Job(system.unstrip_protocol(name).removeprefix("file://"))
        for name in names
        if system.exists(f"{name}/manifest.json")
    ]


def job_directory(path: str | os.PathLike[str]) -> Directory:
    """Return a job directory by its absolute path or URL; what a store asks for comes from fsspec's configuration."""
    text = os.fspath(path).removeprefix("file://")
    if clean(text) != text:
        raise JobError(f"{clean(text)} holds credentials: put them into fsspec's configuration, or the environment")
    return Directory(text.rstrip("/") if "://" in text else os.path.abspath(text))


def _short(status: Mapping[str, Any]) -> str:
    which = f" of iteration {status['iteration']} of at most {status['iterations']}" if status["iterations"] else ""
    return f"{status['status']}, {status['folded']:,} of {status['shards']:,} shards{which}"


def _why_not(status: Mapping[str, Any]) -> str:
    path, why = status["path"], f" ({status['reason']})" if status["reason"] else ""
    if status["status"] in ("running", "waiting"):
        return f"the job in {path} is {status['status']}: wait for it with `covdist wait {path}`"
    found = {"lost": "lost its driver", "failed": "failed"}.get(status["status"], f"was {status['status']}")
    return f"the job in {path} {found}{why}: `covdist resume {path}` goes on where it was"
