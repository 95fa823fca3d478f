"""Results that commands read, and what is said of a log in the place of one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from covdist.errors import CovdistError, ResultError

if TYPE_CHECKING:
    from covdist.results.moments import Moments


def loaded(path: str) -> Moments | dict[str, Moments]:
    """Return what a result holds, as ``covdist.load`` does."""
    from covdist.results.load import load

    with telling_logs(path):
        return load(path)


@contextmanager
def telling_logs(path: str) -> Iterator[None]:
    """Within, the error on a log in the place of a result says which commands read it."""
    try:
        yield
    except ResultError as error:
        if not _is_log(path):
            raise
        raise ResultError(
            f"{path} is not a covdist result, but a log: `covdist inspect` and `covdist health` read it, and "
            f"`covdist run {quote(path)} -o RESULT` makes a result of it"
        ) from error


def _is_log(path: str) -> bool:
    """Return whether there is a log, and not what is left of a result."""
    from covdist.logs.opening import log_nodes

    try:
        return bool(log_nodes(path)) and not _is_damaged(Path(path, "zarr.json"))
    except CovdistError:
        return False


def _is_damaged(metadata: Path) -> bool:
    try:
        return metadata.is_file() and not json.loads(metadata.read_bytes())
    except ValueError:
        return True
