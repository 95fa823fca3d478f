"""What identifies the rows of an array, by which it is told later whether a log has grown or has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple, TypeGuard

import numpy as np

from covdist.logs.source import Source
from covdist.logs.zarr.files import StoredChunks


class OldRows(NamedTuple):
    """The first rows of an array; equal only for equal rows, as far as stamps of files tell."""

    name: str
    rows: int
    described: str  # what the array's metadata say, but for what changes when it grows; of other formats all of it
    files: str  # of the names and stamps of the files that have no room for more rows; "" of formats without
    values: str  # of the values of the rows in those that have, where these were looked at

    def are(self, others: OldRows) -> bool:
        """Return whether other rows, described later, are these."""
        if self.files or others.files:
            return self == others
        return self.described == others.described or "" != self.values == others.values


def parts_of(source: Source) -> dict[str, Source]:
    """Return by name the arrays that one is joined of, each of which may grow at its end."""
    found = dict[str, Source]()
    for part in getattr(source, "parts", None) or ():
        for name, inner in parts_of(part).items():
            found[name if name not in found else f"{name} {len(found)}"] = inner
    return found or {source.name: source}


def grows_in_place(part: Source) -> TypeGuard[StoredChunks]:
    """Return whether new rows of an array leave the files of most old ones as they are."""
    return isinstance(part, StoredChunks) and part.grows


def old_rows(name: str, part: Source, rows: int, by_values: bool) -> OldRows:
    """Return what identifies the first rows of an array, which has as many or more.

    Files of formats that do not grow are written anew for each row: these are identified by all that is known of them,
    and ``by_values``, for which they are read.
    """
    if not grows_in_place(part):
        return OldRows(name, rows, part.token, "", _values(part, 0, rows) if by_values else "")
    height = part.in_file[0]
    whole = rows // height
    known = hashlib.blake2b(digest_size=16)
    for key, stamp in part.stamps(whole):
        known.update(f"{key} {stamp}\n".encode())
    return OldRows(name, rows, part.opened.described, known.hexdigest(), _values(part, whole * height, rows))


def _values(part: Source, start: int, stop: int) -> str:
    """Return a digest of rows: the file that they lie in is written again when more come."""
    if start == stop:
        return ""
    known = hashlib.blake2b(digest_size=16)
    for rows in _pieces(part, start, stop):
        known.update(np.ascontiguousarray(rows).view(np.uint8).data)
    return known.hexdigest()


def _pieces(part: Source, start: int, stop: int) -> Iterator[np.ndarray]:
    across = [slice(0, size) for size in part.shape[1:]]
    for first in range(start, stop, part.chunks[0]):
        yield part[(slice(first, min(first + part.chunks[0], stop)), *across)]
