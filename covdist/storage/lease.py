"""``Lease``: who drives a job or records a log.

Decides only: time is an argument, and files are read and written elsewhere. Each owner has a term, and the highest term
owns. A term begins by creating a record that must not exist yet, so only one of several candidates for the same term
succeeds. If clocks disagree, or an owner wakes up after its lease has expired, two may write for a moment: drivers of a
job then write the same bytes, and a recorder looks at its lease before it writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

LONGEST = 600.0  # seconds: leases are for 30, and clocks differ; one that claims to last longer is not believed


@dataclass(frozen=True)
class Lease:
    """One owner's term."""

    term: int  # from 1
    owner: str  # host and process, for messages
    nonce: str  # tells apart owners of the same name
    until: float  # seconds since 1970 at which the lease expires unless renewed
    released: bool = False
    process: str = ""  # from `process.here`, for others on the owner's machine; empty until a job's driver takes over

    @classmethod
    def of(cls, term: int, record: Mapping[str, object] | None) -> Self:
        """Return the lease that a term's file holds; one that is damaged, or of another term, has expired."""
        match record:
            case {"term": found, "owner": str(owner), "nonce": str(nonce), "until": int() | float() as until, **rest}:
                if found == term:
                    return cls(term, owner, nonce, until, rest.get("released") is True, str(rest.get("process", "")))
        return cls(term, "?", "", 0.0)

    def over(self, now: float) -> bool:
        """Return whether another owner may begin the next term."""
        return self.released or not now < self.until <= now + LONGEST

    def due(self, now: float, seconds: float) -> bool:
        """Return whether a third of the lease has passed, so that it should be renewed, or the clock was set back."""
        return not self.until - seconds <= now < self.until - seconds * 2 / 3


def next_lease(
    current: Lease | None, owner: str, nonce: str, now: float, seconds: float, *, steal: bool = False
) -> Lease | None:
    """Return the term to try for, None while the current owner's lease lasts."""
    if current is not None and not steal and not current.over(now):
        return None
    return Lease(1 if current is None else current.term + 1, owner, nonce, now + seconds)
