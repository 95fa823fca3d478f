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
from typing import NamedTuple

from covdist.kernel.library import compiled, function, own_address

_PARTS = 1024  # the most that POSIX systems take at once, IOV_MAX
_JOINED = 256 << 10  # bytes in parts that are joined, to be written at once
FAILED, WRITTEN, PAST_CACHE, EXCHANGED = range(4)  # of files.h
PAGE = max(mmap.PAGESIZE, 4096)  # bytes; both ends of what is written so are multiples of it


class Parts(NamedTuple):
    """Buffers, whose bytes come one after the other."""

    parts: Sequence[bytes | memoryview]

    @property
    def nbytes(self) -> int:
        return sum(map(len, self.parts))

    def write(self, number: int, offset: int) -> bool:
        """Write all bytes to an open file, and return whether they lie in the system's cache now: always."""
        left = self.parts
        while left:
            written = os.pwritev(number, left[:_PARTS], offset)
            left, offset = _after(left, written), offset + written
        return True


class Pages(NamedTuple):
    """Whole pages of memory, and how many bytes of them count."""

    memory: memoryview
    nbytes: int

    @property
    def parts(self) -> Sequence[memoryview]:
        """The bytes that count."""
        return [self.memory[: self.nbytes]]

    def write(self, number: int, offset: int) -> bool:
        """Write all pages where the file's system can do without the cache, else the bytes; return whether it did not.

        ``offset`` is a multiple of a page, and the open file has no flags that can be set later.
        """
        return not self._written_past(number, offset) and Parts(self.parts).write(number, offset)

    def _written_past(self, number: int, offset: int) -> bool:
        if sys.platform != "linux":
            return False
        import fcntl

        try:
            fcntl.fcntl(number, fcntl.F_SETFL, os.O_DIRECT)
            left = self.memory
            while left:
                written = os.pwrite(number, left, offset)
                left, offset = left[written:], offset + written
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            fcntl.fcntl(number, fcntl.F_SETFL, 0)
            return False
        return True


Data = Parts | Pages


def write_all(number: int, data: Data) -> bool:
    """Write the whole of an open file; return whether the system's cache holds it."""
    cached = data.write(number, 0)
    if os.fstat(number).st_size != data.nbytes:  # it was longer, or whole pages have been written
        os.ftruncate(number, data.nbytes)
    return cached


def write_at_once(path: bytes, data: Data, is_new: bool, other: bytes | None = None) -> int:
    """Write a file in one call of the kernel, maybe let it change places with another, and return how far that came.

    Each call of the system by itself gives the interpreter's lock back and takes it again, which holds up others.
    After ``FAILED`` all is to be done by those calls, which tell why it cannot be.
    """
    if not compiled() or (isinstance(data, Parts) and data.nbytes > _JOINED):
        return FAILED
    past = isinstance(data, Pages)
    held = data.memory if isinstance(data, Pages) else b"".join(data.parts)
    start = held if isinstance(held, bytes) else own_address(held)
    return function("write_file")(path, other, start, len(held), data.nbytes, is_new, past)


def up_to_page(nbytes: int) -> int:
    """Return the next multiple of a page."""
    return -(-nbytes // PAGE) * PAGE


def _after(parts: Sequence[bytes | memoryview], count: int) -> Sequence[bytes | memoryview]:
    """Return what follows so many bytes."""
    for number, part in enumerate(parts):
        if count < len(part):
            return [memoryview(part)[count:], *parts[number + 1 :]]
        count -= len(part)
    return []
