"""What is written to a file from where it lies: ``Parts`` of memory, or ``Pages`` past the system's cache of files.

What passes through the cache costs the processor three times as much, in virtual machines more, and takes the place of
what others read.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
from collections.abc import Sequence
from io import FileIO
from typing import NamedTuple

_PARTS = 1024  # the most that POSIX systems take at once, IOV_MAX
PAGE = max(mmap.PAGESIZE, 4096)  # bytes; both ends of what is written so are multiples of it


class Parts(NamedTuple):
    """Buffers, whose bytes come one after the other."""

    parts: Sequence[bytes | memoryview]

    @property
    def nbytes(self) -> int:
        return sum(map(len, self.parts))

    def write(self, file: FileIO, offset: int) -> bool:
        """Write all bytes, and return whether they lie in the system's cache now: always."""
        file.seek(offset)
        left = [memoryview(part) for part in self.parts]
        while left:
            written = os.writev(file.fileno(), left[:_PARTS])
            while left and written >= left[0].nbytes:
                written -= left.pop(0).nbytes
            if left:
                left[0] = left[0][written:]
        return True


class Pages(NamedTuple):
    """Whole pages of memory, and how many bytes of them count."""

    memory: memoryview
    nbytes: int

    @property
    def parts(self) -> Sequence[memoryview]:
        """The bytes that count."""
        return [self.memory[: self.nbytes]]

    def write(self, file: FileIO, offset: int) -> bool:
        """Write all pages where the file's system can do without the cache, else the bytes; return whether it did not.

        ``offset`` is a multiple of a page.
        """
        return not self._written_past(file, offset) and Parts(self.parts).write(file, offset)

    def _written_past(self, file: FileIO, offset: int) -> bool:
        if sys.platform != "linux":
            return False
        import fcntl

        number, before = file.fileno(), fcntl.fcntl(file, fcntl.F_GETFL)
        try:
            fcntl.fcntl(number, fcntl.F_SETFL, before | os.O_DIRECT)
            left = self.memory
            while left:
                written = os.pwrite(number, left, offset)
                left, offset = left[written:], offset + written
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        finally:
            fcntl.fcntl(number, fcntl.F_SETFL, before)
        return True


Data = Parts | Pages


def up_to_page(nbytes: int) -> int:
    """Return the next multiple of a page."""
    return -(-nbytes // PAGE) * PAGE
