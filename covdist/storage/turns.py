"""``Turns``: two small files that take one name by turns."""

from __future__ import annotations

import os
import sys
import time

from covdist.storage.exchange import exchanged
from covdist.storage.pages import EXCHANGED, FAILED, WRITTEN, Data, write_all, write_at_once
from covdist.storage.remote import PARTIAL

_YOUNG = 0.03  # seconds, that hardly pass between the opening of a small file and its reading


class Turns:
    """A file that others read, and one beside it, which is written and then changes places with it.

    What is known of both is kept, so that the system need not be asked.
    """

    def __init__(self, path: str):
        self._path, self._beside = os.fsencode(path), os.fsencode(path + PARTIAL)
        self.size = sys.maxsize  # of the file, at most
        self._left: int | None = None  # the same of the one beside; None: there is none that was the file before
        self._since = 0.0  # when it got there

    def too_early(self) -> bool:
        """Return whether who opened the file beside, when it was the file, may not have read it yet."""
        return self._left is not None and time.monotonic() - self._since < _YOUNG

    def replace(self, data: Data) -> None:
        """Replace the file in one step."""
        left, self._left = self._left, None  # as long as it is not written in full
        done = write_at_once(self._beside, data, left, self._path)
        if done == FAILED:
            done = self._write(data, left)
        if done == EXCHANGED:
            self._left, self._since = self.size, time.monotonic()
        else:
            os.replace(self._beside, self._path)
        self.size = data.nbytes

    def _write(self, data: Data, left: int | None) -> int:
        number = self._opened() if left is None else os.open(self._beside, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            write_all(number, data, left or 0)
        finally:
            os.close(number)
        return EXCHANGED if exchanged(self._beside, self._path) else WRITTEN

    def _opened(self) -> int:
        """Return a new file beside: somebody may read the one that a killed process has left."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            return os.open(self._beside, flags, 0o666)
        except FileExistsError:
            os.unlink(self._beside)
            return os.open(self._beside, flags, 0o666)
