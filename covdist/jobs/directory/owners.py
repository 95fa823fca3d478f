"""``Owners``: the files that record who drives a job."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from dataclasses import asdict, replace

from covdist.errors import JobError
from covdist.jobs.directory.process import dead
from covdist.jobs.machine.lease import Lease, next_lease
from covdist.storage.checksum import from_json, to_json
from covdist.storage.place import Place

_log = logging.getLogger(__name__)


class Owners:
    """Grants a job to one owner at a time, each in a term of its own."""

    def __init__(self, place: Place, path: str):
        self._place, self._path = place, path  # the path is for messages

    def current(self) -> Lease | None:
        """Return the lease of the highest term; one whose file is damaged has expired."""
        names = self._place.names("lease")
        if not names:
            return None
        record = from_json(self._place.get(f"lease/{names[-1]}"))
        return Lease(int(names[-1].removesuffix(".json")), "?", "", 0.0) if record is None else Lease(**record)

    def lost(self, lease: Lease, now: float) -> bool:
        """Return whether a lease has expired, or belongs to a process of this machine that has ended."""
        return lease.over(now) or dead(lease.process)

    def acquire(self, now: float, seconds: float, *, process: str = "", steal: bool = False) -> Lease:
        """Become the owner for some seconds, at once where the last owner is known to be dead.

        Raises JobError where the job has an owner, unless that is deposed by ``steal``.
        """
        current = self.current()
        steal = steal or (current is not None and self.lost(current, now))
        lease = next_lease(current, this_owner(), uuid.uuid4().hex, now, seconds, steal=steal)
        if lease is not None:
            lease = replace(lease, process=process)
            if self._place.create(_file("lease", lease), to_json(asdict(lease))):
                _log.debug("%s: %s takes the lease of term %d", self._path, lease.owner, lease.term)
                return lease
        raise self._driven(self.current(), now)

    def check_free(self, now: float) -> None:
        """Raise JobError where the job has an owner; ``acquire`` may still fail if another process is faster."""
        current = self.current()
        if current is not None and not self.lost(current, now):
            raise self._driven(current, now)

    def _driven(self, current: Lease | None, now: float) -> JobError:
        owner = "somebody else" if current is None else current.owner
        left = 0 if current is None else max(1, round(current.until - now))
        return JobError(
            f"the job in {self._path} is driven by {owner}: watch it with `covdist status`, or cancel it; should "
            f"that driver be dead, its lease ends in {left} seconds"
        )

    def renew(self, lease: Lease, now: float, seconds: float) -> Lease | None:
        """Return the extended lease, None where another owner has taken over."""
        return self._rewrite(replace(lease, until=now + seconds))

    def release(self, lease: Lease) -> None:
        """End a lease, so that the next owner can begin at once."""
        self._rewrite(replace(lease, released=True))

    def _rewrite(self, lease: Lease) -> Lease | None:
        if _file("lease", lease) != f"lease/{(self._place.names('lease') or ['?'])[-1]}":
            return None
        self._place.put(_file("lease", lease), to_json(asdict(lease)))
        return lease

    def ask_to_cancel(self) -> bool:
        """Ask the current owner to stop; return whether there is one."""
        lease = self.current()
        if lease is None or lease.released:
            return False
        self._place.put(_file("cancel", lease), b"{}\n")
        return True

    def cancelled(self, lease: Lease) -> bool:
        """Return whether the owner of a lease has been asked to stop."""
        return self._place.get(_file("cancel", lease)) is not None


def this_owner() -> str:
    """Return host and number of this process, for messages."""
    return f"{socket.gethostname()} (process {os.getpid()})"


def _file(folder: str, lease: Lease) -> str:
    return f"{folder}/{lease.term:06d}.json"
