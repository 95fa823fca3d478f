"""``permitted``: what the system forbids about a job's files, as one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from covdist.errors import JobError


@contextmanager
def permitted() -> Iterator[None]:
    """Raise JobError where a file may not be read or written: one that is passed over would cost a result or a lease.

    Examples
    --------
    >>> try:
    ...     with permitted():
    ...         raise PermissionError(13, "Permission denied", "job/result.json")
    ... except JobError as error:
    ...     print(str(error).partition(":")[0])
    job/result.json may not be read or written by this user
    """
    try:
        yield
    except PermissionError as error:
        raise JobError(
            f"{error.filename} may not be read or written by this user: get the rights to it, or go on as the user who "
            "began the job"
        ) from error
