"""``Owners``: the files that record who owns a thing that only one process at a time may write."""

from __future__ import annotations

import logging
import os
import re
import socket
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace

from covdist.storage.checksum import from_json, to_json
from covdist.storage.lease import Lease, next_lease
from covdist.storage.place import Place
from covdist.storage.process import dead

_FILE = re.compile(r"(\d{6,15})\.json", re.ASCII)
_log = logging.getLogger(__name__)


class Owners:
    """Grants a thing to one owner at a time, each in a term of its own.

    ``path`` is for messages, and ``refusal`` makes the error for others from the owner's name and the seconds left.
    """

    def __init__(self, place: Place, path: str, refusal: Callable[[str, int], Exception], folder: str = "lease"):
        self._place, self._path, self._refusal, self._folder = place, path, refusal, folder

    def current(self) -> Lease | None:
        """Return the lease of the highest term; one whose file is damaged has expired."""
        term = self._last_term()
        return Lease.of(term, from_json(self._place.get(f"{self._folder}/{_name(term)}"))) if term else None

    def _last_term(self) -> int:
        """Return the number of the last term, 0 before the first; files of other names are not ours."""
        found = map(_FILE.fullmatch, self._place.names(self._folder))
        return max((int(file[1]) for file in found if file and file[0] == _name(int(file[1]))), default=0)

    def lost(self, lease: Lease, now: float) -> bool:
        """Return whether a lease has expired, or belongs to a process of this machine that has ended."""
        return lease.over(now) or dead(lease.process)

    def acquire(self, now: float, seconds: float, *, process: str = "", steal: bool = False) -> Lease:
        """Become the owner for some seconds, at once where the last owner is known to be dead.

        Raises what ``refusal`` makes where there is an owner, unless that is deposed by ``steal``.
        """
        current = self.current()
        steal = steal or (current is not None and self.lost(current, now))
        lease = next_lease(current, this_owner(), uuid.uuid4().hex, now, seconds, steal=steal)
        if lease is not None:
            lease = replace(lease, process=process)
            if self._place.create(self._file(lease), to_json(asdict(lease))):
                _log.debug("%s: %s takes the lease of term %d", self._path, lease.owner, lease.term)
                return lease
        raise self._owned(self.current(), now)

    def check_free(self, now: float) -> None:
        """Raise where there is an owner; ``acquire`` may still fail if another process is faster."""
        current = self.current()
        if current is not None and not self.lost(current, now):
            raise self._owned(current, now)

    def _owned(self, current: Lease | None, now: float) -> Exception:
        if current is None or current.over(now):
            return self._refusal("somebody else", 0)
        return self._refusal(current.owner, max(1, round(current.until - now)))

    def renew(self, lease: Lease, now: float, seconds: float) -> Lease | None:
        """Return the extended lease, None where another owner has taken over."""
        return self._rewrite(replace(lease, until=now + seconds))

    def release(self, lease: Lease) -> None:
        """End a lease, so that the next owner can begin at once."""
        self._rewrite(replace(lease, released=True))

    def _rewrite(self, lease: Lease) -> Lease | None:
        if not self.holds(lease):
            return None
        self._place.put(self._file(lease), to_json(asdict(lease)))
        return lease

    def holds(self, lease: Lease) -> bool:
        """Return whether no other owner has taken over."""
        current = self.current()
        return current is not None and current.term == lease.term and current.nonce in (lease.nonce, "")  # "": damaged

    def forget(self, lease: Lease) -> None:
        """End a lease that still holds, and leave no file behind; terms begin anew."""
        if self.holds(lease):
            for name in self._place.names(self._folder):
                self._place.remove(f"{self._folder}/{name}")
            self._place.prune(self._folder)

    def _file(self, lease: Lease) -> str:
        return f"{self._folder}/{_name(lease.term)}"


def this_owner() -> str:
    """Return host and number of this process, for messages."""
    return f"{socket.gethostname()} (process {os.getpid()})"


def _name(term: int) -> str:
    return f"{term:06d}.json"
