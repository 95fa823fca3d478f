"""Fault points: the process ends before, or in the middle of, the n-th thing that a local write asks of the system."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from covdist.storage.pages import Parts
from tests.jobs.memory import Crash

CALLS = ("makedirs", "fsync", "replace", "link", "unlink")


class Points:
    """Counts the points passed; ends the process at ``at``, and nothing is cleaned up afterwards."""

    def __init__(self, at: int | None = None):
        self.at, self.passed = at, 0

    def reached(self) -> bool:
        """Pass a point, or say that the process ends there."""
        here = self.at is not None and self.passed >= self.at
        self.passed += 1
        return here

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def checked(*arguments: Any, **options: Any) -> Any:
            if self.reached():
                raise Crash
            return call(*arguments, **options)

        return checked

    def write(self, number: int, parts: Parts, offset: int) -> bool:
        data = b"".join(parts.parts)
        for half in (data[: len(data) // 2], data[len(data) // 2 :]):
            if self.reached():
                raise Crash
            offset += os.pwrite(number, half, offset)
        return True


@contextmanager
def points(at: int | None = None) -> Iterator[Points]:
    """Put fault points into local writes."""
    found = Points(at)
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, found.before(getattr(os, name)))
        patch.setattr(Parts, "write", lambda parts, number, offset: found.write(number, parts, offset))
        yield found
