"""Why the system takes no more bytes at a place, which the error that ended the writing may not say."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NamedTuple

from covdist.errors import CovdistError

_MORE = bytes(1 << 20)  # more than a full disk has left in the last block of a file


class Refusal(NamedTuple):
    """What a sentence says of it."""

    reason: str
    remedy: str = ""  # other than another place


_AGAIN = "try again, as its disk has room"
_REASONS = {
    errno.ENOSPC: Refusal("no space is left on its disk", "free some"),
    errno.EDQUOT: Refusal("the quota of its disk is used up", "remove something there"),
    errno.EROFS: Refusal("its file system is read-only"),
    errno.EFBIG: Refusal(
        "a file of it is larger than its file system, or the limit that `ulimit -f` shows, allows",
        "raise that limit",
    ),
}


def refusal(error: Exception, place: Path, target: Path) -> Refusal | None:
    """Return why what lies at a place, and was to be at a target, is not whole; None for an error of something else.

    NumPy, HDF5, pillow and torch raise errors without a number: what the system has refused them, it refuses again.
    """
    if isinstance(error, CovdistError):
        return None
    number = error.errno if isinstance(error, OSError) else None
    named = str(error.filename) if isinstance(error, OSError) and error.filename is not None else ""
    if number is None or not (named or number in _REASONS):
        if (refused := _refused(place)) is not None:
            return _of(refused)
        said = str(error).replace(str(place), str(target))
        return Refusal(said, _AGAIN) if isinstance(error, OSError) and number is None else None
    if not named or named.startswith((str(place), str(target))):
        return _of(number)
    return Refusal(f"{os.strerror(number)}: {named}", _of(number).remedy) if number in _REASONS else None


def reason_of(error: OSError) -> Refusal:
    """Return what an error says by itself, as of what must not be touched to find out."""
    return Refusal(str(error)) if error.errno is None else _of(error.errno)


def _of(number: int) -> Refusal:
    return _REASONS.get(number, Refusal(os.strerror(number)))


def _refused(place: Path) -> int | None:
    """Return the number of the error with which the system refuses more bytes, None where it takes them."""
    try:
        file = os.open(_largest(place), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            left = memoryview(_MORE)
            while left:
                left = left[os.write(file, left) :]
            os.fsync(file)  # some file systems look for room no earlier
        finally:
            os.close(file)
    except OSError as error:
        return error.errno
    return None


def _largest(place: Path) -> Path:
    """Return the largest file at a place, the first to meet a limit of their size, or the path of a new one."""
    if not place.is_dir():
        return place
    files = [each for each in place.rglob("*") if each.is_file()]
    return max(files, key=lambda each: each.stat().st_size, default=place / "more")
