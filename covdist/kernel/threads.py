"""Work on many groups, shared among the threads that a task may use; no result depends on how many those are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_LEAST = 1 << 20  # values; starting a thread for fewer takes longer than it saves
_allowed: ContextVar[Callable[[], int] | None] = ContextVar("covdist-threads", default=None)


def is_allowed() -> bool:
    return _allowed.get() is not None


class allowed:
    """Let what is done here be shared among as many threads as ``threads()`` says."""

    __slots__ = ("_threads", "_token")

    def __init__(self, threads: Callable[[], int]):
        self._threads = threads

    def __enter__(self) -> None:
        self._token = _allowed.set(self._threads)

    def __exit__(self, *raised: object) -> None:
        _allowed.reset(self._token)


def at_hand() -> int:
    """Return how many threads work may be shared among, this one included."""
    threads = _allowed.get()
    return 1 if threads is None else max(1, threads())


def shared(function: Callable[[Iterator[T]], R], items: Sequence[T], size: int) -> list[R]:
    """Return what ``function`` returns in each thread; ``size`` is the number of values in all.

    It takes its items one after the other, the next that no thread has: one that other work holds up takes fewer.
    """
    count = min(at_hand(), len(items)) if size >= _LEAST else 1
    left = iter(items)
    if count <= 1:
        return [function(left)]
    with ThreadPoolExecutor(count - 1, "covdist-groups") as pool:
        # In this one's context: numpy's errstate is part of it.
        others = [pool.submit(copy_context().run, function, left) for _ in range(1, count)]
        return [function(left), *(other.result() for other in others)]
