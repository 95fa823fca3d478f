"""What is known of a job before it is done."""

from __future__ import annotations

from contextlib import suppress

from covdist.engine.plan import Plan
from covdist.errors import CovdistError
from covdist.jobs.driving import opened
from covdist.jobs.job import Job
from covdist.results.moments import Moments


def so_far(job: Job) -> dict[str, Moments]:
    """Return the moments of the rows whose states are written down; the log must be as it was."""
    return opened(job.directory).so_far(job.directory, job.id)


def plans_of_job(job: Job) -> list[Plan]:
    """Return the plans of a job's arrays, none where its log has changed or is gone."""
    with suppress(CovdistError):
        return list(opened(job.directory).plans.values())
    return []
