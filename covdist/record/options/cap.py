"""``Cap``: the size that a log may have; what comes after it is not recorded."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping

import numpy as np

from covdist.record.lent import Given
from covdist.record.tracks import Tracks

_ARRAY_BYTES = 4 << 10  # for the metadata of an array, and the frame of its last chunk
_EXTRA = 1.02  # for the frames and checksums of chunks


class Cap:
    """Counts the bytes of what is recorded, before compression, so that a log takes no more than it may."""

    def __init__(self, most: int | None, tracks: Tracks):
        self._most, self._tracks, self.reached = most, tracks, False

    def holds(self, data: Mapping[str, Given], marks: Mapping[str, np.ndarray], path: str | os.PathLike[str]) -> bool:
        """Return whether the arrays of a call fit; say so once where they do not."""
        if self._most is None or self.reached:
            return not self.reached
        width = sum(mark.nbytes for mark in marks.values())
        more = sum(each.nbytes + (each.shape[0] if each.ndim else 1) * width for each in data.values())
        arrays = self._tracks.arrays + len(data) * (1 + len(marks))
        self.reached = (self._tracks.nbytes + more) * _EXTRA + arrays * _ARRAY_BYTES > self._most
        if self.reached:
            warnings.warn(
                f"{os.fspath(path)} would exceed max_bytes={self._most:,} with step {marks['step']}: neither this step "
                "nor any later one is recorded.",
                stacklevel=3,
            )
        return not self.reached
