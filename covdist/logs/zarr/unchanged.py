"""Whether a Zarr array is still the one that was opened. It may grow meanwhile, as logs do that are being recorded."""

from __future__ import annotations

import functools
from typing import NamedTuple

from covdist.errors import LogError
from covdist.logs.stamps import Stamp, changed, content, stamp

Shape = tuple[int, ...]


class Opened(NamedTuple):
    """What is known of an array since it was opened; small, since it travels with its source."""

    time: int  # ns since 1970; chunks written later are new
    marker: str  # path or URL of its metadata, or of the zip file that all of it lies in
    stamp: Stamp | None  # of the marker; None where the store tells none
    described: str  # what its metadata say, but for what changes when it grows; "" in a zip file, where nothing may
    recorded: bool  # by a Recorder, which names what it began, and writes rows before it counts them

    def check(self, name: str, shape: Shape, written: int, open_ended: bool) -> None:
        """Raise LogError if the array was written anew, or a chunk of it that was written at that time.

        An ``open_ended`` chunk has room for more rows, and is written again when they come.
        """
        if self.stamp is None:
            return
        try:
            now = stamp(self.marker)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise changed(name, self.marker, "it is no longer there") from error
        if now == self.stamp and written <= self.time:
            return
        grown = now != self.stamp and self._grown(name, shape, now)
        if written > self.time and not (open_ended and (grown or self.recorded)):
            raise changed(name, self.marker, "a chunk of the array was written anew")

    def _grown(self, name: str, shape: Shape, now: Stamp) -> bool:
        found = self.check_metadata(name, shape, now)
        if found == shape and not self.recorded:
            raise changed(name, self.marker, "it was written anew")
        return found != shape

    def check_metadata(self, name: str, shape: Shape, now: Stamp | None) -> Shape:
        """Return the shape that metadata with this stamp tell; LogError if they are not those of the array, grown."""
        described, found = _metadata(self.marker, now) if self.described else ("", shape)
        larger = len(found) == len(shape) and all(new >= old for new, old in zip(found, shape, strict=True))
        if described != self.described or not larger:
            raise changed(name, self.marker, "it was written anew")
        return found


def open_ended(shape: Shape, chunks: Shape, index: Shape) -> bool:
    """Return whether a chunk goes on beyond the end of its array."""
    return any((i + 1) * size > n for n, size, i in zip(shape, chunks, index, strict=True))


@functools.lru_cache(maxsize=256)
def _metadata(marker: str, now: Stamp | None) -> tuple[str, Shape]:
    from covdist.logs.zarr.metadata import array_metadata, parsed

    try:
        found = array_metadata(parsed(content(marker), marker), marker)
    except (LogError, OSError):
        return "unreadable", ()
    return found.described, found.shape
