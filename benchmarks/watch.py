"""The peak memory of a process and its children, seen from a thread."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

import psutil

_PAUSE = 0.1
_LISTED = 10  # samples of the same processes: to find a process's children takes a millisecond or two
_GROWN = 1 / 4  # of the sum when its shared pages were counted last, before they are counted again


class Watch:
    """``tree`` is the largest sum seen (PSS where the system tells, else USS, else RSS).

    ``peaks`` holds each child's highest RSS, or that of the process itself where it has no children.

    PSS walks the page tables, which takes 2 ms a process: walked in every sample, two cores took up to 7 % longer for
    what was watched. So RSS is summed, and what it counts more than once is measured only when the sum has grown.
    """

    def __init__(self, pid: int | None = None) -> None:
        self.tree = 0
        self.peaks: dict[int, int] = {}
        self._root = psutil.Process(pid or os.getpid())
        self._processes: list[psutil.Process] = []
        self._resident = self._shared = 0  # the sum of RSS at the last walk, and by how much it is above PSS
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    @property
    def largest(self) -> int:
        return max(self.peaks.values(), default=0)

    def __enter__(self) -> Watch:
        self._list()
        for process in self._processes:
            _forget_peak(process.pid)
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self._sample()

    def _loop(self) -> None:
        while True:
            for _ in range(_LISTED):
                if self._done.wait(_PAUSE):
                    return
                self._sample()
            self._list()

    def _list(self) -> None:
        self._processes = []
        with suppress(psutil.Error):
            self._processes = [self._root, *self._root.children(recursive=True)]

    def _sample(self) -> None:
        resident = sum(map(_resident, self._processes))
        if resident > (1 + _GROWN) * self._resident:
            self._resident, self._shared = resident, resident - sum(map(_held, self._processes))
        self.tree = max(self.tree, resident - self._shared)
        for process in self._processes[1:] or self._processes:
            self.peaks[process.pid] = max(self.peaks.get(process.pid, 0), _peak(process))


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return process.memory_info().rss
    return 0


def _held(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        try:
            full = process.memory_full_info()
            return getattr(full, "pss", full.uss)
        except psutil.AccessDenied:
            return _resident(process)
    return 0


def _peak(process: psutil.Process) -> int:
    """Return the kernel's own high-water mark, which misses nothing between two samples."""
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return _resident(process)


def _forget_peak(pid: int) -> None:
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")
