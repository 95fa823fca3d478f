"""``StopRequest``: turns Ctrl-C and SIGTERM into a request to stop, so that finished work is kept."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None


class StopRequest:
    """Catches the first signal of each kind within a ``with`` block; the second has its usual effect.

    Attributes
    ----------
    number : int
        Of the signal received, 0 before any.
    """

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, _Handler] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        signal.signal(number, self._before[number])

    def received(self) -> bool:
        """Return whether a signal has arrived."""
        return self.number != 0
