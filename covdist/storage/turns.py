"""``Turns``: a small file that is replaced by way of another, which then is the one beside it."""

from __future__ import annotations

import os
import time

from covdist.storage.exchange import exchanged
from covdist.storage.named import named
from covdist.storage.pages import EXCHANGED, FAILED, WRITTEN, Data, write_all, write_at_once

_YOUNG = 0.03  # seconds, that hardly pass between the opening of a small file and its reading


class Turns:
    """A file beside others, which is written and then changes places with one of them.

    What is known of it is kept, so that the system need not be asked.
    """

    def __init__(self, beside: str):
        self._beside = os.fsencode(beside)
        self._ours = False  # whether there is one, and it was a file before
        self._since = 0.0  # when it was

    def too_early(self) -> bool:
        """Return whether who opened the file beside, when it was one that others read, may not have read it yet."""
        return self._ours and time.monotonic() - self._since < _YOUNG

    def replace(self, path: str, data: Data) -> None:
        """Replace a file in one step."""
        file = os.fsencode(path)
        ours, self._ours = self._ours, False  # as long as it is not written in full
        done = write_at_once(self._beside, data, not ours, file)
        if done != EXCHANGED:
            with named(os.fsdecode(self._beside), path):
                if done == FAILED:
                    done = self._write(file, data, ours)
                if done != EXCHANGED:
                    os.replace(self._beside, file)
        if done == EXCHANGED:
            self._ours, self._since = True, time.monotonic()

    def _write(self, file: bytes, data: Data, ours: bool) -> int:
        number = os.open(self._beside, os.O_WRONLY | os.O_CREAT, 0o666) if ours else self._opened()
        try:
            write_all(number, data)
        finally:
            os.close(number)
        return EXCHANGED if exchanged(self._beside, file) else WRITTEN

    def _opened(self) -> int:
        """Return a new file beside: somebody may read the one that a killed process has left."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            return os.open(self._beside, flags, 0o666)
        except FileExistsError:
            os.unlink(self._beside)
            return os.open(self._beside, flags, 0o666)
