"""Pages of memory, had before they are used: their first use costs as much as writing them to a file."""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np

_POPULATE = 23  # MADV_POPULATE_WRITE, which Linux has from 5.14, and which changes no byte


def populate(memory: np.ndarray) -> None:
    """Have the system give the pages of an array now, where it can; another thread may write to it meanwhile."""
    if sys.platform == "linux":
        start = memory.ctypes.data
        first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        # Earlier kernels refuse, and give each page at its first use.
        ctypes.CDLL(None).madvise(
            ctypes.c_void_p(first), ctypes.c_size_t(max(0, start + memory.nbytes - first)), _POPULATE
        )
