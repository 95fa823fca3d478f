"""``Lease``: who drives a job. Decisions only: time is an argument, and files are somebody else's.

Each owner has a term of its own, and the highest term there is owns the job. A term begins by creating a record
that must not exist yet, so of several that begin the same term one succeeds. Clocks that disagree, or an owner
that wakes up after its time, can at worst have two drivers compute the same states twice: both would write the
same bytes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Lease:
    """One owner's term.

    Parameters
    ----------
    term : int
        From 1.
    owner : str
        For people: host and process.
    nonce : str
        Tells owners of one name apart.
    until : float
        Seconds since 1970; over unless renewed before.
    released : bool
    process : str
        By ``process.here``, for those on the owner's machine; empty before a driver has taken the lease over.
    """

    term: int
    owner: str
    nonce: str
    until: float
    released: bool = False
    process: str = ""

    def over(self, now: float) -> bool:
        """Say whether somebody else may begin the next term."""
        return self.released or now >= self.until

    def due(self, now: float, seconds: float) -> bool:
        """Say whether a third of the time is gone, so that it should be renewed."""
        return now >= self.until - seconds * 2 / 3

    def renewed(self, now: float, seconds: float) -> Lease:
        return replace(self, until=now + seconds)

    def given_back(self) -> Lease:
        return replace(self, released=True)

    def record(self) -> dict[str, Any]:
        """Return what is written down."""
        return asdict(self)

    @classmethod
    def of(cls, record: dict[str, Any]) -> Lease:
        return cls(**record)


def next_lease(
    current: Lease | None, owner: str, nonce: str, now: float, seconds: float, *, steal: bool = False
) -> Lease | None:
    """Return the term to try for, or nothing where the current owner still has time left."""
    if current is not None and not steal and not current.over(now):
        return None
    return Lease(1 if current is None else current.term + 1, owner, nonce, now + seconds)
