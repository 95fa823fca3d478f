"""Tells whoever wants to show it how far long work of this thread is, such as opening the files of a log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Shown = Callable[[int, int], None]  # takes how many are done, and how many there are

_shown: ContextVar[Shown | None] = ContextVar("shown", default=None)


@contextmanager
def showing(shown: Shown) -> Iterator[None]:
    """Within, work of this thread is shown."""
    before = _shown.set(shown)
    try:
        yield
    finally:
        _shown.reset(before)


def counted(items: Iterable[T], total: int) -> Iterator[T]:
    """Yield items, and tell about a hundred times how many there were."""
    shown = _shown.get()
    if shown is None:
        yield from items
        return
    often = max(1, total // 100)
    shown(0, total)
    for done, item in enumerate(items, 1):
        if done % often == 0 or done == total:
            shown(done, total)
        yield item
