"""Work on many groups, shared among the threads that a task may use; no result depends on how many those are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, Token, copy_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_LEAST = 1 << 20  # values; starting a thread for fewer takes longer than it saves
_allowed: ContextVar[Callable[[], int] | None] = ContextVar("covdist-threads", default=None)


def is_allowed() -> bool:
    return _allowed.get() is not None


def allow(threads: Callable[[], int]) -> Token[Callable[[], int] | None]:
    """Let what is done from now on be shared among as many threads as ``threads()`` says, up to ``end``."""
    return _allowed.set(threads)


def end(token: Token[Callable[[], int] | None]) -> None:
    _allowed.reset(token)


def shared(function: Callable[[Sequence[T]], R], items: Sequence[T], size: int) -> list[R]:
    """Return ``function`` of each thread's items, in their order; ``size`` is the number of values in all."""
    threads = _allowed.get()
    count = min(threads(), len(items)) if threads is not None and size >= _LEAST else 1
    if count <= 1:
        return [function(items)]
    with ThreadPoolExecutor(count - 1, "covdist-groups") as pool:
        # In this one's context: numpy's errstate is part of it.
        others = [pool.submit(copy_context().run, function, items[first::count]) for first in range(1, count)]
        return [function(items[::count]), *(other.result() for other in others)]
