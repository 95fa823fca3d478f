"""Calls a function for many files behind a URL, for some of them at a time, since each waits for its store."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from covdist.logs.remote.urls import Url, share
from covdist.logs.remote.visit import join, visit

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 32
_CONNECTIONS = 4  # of file systems that wait for each answer, as those of ssh and ftp: each thread has one of its own
_AHEAD = 4  # calls a thread that are begun, or about to be, before the first result is taken


def at_once(function: Callable[[T], R], items: Iterable[T], root: Url) -> Generator[R]:
    """Yield the results in order, of calls in threads that share what is known of a log at ``root``."""
    system, _ = root.at()
    shared, threads = (system, _AT_ONCE) if system.async_impl else (None, _CONNECTIONS)
    opening = visit()

    def begin() -> None:
        join(opening)
        share(shared)

    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, "covdist-heads", begin) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > _AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()
