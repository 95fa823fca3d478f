"""``Claim``: the right to write the rows of one rank, held by one process at a time."""

from __future__ import annotations

import os
import threading
import time
import weakref
from contextlib import suppress

from covdist.errors import ResultError
from covdist.storage.lease import Lease
from covdist.storage.owners import Owners
from covdist.storage.place import place_at
from covdist.storage.process import here

LEASE = 60.0  # seconds for which a recorder may be silent before another host may go on with its log
_LOOK = 1.0  # seconds between two looks at the lease while rows are only buffered
_TRIES = 5


class Claim:
    """A lease in a folder beside the log, ``run.zarr.lease``, that a thread renews; given back, it leaves nothing.

    Raises ResultError where another recorder, of this or another process or host, holds it.
    """

    def __init__(self, path: str, rank: int | None):
        self._path, self._process, self._lost = path, os.getpid(), False
        place = place_at(f"{path.rstrip('/')}.lease", durable=False)
        self._owners = Owners(place, path, self._refusal, "all" if rank is None else f"rank{rank}")
        self._lease, self._looked = self._acquired(), time.monotonic()
        self._ended = threading.Event()
        self._renewing = threading.RLock()  # what is renewed while it is given back would stay
        keeper = threading.Thread(
            target=_renew, args=(weakref.ref(self), self._ended), name="covdist-lease", daemon=True
        )
        keeper.start()

    def _acquired(self) -> Lease:
        for _ in range(_TRIES):
            # Another recorder that ends at this moment may remove the folder before the file is in it.
            with suppress(FileNotFoundError):
                return self._owners.acquire(time.time(), LEASE, process=here())
        raise self._refusal("several others in turn", 1)

    def _refusal(self, owner: str, seconds: int) -> ResultError:
        return ResultError(
            f"{self._path} is being recorded by {owner}, expected one writer: give each process a rank of its own, "
            f"Recorder(path, rank=...), or close the other; should it be dead, its lease ends in {seconds} seconds."
        )

    def check(self, *, now: bool) -> bool:
        """Raise ResultError in a forked child, or where another has taken over; return whether the lease was looked at.

        That happens ``now``, or else now and then.
        """
        if self.is_inherited():
            raise ResultError(
                f"{self._path} was opened by process {self._process}, and process {os.getpid()} is its fork, whose "
                "rows would be lost: open a Recorder with a rank of its own in each process, Recorder(path, rank=...)."
            )
        if look := now or time.monotonic() - self._looked > _LOOK:
            self._lost = self._lost or not self._owners.holds(self._lease)
            self._looked = time.monotonic()
        if self._lost:
            raise ResultError(
                f"{self._path} was taken over by another recorder, or its lease removed, while this one was silent for "
                f"more than {LEASE:.0f} seconds: give each process a rank of its own, Recorder(path, rank=...)."
            )
        return look

    def is_inherited(self) -> bool:
        """Return whether this process is a fork of the one that made the claim."""
        return os.getpid() != self._process

    def renew(self) -> None:
        # A store that cannot be reached now may be reached before the lease has ended.
        with self._renewing, suppress(OSError):
            if not self._ended.is_set():
                self._lost = self._owners.renew(self._lease, time.time(), LEASE) is None
                if self._ended.is_set():  # by now: the recorder was garbage, and collected in this thread
                    self._owners.forget(self._lease)

    def release(self) -> None:
        """Give the claim back, and leave nothing behind."""
        self._ended.set()
        if not self.is_inherited():
            with self._renewing:
                self._owners.forget(self._lease)


def _renew(claim: weakref.ref[Claim], ended: threading.Event) -> None:
    while not ended.wait(LEASE / 3):
        if (held := claim()) is None:
            return
        held.renew()
        del held
