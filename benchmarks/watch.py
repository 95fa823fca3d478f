"""The peak memory of a process and its children, seen from a thread."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

_PAUSE = 0.05


class Watch:
    """``tree`` is the largest sum seen (PSS where the system tells, else USS, else RSS).

    ``peaks`` holds each child's highest RSS, or that of the process itself where it has no children.
    """

    def __init__(self, pid: int | None = None) -> None:
        self.tree = 0
        self.peaks: dict[int, int] = {}
        self._root = psutil.Process(pid or os.getpid())
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    @property
    def largest(self) -> int:
        return max(self.peaks.values(), default=0)

    def __enter__(self) -> Watch:
        for process in self._processes():
            _forget_peak(process.pid)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self._sample()

    def _loop(self) -> None:
        while not self._done.is_set():
            start = time.perf_counter()
            self._sample()
            # PSS walks the page tables: with many gigabytes a fixed pause would slow down what is measured.
            self._done.wait(max(_PAUSE, 9 * (time.perf_counter() - start)))

    def _processes(self) -> list[psutil.Process]:
        with suppress(psutil.Error):
            return [self._root, *self._root.children(recursive=True)]
        return []

    def _sample(self) -> None:
        processes = self._processes()
        self.tree = max(self.tree, sum(map(_held, processes)))
        for process in processes[1:] or processes:
            self.peaks[process.pid] = max(self.peaks.get(process.pid, 0), _peak(process))


def _held(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        try:
            full = process.memory_full_info()
            return getattr(full, "pss", full.uss)
        except psutil.AccessDenied:
            return process.memory_info().rss
    return 0


def _peak(process: psutil.Process) -> int:
    """Return the kernel's own high-water mark, which misses nothing between two samples."""
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    with suppress(psutil.Error):
        return process.memory_info().rss
    return 0


def _forget_peak(pid: int) -> None:
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")
