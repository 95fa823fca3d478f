"""Work of a moment on all cores of this machine, without a cluster."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from dask.system import CPU_COUNT

from covdist.errors import ClusterError

T = TypeVar("T")
R = TypeVar("R")
_here: list[Any] = []  # in a forked process: the function, and what is given to it


def spread(function: Callable[[T], R], given: Sequence[T], least: int) -> Iterator[R]:
    """Yield what a function returns for each, in order, from processes that are given ``least`` of them or more.

    They are forked, which takes 10 ms, where no other thread of this process can hold a lock that they would wait for.
    They have what is given from the start; what the function returns is sent back.
    """
    amount = min(CPU_COUNT, len(given) // least)
    if amount < 2 or sys.platform != "linux" or threading.active_count() > 1:
        yield from map(function, given)
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads that are BLAS's, which expects forks
            with ProcessPoolExecutor(amount, get_context("fork"), _begin, (function, given)) as pool:
                yield from pool.map(_done, range(len(given)))
    except BrokenProcessPool as error:
        raise ClusterError(
            "a process that folded small arrays was killed, such as for want of memory: run it again with --workers 1"
        ) from error


def _begin(function: Callable[[T], R], given: Sequence[T]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # this process hears of them too
    gc.disable()  # looking for cycles in what was there before would copy all of its pages
    _here[:] = function, given


def _done(number: int) -> Any:
    function, given = _here
    return function(given[number])
