"""What can go wrong with a job as a whole."""

from __future__ import annotations

from covdist.errors import CovdistError


class JobError(CovdistError):
    """A job directory that is no such thing, belongs to someone else, or no longer fits its input."""
