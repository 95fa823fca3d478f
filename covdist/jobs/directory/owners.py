"""``Owners``: the files that say who drives a job."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import replace

from covdist.errors import JobError
from covdist.jobs.directory.process import dead
from covdist.jobs.machine.lease import Lease, next_lease
from covdist.storage.checksum import from_json, to_json
from covdist.storage.place import Place


class Owners:
    """One owner at a time, in a term of its own.

    Parameters
    ----------
    place : Place
    path : str
        As messages name it.
    """

    def __init__(self, place: Place, path: str):
        self._place, self._path = place, path

    def current(self) -> Lease | None:
        """Return the highest term; one whose file is damaged is over."""
        names = self._place.names("lease")
        if not names:
            return None
        record = from_json(self._place.get(f"lease/{names[-1]}"))
        return Lease(int(names[-1].removesuffix(".json")), "?", "", 0.0) if record is None else Lease.of(record)

    def lost(self, lease: Lease, now: float) -> bool:
        """Say whether a lease has run out, or belongs to a process of this machine that has ended."""
        return lease.over(now) or dead(lease.process)

    def acquire(self, now: float, seconds: float, *, process: str = "", steal: bool = False) -> Lease:
        """Become the owner, at once where the last one is known to be dead.

        Parameters
        ----------
        now, seconds : float
            Seconds since 1970; how long the lease lasts unless renewed.
        process : str
            Of the driver, where it is known already.
        steal : bool
            Take it from an owner who still has time left.

        Raises
        ------
        JobError
            If somebody else owns the job; the message names them.
        """
        current = self.current()
        steal = steal or (current is not None and self.lost(current, now))
        lease = next_lease(current, this_owner(), uuid.uuid4().hex, now, seconds, steal=steal)
        if lease is not None:
            lease = replace(lease, process=process)
            if self._place.create(_lease(lease), to_json(lease.record())):
                return lease
        raise self._driven(self.current(), now)

    def check_free(self, now: float) -> None:
        """Raise JobError where somebody drives the job; whoever wants to may still come second with ``acquire``."""
        current = self.current()
        if current is not None and not self.lost(current, now):
            raise self._driven(current, now)

    def _driven(self, current: Lease | None, now: float) -> JobError:
        whose = "somebody else" if current is None else current.owner
        left = 0 if current is None else max(1, round(current.until - now))
        return JobError(
            f"the job in {self._path} is driven by {whose}: watch it with `covdist status`, or cancel it; should "
            f"that driver be dead, its lease ends in {left} seconds"
        )

    def renew(self, lease: Lease, now: float, seconds: float) -> Lease | None:
        """Return the lease made longer, or nothing where somebody else owns the job by now."""
        return self._rewrite(lease.renewed(now, seconds))

    def release(self, lease: Lease) -> None:
        """Let the next owner begin at once."""
        self._rewrite(lease.given_back())

    def _rewrite(self, lease: Lease) -> Lease | None:
        if _lease(lease) != f"lease/{(self._place.names('lease') or ['?'])[-1]}":
            return None
        self._place.put(_lease(lease), to_json(lease.record()))
        return lease

    def ask_to_cancel(self) -> bool:
        """Ask the current owner to stop; say whether there is one."""
        lease = self.current()
        if lease is None or lease.released:
            return False
        self._place.put(_cancel(lease), b"{}\n")
        return True

    def cancelled(self, lease: Lease) -> bool:
        """Say whether somebody asked this owner to stop."""
        return self._place.get(_cancel(lease)) is not None


def this_owner() -> str:
    """Return what people call this process."""
    return f"{socket.gethostname()} (process {os.getpid()})"


def _lease(lease: Lease) -> str:
    return f"lease/{lease.term:06d}.json"


def _cancel(lease: Lease) -> str:
    return f"cancel/{lease.term:06d}.json"
