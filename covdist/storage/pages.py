"""``Pages``: bytes that are written to a disk from where they lie, past the system's cache of files.

What passes through the cache costs the processor three times as much, in virtual machines more, and takes the place of
what others read.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
from io import FileIO
from typing import NamedTuple

PAGE = max(mmap.PAGESIZE, 4096)  # bytes; both ends of what is written so are multiples of it


class Pages(NamedTuple):
    """Whole pages of memory, and how many bytes of them count."""

    memory: memoryview
    nbytes: int

    @property
    def part(self) -> memoryview:
        """The bytes that count."""
        return self.memory[: self.nbytes]

    def write(self, file: FileIO, offset: int) -> bool:
        """Write all of them where the file's system can do without the cache, and return whether it could."""
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


def up_to_page(nbytes: int) -> int:
    """Return the next multiple of a page."""
    return -(-nbytes // PAGE) * PAGE
