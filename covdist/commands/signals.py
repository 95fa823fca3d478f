"""SIGTERM and SIGHUP, as Ctrl-C: what is begun is cleaned up, and then the process ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has the first


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Within, the first of these signals raises SystemExit; the second ends the process at once.

    One that is ignored, as `nohup` has it, still is.
    """
    here = threading.current_thread() is threading.main_thread()
    caught = [number for number in _ENDING if here and signal.getsignal(number) == signal.SIG_DFL]
    for number in caught:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(128 + number)
