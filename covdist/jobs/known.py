"""Where this user's jobs lie, by their ids, which are easier to type than folders."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from covdist.errors import JobError
from covdist.given import path_of
from covdist.storage.place import place_at

_ID = re.compile(r"[0-9a-f]{16}")


def remember(job: str, path: str) -> None:
    """Note a job's folder; where the user's own folder cannot be written, only the folder itself names the job."""
    with suppress(OSError):
        place_at(_register(), durable=False).append(job, os.fsencode(f"{path}\n"))


def known_path(path: str | os.PathLike[str]) -> str:
    """Return a job's folder, given that or the id of a job."""
    text = path_of(path, "job")
    if not _ID.fullmatch(text) or os.path.lexists(text):
        return text
    noted = os.fsdecode(place_at(_register()).get(text) or b"").splitlines()
    found = [each for each in dict.fromkeys(noted) if place_at(each).get("manifest.json") is not None]
    if len(found) == 1:
        return found[0]
    where = f"it is in {' and in '.join(found)}" if found else "this user has begun none of that id on this machine"
    raise JobError(f"{text} does not name a single job, {where}: pass the job's folder, which `covdist submit` printed")


def _register() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "covdist" / "jobs"
