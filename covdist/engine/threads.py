"""How many threads a fold or a reading may use: those of its worker or pool, less those of others that run there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Lock

import dask
from dask.system import CPU_COUNT

from covdist.engine.dask_private import pool_threads
from covdist.engine.fork import after_fork
from covdist.kernel.threads import allowed, is_allowed

_ALONE = ("synchronous", "sync", "single-threaded")  # what dask's configuration calls its scheduler of one thread


class _Busy:
    """Counts the folds and readings that run in this process at the same time."""

    def __init__(self) -> None:
        self.count, self.lock = 0, Lock()


_busy = _Busy()


class sharing:
    """Let what is done here share its work among the threads that ``given`` says there are, unless it already may.

    No generator, which takes 2 us longer to enter and to leave.
    """

    __slots__ = ("_allowed", "_busy", "_given")

    def __init__(self, given: Callable[[], int]):
        self._given, self._busy = given, _busy
        self._allowed = None if is_allowed() else allowed(self._threads)

    def __enter__(self) -> None:
        if self._allowed is not None:
            with self._busy.lock:
                self._busy.count += 1
            self._allowed.__enter__()

    def __exit__(self, *raised: object) -> None:
        if self._allowed is not None:
            self._allowed.__exit__(*raised)
            with self._busy.lock:
                self._busy.count -= 1

    def _threads(self) -> int:
        return self._given() // self._busy.count


def of_task() -> int:
    """Return the threads of the worker or the pool that runs this task; one where it is neither's."""
    return _of_worker() or pool_threads() or 1


def of_caller() -> int:
    """Return the threads that dask would compute with here, where nothing is lazy."""
    if dask.config.get("scheduler", None) in _ALONE:
        return 1
    return _of_worker() or pool_threads() or dask.config.get("num_workers", None) or CPU_COUNT


def _of_worker() -> int:
    if "distributed" not in sys.modules:
        return 0
    from distributed import get_worker

    try:
        return int(get_worker().state.nthreads)
    except ValueError:  # not in a worker
        return 0


@after_fork
def _forget_after_fork() -> None:
    global _busy
    _busy = _Busy()
