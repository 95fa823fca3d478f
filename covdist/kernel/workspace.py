"""``Workspace``: memory that is reused for every block."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from covdist.kernel.library import own_address

_LINE, _HUGE = 64, 1 << 21  # bytes of a cache line and of a huge page
_ADVISED = 1 << 22  # bytes of arrays for which numpy asks the system for huge pages


def empty_bytes(size: int) -> np.ndarray:
    """Return bytes with arbitrary content that begin where a cache line does, or a huge page where there are many."""
    return _placed(size)[0]


def _placed(size: int) -> tuple[np.ndarray, int]:
    """Return them with their address, which takes a microsecond to ask for.

    A new page takes 25 µs in a virtual machine, whatever its size: 1M × 1024 on two workers took a second for them.
    """
    step = _HUGE if size >= _HUGE // 2 else _LINE
    array = np.empty(size + step if step == _LINE else max(size + step, _ADVISED), np.uint8)
    address = own_address(array)
    first = -address % step
    return array[first : first + size], address + first


class Workspace:
    """Named scratch arrays of one fold, each as large as the largest block so far.

    dask lets its workers return freed memory to the system at once, and page faults for new memory cost about as much
    as folding a block: 16M × 64 on two workers took 5.3 s, and takes 2.7 s with this.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, tuple[np.ndarray, int]] = {}  # with their addresses

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
        """Return an array with arbitrary content, valid until the next call with the same name."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        return self._bytes(name, size)[0][:size].view(dtype).reshape(shape)

    def address(self, name: str, size: int) -> int:
        """Return where there are so many bytes."""
        return self._bytes(name, size)[1]

    def _bytes(self, name: str, size: int) -> tuple[np.ndarray, int]:
        held = self._arrays.get(name)
        if held is None or len(held[0]) < size:
            held = self._arrays[name] = _placed(size)
        return held


class Workspaces:
    """Those that threads which fold at the same time have used, to be used again; none of them is pickled."""

    def __init__(self) -> None:
        self._free = deque[Workspace]()

    def take(self) -> Workspace:
        try:
            return self._free.pop()
        except IndexError:
            return Workspace()

    def give_back(self, workspace: Workspace) -> None:
        self._free.append(workspace)

    def __reduce__(self) -> tuple[type[Workspaces], tuple[()]]:
        return Workspaces, ()
