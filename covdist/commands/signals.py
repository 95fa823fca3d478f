"""``StopRequest``: Ctrl-C and SIGTERM as a wish to stop, so that what is done can be kept."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Listens within a ``with`` block; the second signal of a kind does what it always did.

    Attributes
    ----------
    number : int
        Of the signal that came; 0 where none did.
    """

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        signal.signal(number, self._before[number])

    def asked(self) -> bool:
        """Say whether a signal came."""
        return self.number != 0
